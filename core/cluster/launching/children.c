/* Children of the supervisor and processes adopted from an earlier one, on the event loop. Each
 * child leads a session of its own. When the leader has ended, the rest of its session is ended
 * before the end is reported. */
#include "cluster/launching/children.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/secret.h"
#include "base/trust.h"
#include "cluster/state/processes.h"

/* How often adopted processes and sessions without their leader are looked at. */
#define POLL_MS 50
/* How long exits and signals are gathered before one look at all processes. */
#define SOON_MS        2
#define LEFT_BEHIND_MS 1000 /* how long they have between SIGTERM and SIGKILL */

struct child {
    struct child *next;
    struct children *owner;
    uv_process_t process; /* not used by an adopted one */
    bool adopted;
    bool leader_gone;
    bool killed;      /* the session was sent SIGKILL */
    int pending;      /* a signal for those of the session outside the leader's group, or 0 */
    unsigned members; /* of the session, when it was last looked at */
    long long gone_ms;
    int64_t pid;
    int64_t born;
    int status;
    int signum;
    void *self;
    void (*exited)(void *self, int64_t pid, int status, int signum); /* NULL: forgotten */
};

struct children {
    uv_loop_t *loop;
    uv_timer_t poll;
    struct child *list;
    int64_t ending;
    char mark[PROCESS_MARK_BYTES]; /* of this supervisor */
};

static void poll_children(uv_timer_t *timer);

struct children *children_create(uv_loop_t *loop, struct ipcl_error *error)
{
    struct children *children = calloc(1, sizeof(*children));
    if (!children) {
        ipcl_error_set(error, "no memory to look after processes");
        return NULL;
    }
    children->loop = loop;
    process_mark(getpid(), process_born(getpid()), children->mark);
    uv_timer_init(loop, &children->poll);
    children->poll.data = children;
    return children;
}

static void free_handle(uv_handle_t *handle)
{
    free(handle->data);
}

static void release_child(struct child *child)
{
    if (child->adopted)
        free(child);
    else
        uv_close((uv_handle_t *)&child->process, free_handle);
}

void children_destroy(struct children *children)
{
    if (!children)
        return;
    while (children->list) {
        struct child *child = children->list;
        children->list = child->next;
        release_child(child);
    }
    uv_close((uv_handle_t *)&children->poll, free_handle);
}

/* Reports the child's end and forgets it. */
static void finish_child(struct child *child)
{
    struct child **link = &child->owner->list;
    while (*link != child)
        link = &(*link)->next;
    *link = child->next;
    child->owner->ending = child->pid;
    if (child->exited)
        child->exited(child->self, child->pid, child->status, child->signum);
    child->owner->ending = 0;
    release_child(child);
}

int64_t children_ending(const struct children *children)
{
    return children->ending;
}

static void leader_gone(struct child *child)
{
    child->leader_gone = true;
    child->gone_ms = clock_ms();
    child->pending = child->killed ? SIGKILL : SIGTERM;
    uv_timer_start(&child->owner->poll, poll_children, SOON_MS, POLL_MS);
}

/* Sends pending signals to a process of a child's session, and counts it. */
static void visit_process(void *context, const struct seen_process *process)
{
    struct children *children = context;
    for (struct child *child = children->list; child; child = child->next) {
        if (process->session != child->pid || process->born < child->born)
            continue;
        child->members++;
        if (child->pending && (child->leader_gone || process->group != child->pid))
            kill((pid_t)process->pid, child->pending);
        return;
    }
}

static void poll_children(uv_timer_t *timer)
{
    struct children *children = timer->data;
    bool again = false;
    for (struct child *child = children->list; child; child = child->next) {
        child->members = 0;
        if (child->adopted && !child->leader_gone && !process_runs(child->pid, child->born))
            leader_gone(child);
        if (child->leader_gone && (child->killed || clock_ms() - child->gone_ms > LEFT_BEHIND_MS))
            child->pending = SIGKILL;
    }
    if (!processes_walk(visit_process, children))
        return; /* the timer has it look again */
    for (struct child *child = children->list; child; child = child->next) {
        child->pending = 0;
        again = again || child->adopted || child->leader_gone;
    }
    if (!again)
        uv_timer_stop(timer);
    /* A callback may start or forget processes: the list is read again after each. */
    for (struct child *child = children->list; child;) {
        if (child->leader_gone && child->members == 0) {
            finish_child(child);
            child = children->list;
        } else {
            child = child->next;
        }
    }
}

static void child_exited(uv_process_t *process, int64_t status, int signum)
{
    struct child *child = process->data;
    child->status = (int)status;
    child->signum = signum;
    leader_gone(child);
}

/* The environment with the mark and `extra` added or put in place. Freed with free(); its strings
 * are borrowed. */
