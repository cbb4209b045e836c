/* Runs a launcher class on test jobs, whose programs are sleep and true, and checks what launcher.h
 * promises. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/path.h"
#include "cluster/launching/launcher.h"
#include "cluster/plugins/plugin_check_private.h"

#define COPIES      2
#define PATIENCE_MS 25000 /* for what is to happen at once */
#define STOP_MS     30000 /* where a class does not say */

struct trial {
    const struct plugin_check *check;
    const struct launcher_choice *choice;
    uv_loop_t loop;
    uv_timer_t timer;
    struct children *children;
    unsigned count, running, ended;
    int status;
    bool timed_out;
    char reason[IPCL_ERROR_BYTES];
};

static const char *name_of(const struct trial *trial)
{
    return trial->choice->class->name;
}

static void on_started(void *context, unsigned count)
{
    struct trial *trial = context;
    trial->running = count == IPCL_ALL_COPIES ? trial->count : trial->running + count;
}

static void on_status(void *context, const char *text)
{
    (void)context, (void)text;
}

static void on_stopped(void *context, unsigned index, int status, const char *reason)
{
    struct trial *trial = context;
    if (index != IPCL_ALL_COPIES && index >= trial->count)
        check_fault(trial->check, "%s reports the end of copy %u, but it was to start %u copies",
                    name_of(trial), index, trial->count);
    trial->ended = index == IPCL_ALL_COPIES ? trial->count : trial->ended + 1;
    trial->status = status ? status : trial->status;
    if (reason)
        snprintf(trial->reason, sizeof(trial->reason), ": %.900s", reason);
}

static void on_explained(void *context, unsigned index, const char *reason, bool cut_short)
{
    (void)context, (void)index, (void)reason, (void)cut_short;
}

static void on_waiting(void *context, unsigned count)
{
    struct trial *trial = context;
    trial->running -= count < trial->running ? count : trial->running;
}

static void on_resized(void *context, unsigned count, const char *why)
{
    struct trial *trial = context;
    (void)why;
    trial->count = count;
}

static void on_warned(void *context, const char *text)
{
    struct trial *trial = context;
    snprintf(trial->reason, sizeof(trial->reason), ": %.900s", text);
}

static void on_time(uv_timer_t *timer)
{
    struct trial *trial = timer->data;
    trial->timed_out = true;
}

static bool are_started(const struct trial *trial)
{
    return trial->running >= trial->count || trial->ended;
}

static bool are_ended(const struct trial *trial)
{
    return trial->ended >= trial->count;
}

/* Turns the loop until it is so. Returns whether it is. */
static bool wait_until(struct trial *trial, bool (*is_so)(const struct trial *trial),
                       unsigned timeout_ms)
{
    trial->timed_out = false;
    uv_timer_start(&trial->timer, on_time, timeout_ms, 0);
    while (!is_so(trial) && !trial->timed_out)
        uv_run(&trial->loop, UV_RUN_ONCE);
    uv_timer_stop(&trial->timer);
    return is_so(trial);
}

static struct launcher *create(struct trial *trial, struct ipcl_error *error)
{
    const struct launcher_options options = {
        .loop = &trial->loop,
        .children = trial->children,
        .settings = trial->check->settings,
        .plugin = trial->choice->plugin,
        .class = trial->choice->class,
        .events = {on_started, on_status, on_stopped, on_explained, on_waiting, on_resized,
                   on_warned, trial},
    };
    check_stage(trial->check, "in create() of %s", name_of(trial));
    struct launcher *launcher = launcher_create(&options, error);
    if (!launcher)
        check_fault(trial->check, "%s", error->text);
    return launcher;
}

/* Starts copies of a line of a shell, which takes what a launcher may add to a command. */
static bool start(struct trial *trial, struct launcher *launcher, const char *line)
{
    const char *const argv[] = {"/bin/sh", "-c", line, "sh", NULL};
    const struct ipcl_launch launch = {
        .count = trial->count,
        .argv = argv,
        .work_dir = trial->check->folder,
        .log_dir = trial->check->folder,
        .label = "ipengine-check",
        .profile_dir = trial->check->folder,
        .cluster_id = "",
    };
    struct ipcl_error error;
    check_stage(trial->check, "in start() of %s", name_of(trial));
    if (launcher_start(launcher, &launch, &error) == 0)
        return true;
    check_fault(trial->check, "%s cannot start '%s': %s", name_of(trial), line, error.text);
    return false;
}

/* A launcher that was not started takes over what another started, and nothing else. */
static void check_json(struct trial *trial, struct launcher *launcher)
{
    struct ipcl_error error;
    check_stage(trial->check, "in to_json() of %s", name_of(trial));
    json_t *own = launcher_to_json(launcher, &error), *nothing = json_object();
    if (!own)
        check_fault(trial->check, "%s", error.text);
    for (int i = own ? 0 : 1; i < 2; i++) {
        struct launcher *later = create(trial, &error);
        unsigned ended = trial->ended;
        check_stage(trial->check, "in from_json() of %s, of %s", name_of(trial),
                    i ? "an object that does not name a job" : "what its to_json() gave");
        int status = later ? launcher_from_json(later, i ? nothing : own, &error) : 0;
        if (i && status == 0 && later)
            check_fault(trial->check,
                        "%s accepts {} in from_json(), which does not name a job: it has to "
                        "return -1",
                        name_of(trial));
        else if (!i && (status < 0 || trial->ended != ended))
            check_fault(trial->check, "%s does not find what runs by its to_json(): %s",
                        name_of(trial),
                        status < 0 ? error.text : "from_json() reports that it has ended");
        launcher_destroy(later);
        trial->ended = ended;
    }
    json_decref(own);
    json_decref(nothing);
}

static void check_output(struct trial *trial, struct launcher *launcher)
{
    char path[PATH_BYTES];
    memset(path, 'x', sizeof(path));
    check_stage(trial->check, "in output() of %s", name_of(trial));
    if (launcher_output(launcher, 0, path, sizeof(path)) == 0 &&
        (*path != '/' || !memchr(path, '\0', sizeof(path))))
        check_fault(trial->check, "%s gives no absolute path for the output of copy 0",
                    name_of(trial));
}

static void check_stop(struct trial *trial, struct launcher *launcher)
{
    struct ipcl_error error;
    unsigned own_ms = launcher_stop_ms(launcher), patience_ms = own_ms ? own_ms : STOP_MS;
    check_stage(trial->check, "in stop() of %s", name_of(trial));
    if (launcher_stop(launcher, &error) < 0)
        check_fault(trial->check, "%s cannot stop what it started: %s", name_of(trial), error.text);
    alarm(0);
    bool ended = wait_until(trial, are_ended, patience_ms);
    json_t *left = launcher_processes(launcher);
    if (!ended)
        check_fault(trial->check,
                    "%s has reported the end of %u copies of %u, %u seconds after stop()",
                    name_of(trial), trial->ended, trial->count, patience_ms / 1000);
    else if (json_array_size(left))
        check_fault(trial->check, "%s leaves processes behind after it has stopped all copies",
                    name_of(trial));
    for (size_t i = 0; i < json_array_size(left); i++)
        children_kill(trial->children,
                      json_integer_value(json_array_get(json_array_get(left, i), 0)), SIGKILL,
                      NULL);
    json_decref(left);
}

/* What runs on is found again, and stopped. */
static void try_sleep(struct trial *trial)
{
    struct ipcl_error error;
    struct launcher *launcher = create(trial, &error);
    if (launcher && start(trial, launcher, "exec sleep 90")) {
        alarm(0);
        if (!wait_until(trial, are_started, PATIENCE_MS))
            check_fault(trial->check,
                        "%s has called started() for %u copies of %u, %d seconds after start()",
                        name_of(trial), trial->running, trial->count, PATIENCE_MS / 1000);
        if (trial->ended)
            check_fault(trial->check, "%s reports that 'sleep 90' has ended at once%s",
                        name_of(trial), trial->reason);
        check_output(trial, launcher);
        check_json(trial, launcher);
        check_stop(trial, launcher);
    }
    launcher_destroy(launcher);
}

/* What ends by itself is reported. */
static void try_true(struct trial *trial)
{
    struct ipcl_error error;
    struct launcher *launcher = create(trial, &error);
    if (launcher && start(trial, launcher, "exec true")) {
        alarm(0);
        if (!wait_until(trial, are_ended, PATIENCE_MS))
            check_fault(trial->check,
                        "%s has reported the end of %u copies of %u that ran 'true' and ended",
                        name_of(trial), trial->ended, trial->count);
        else if (trial->status)
            check_fault(trial->check, "%s reports exit status %d of 'true', whose status is 0%s",
                        name_of(trial), trial->status, trial->reason);
    }
    launcher_destroy(launcher);
}

static void run(struct trial *trial, void (*try)(struct trial *trial))
{
    struct ipcl_error error;
    trial->running = trial->ended = 0;
    trial->status = 0;
    trial->reason[0] = '\0';
    trial->count = trial->choice->class->role == IPCL_ROLE_ENGINES ? COPIES : 1;
    uv_loop_init(&trial->loop);
    uv_timer_init(&trial->loop, &trial->timer);
    trial->timer.data = trial;
    trial->children = children_create(&trial->loop, &error);
    if (trial->children)
        try(trial);
    else
        check_fault(trial->check, "%s", error.text);
    children_destroy(trial->children);
    uv_close((uv_handle_t *)&trial->timer, NULL);
    uv_run(&trial->loop, UV_RUN_NOWAIT);
    uv_loop_close(&trial->loop);
}

void check_class(const struct plugin_check *check, const struct launcher_choice *choice)
{
    struct trial trial = {.check = check, .choice = choice};
    run(&trial, try_sleep);
    run(&trial, try_true);
}