static char **merged_environment(const char *mark, const char *const *extra)
{
    size_t count = 0, added = 0;
    while (environ[count])
        count++;
    while (extra && extra[added])
        added++;
    char **merged = calloc(count + added + 2, sizeof(*merged));
    if (!merged)
        return NULL;
    size_t used = 0;
    merged[used++] = (char *)(uintptr_t)mark;
    for (size_t i = 0; i < count; i++) {
        bool replaced = strncmp(environ[i], mark, strcspn(mark, "=") + 1) == 0;
        for (size_t e = 0; e < added && !replaced; e++) {
            size_t name = strcspn(extra[e], "=") + 1;
            replaced = strncmp(environ[i], extra[e], name) == 0;
        }
        if (!replaced)
            merged[used++] = environ[i];
    }
    for (size_t e = 0; e < added; e++)
        merged[used++] = (char *)(uintptr_t)extra[e];
    return merged;
}

/* Spawns with both output streams in `output`. Returns libuv's code. */
static int spawn_process(struct child *child, const struct ipcl_spawn *spawn, int output)
{
    uv_stdio_container_t streams[3] = {
        {.flags = UV_IGNORE},
        {.flags = UV_INHERIT_FD, .data.fd = output},
        {.flags = UV_INHERIT_FD, .data.fd = output},
    };
    char **environment = merged_environment(child->owner->mark, spawn->environment);
    uv_process_options_t options = {
        .exit_cb = child_exited,
        .file = spawn->argv[0],
        .args = (char **)(uintptr_t)spawn->argv,
        .env = environment,
        .cwd = spawn->work_dir,
        .flags = UV_PROCESS_DETACHED, /* a session of its own */
        .stdio_count = 3,
        .stdio = streams,
    };
    secret_start_child(false);
    int code = environment ? uv_spawn(child->owner->loop, &child->process, &options) : UV_ENOMEM;
    secret_start_child(true);
    free(environment);
    return code;
}

int64_t children_spawn(struct children *children, const struct ipcl_spawn *spawn, void *self,
                       struct ipcl_error *error)
{
    const char *path = spawn->output_path ? spawn->output_path : "/dev/null";
    int output = trust_open(path, O_WRONLY | O_CREAT | O_APPEND, 0600, NULL, error);
    if (output < 0)
        return -1;
    struct child *child = calloc(1, sizeof(*child));
    if (!child) {
        close(output);
        return ipcl_error_set(error, "no memory to start %s", spawn->argv[0]);
    }
    child->owner = children;
    child->self = self;
    child->exited = spawn->exited;
    int code = spawn_process(child, spawn, output);
    child->process.data = child;
    close(output);
    if (code != 0) {
        ipcl_error_set(
            error, "cannot start %s%s%s: %s%s", spawn->argv[0], spawn->work_dir ? " in " : "",
            spawn->work_dir ? spawn->work_dir : "", uv_strerror(code),
            code == UV_EAGAIN ? " (this user may have no more processes and threads: ulimit -u)"
                              : "");
        if (code == UV_ENOMEM)
            free(child);
        else
            uv_close((uv_handle_t *)&child->process, free_handle);
        return -1;
    }
    child->pid = child->process.pid;
    child->born = process_born(child->pid);
    child->next = children->list;
    children->list = child;
    return child->pid;
}

int children_adopt(struct children *children, int64_t pid, int64_t born,
                   void (*exited)(void *self, int64_t pid, int status, int signum), void *self,
                   struct ipcl_error *error)
{
    /* A leader that was killed may have left engines behind. */
    if (!process_left(pid, born))
        return ipcl_error_set(error, "process %" PRId64 " has gone", pid);
    struct child *child = calloc(1, sizeof(*child));
    if (!child)
        return ipcl_error_set(error, "no memory to look after process %" PRId64, pid);
    *child = (struct child){.next = children->list,
                            .owner = children,
                            .adopted = true,
                            .pid = pid,
                            .born = born,
                            .self = self,
                            .exited = exited};
    children->list = child;
    uv_timer_start(&children->poll, poll_children, SOON_MS, POLL_MS);
    return 0;
}

int children_kill(struct children *children, int64_t pid, int signum, struct ipcl_error *error)
{
    for (struct child *child = children->list; child; child = child->next) {
        if (child->pid != pid)
            continue;
        /* The leader's group at once; other processes of its session at the next look. */
        kill(-(pid_t)pid, signum);
        child->killed = child->killed || signum == SIGKILL;
        child->pending = signum;
        uv_timer_start(&children->poll, poll_children, SOON_MS, POLL_MS);
        return 0;
    }
    return ipcl_error_set(error, "process %" PRId64 " has gone", pid);
}

json_t *children_list(const struct children *children, const void *self)
{
    json_t *list = json_array();
    for (const struct child *child = children->list; child; child = child->next) {
        if (child->self == self)
            json_array_append_new(
                list, json_pack("[I,I]", (json_int_t)child->pid, (json_int_t)child->born));
    }
    return list;
}

void children_forget(struct children *children, const void *self)
{
    for (struct child *child = children ? children->list : NULL; child; child = child->next) {
        if (child->self == self)
            child->exited = NULL;
    }
}
