/* The watcher. Started by the main thread, told of registrations by the I/O thread; it is a process
 * of one thread, which sleeps until the engine is gone, and owns no socket until then. */
#include "engine/watcher.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "base/own_words.h"
#include "base/mark.h"
#include "base/secret.h"
#include "base/shared.h"
#include "engine/io.h"
#include "engine/oom.h"
#include "plugin/registry.h"
#include "wire/serializer.h"

/* How long the notice may take to leave. ipyparallel's nanny waits as long. */
#define LINGER_MS 3000
/* How long it may take from the closing of an engine's files to its end. */
#define END_MS 500
/* A msg_id with its NUL: the task scheduler takes no longer ones. */
#define TASK_ID_BYTES 256

/* The task that began last, in memory that outlives the engine. A task is written where the one
 * before it is not, so that one of them is whole whenever the engine dies. */
struct begun {
    _Atomic unsigned current;
    char tasks[2][TASK_ID_BYTES];
};

/* What the engine says of itself, each time in one write(2). */
struct news {
    int64_t id; /* as which it is registered; -1: not, or it leaves by itself */
    char uuid[RANDOM_UUID_BYTES], route[ENGINE_ROUTE_BYTES];
    bool watched; /* as in struct engine */
    struct connection connection;
};
_Static_assert(sizeof(struct news) <= PIPE_BUF, "so it comes whole");

struct watch {
    struct news news;
    struct news heard; /* where the next comes to: the whole struct is left out of core files */
    const char *profile_dir;
    const struct begun *begun;
    struct capture capture;
    pid_t pid;      /* the engine's */
    int process;    /* readable once the engine has ended; -1 where the kernel has no such thing */
    int said;       /* the pipe on which the news comes; its end closes with the engine */
    bool dead;      /* it has ended; otherwise it has become another program */
    struct oom oom; /* when it began */
};

static int compare(const void *left, const void *right)
{
    return *(const int *)left - *(const int *)right;
}

/* Keeps of the engine's files what its last words come from and go to. */
static void keep_nothing_else(const struct watch *watch)
{
    int kept[] = {STDERR_FILENO, watch->said, watch->capture.streams[0].pipe,
                  watch->capture.streams[1].pipe,
                  watch->process < 0 ? watch->said : watch->process};
    size_t count = sizeof(kept) / sizeof(*kept);
    qsort(kept, count, sizeof(*kept), compare);
    /* A range that ends before it begins is refused, as it should be. */
    for (size_t i = 0; i + 1 < count; i++)
        close_range((unsigned)kept[i] + 1, (unsigned)kept[i + 1] - 1, 0);
    close_range((unsigned)kept[count - 1] + 1, ~0U, 0);
}

/* Who reads an engine's output waits until everybody has closed it. */
static void close_standard_files(void)
{
    int null = open("/dev/null", O_RDWR);
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        dup2(null, fd);
    if (null > STDERR_FILENO)
        close(null);
}

/* Not to be taken for an engine by who looks for engines by name. */
static void take_name(const struct watch *watch)
{
    struct own_words words;
    if (own_words_find(&words)) {
        size_t room = (size_t)(words.environment - words.arguments);
        memset(words.arguments, 0, room);
        snprintf(words.arguments, room, "engine-watcher %ld", (long)watch->pid);
    }
    prctl(PR_SET_NAME, "engine-watcher");
}

/* Sleeps until the engine is gone. */
static void wait_for_end(struct watch *watch)
{
    struct pollfd fds[] = {{.fd = watch->said, .events = POLLIN},
                           {.fd = watch->process, .events = POLLIN}};
    ssize_t size = -1;
    while (size && !fds[1].revents && (poll(fds, 2, -1) >= 0 || errno == EINTR))
        while ((size = read(watch->said, &watch->heard, sizeof(watch->heard))) ==
               sizeof(watch->heard))
            watch->news = watch->heard;
    watch->dead = watch->process < 0 ? kill(watch->pid, 0) : poll(&fds[1], 1, END_MS) > 0;
}

/* The engine's wait status, as long as its parent has not asked for it. Returns whether it is
 * known (proc(5), stat: the last field). */
static bool read_zombie(const struct watch *watch, int *status)
{
    char path[32], line[2048];
    snprintf(path, sizeof(path), "/proc/%ld/stat", (long)watch->pid);
    FILE *file = fopen(path, "r");
    size_t size = file ? fread(line, 1, sizeof(line) - 1, file) : 0;
    if (file)
        fclose(file);
    line[size] = '\0';
    const char *state = strrchr(line, ')'), *last = strrchr(line, ' ');
    return state && state[1] && state[2] == 'Z' && last && sscanf(last, "%d", status) == 1;
}

/* And once it has: Linux 6.15 and later tell everybody who has the file descriptor
 * (linux/pidfd.h). */
static bool read_reaped(const struct watch *watch, int *status)
{
    struct {
        uint64_t mask, cgroup;
        uint32_t pids[3], owners[8];
        int32_t exit_code;
        uint32_t coredump[2];
    } info = {.mask = 1 << 3}; /* PIDFD_INFO_EXIT */
    if (watch->process < 0 || ioctl(watch->process, _IOWR(0xff, 11, info), &info) ||
        !(info.mask & 1 << 3))
        return false;
    *status = info.exit_code;
    return true;
}

/* Where a core goes is the system's choice (core(5)): to a file of some name, or to a program. */
static void describe_core(char *text, size_t size)
{
    char pattern[128] = "";
    FILE *file = fopen("/proc/sys/kernel/core_pattern", "r");
    if (file && !fgets(pattern, sizeof(pattern), file))
        pattern[0] = '\0';
    if (file)
        fclose(file);
    pattern[strcspn(pattern, " \n")] = '\0';
    if (*pattern == '|')
        snprintf(text, size, "; %s has its core", pattern + 1);
    else
        snprintf(text, size, "; it has left a core file (kernel.core_pattern is %s)", pattern);
}

/* Whether a signal is one that others send. */
static bool is_sent(int signum)
{
    static const int faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP, SIGSYS};
    for (size_t i = 0; i < sizeof(faults) / sizeof(*faults); i++)
        if (signum == faults[i])
            return false;
    return true;
}

static enum io_cause describe_end(const struct watch *watch, char *text, size_t size)
{
    char more[192] = "";
    int status = 0;
    if (!watch->dead)
        snprintf(text, size, "became another program");
    else if (!read_zombie(watch, &status) && !read_reaped(watch, &status))
        snprintf(text, size, "the system does not tell how");
    else if (WIFSIGNALED(status)) {
        if (WCOREDUMP(status))
            describe_core(more, sizeof(more));
        else if (WTERMSIG(status) == SIGKILL)
            oom_describe(&watch->oom, more, sizeof(more));
        snprintf(text, size, "killed by signal %d (%s)%s", WTERMSIG(status),
                 strsignal(WTERMSIG(status)), more);
    } else
        snprintf(text, size, "exited with status %d", WEXITSTATUS(status));
    return WIFSIGNALED(status) && is_sent(WTERMSIG(status)) ? IO_SIGNAL : IO_OWN;
}

static void send_notice(const struct watch *watch, enum io_cause cause, const char *reason)
{
    struct ipcl_error error;
    struct curve curve = {0};
    struct message message;
    char url[CONNECTION_TEXT_BYTES + 16];
    const struct connection *connection = &watch->news.connection;
    struct registry *registry = registry_create(watch->profile_dir, &error);
    const struct ipcl_serial_operations *serial =
        registry ? serializer_load(registry, connection->pack, connection->unpack, &error) : NULL;
    struct socket_options options = {.type = ZMQ_DEALER, .linger_ms = LINGER_MS};
    if (connection->curve_serverkey[0]) {
        if (curve_generate(&curve, &error))
            return;
        memcpy(curve.server_key, connection->curve_serverkey, CURVE_KEY_BYTES);
        options.curve = &curve;
    }
    struct session *session =
        serial ? session_create(connection->key, strlen(connection->key),
                                connection->signature_scheme, serial, NULL, &error)
               : NULL;
    const struct socket_needs needs = {.who = "the watcher", .io_threads = 1, .descriptors = 2};
    void *context = socket_context(&needs, &error);
    options.identity = session ? session_id(session) : NULL;
    options.identity_size = SESSION_ID_LENGTH;
    void *socket = session && context ? socket_create(context, &options, &error) : NULL;
    if (!socket || connection_url(connection, connection->registration, url, &error) ||
        socket_connect(socket, url, &error))
        return;
    message_init(&message);
    const struct begun *begun = watch->begun;
    struct registration_end end = {watch->news.id,
                                   watch->news.uuid,
                                   watch->news.route,
                                   true,
                                   cause,
                                   reason,
                                   begun ? begun->tasks[begun->current & 1] : NULL};
    struct seal seal = {.session = session,
                        .channel = SEAL_HUB,
                        .role = CONNECTION_ENGINE,
                        .encrypted = options.curve};
    if (!registration_build_end(session, &end, &message, &error) &&
        !seal_introduce(&seal, &message, options.identity, options.identity_size,
                        connection->sealed, &error))
        message_send(&message, socket);
    zmq_close(socket);
    zmq_ctx_term(context); /* lingers until the notice has left */
}

static void become_watcher(struct watch *watch)
{
    char words[CAPTURE_WORDS_BYTES], how[320], reason[sizeof(words) + sizeof(how) + 32];
    mark_erase();
    setsid(); /* the terminal's signals, and those to its group, are for the engine */
    signal(SIGPIPE, SIG_IGN);
    keep_nothing_else(watch);
    take_name(watch);
    wait_for_end(watch);
    if (!watch->dead && watch->news.id < 0)
        _exit(0); /* it is not wanted */
    enum io_cause cause = describe_end(watch, how, sizeof(how));
    capture_last_words(&watch->capture, words);
    close_standard_files();
    snprintf(reason, sizeof(reason), "%s%s%s", how, *words ? "; its last words: " : "", words);
    if (watch->news.id >= 0 && watch->news.watched)
        send_notice(watch, cause, reason);
    _exit(0);
}

void watcher_start(struct engine *engine, const char *profile_dir)
{
    engine->begun_memory = shared_make(sizeof(struct begun));
    watcher_take_over(engine);
    struct watch watch = {.news = {.id = -1},
                          .profile_dir = profile_dir,
                          .begun = engine->begun,
                          .capture = engine->capture,
                          .pid = getpid()};
    int ends[2];
    watch.process = (int)syscall(SYS_pidfd_open, watch.pid, 0);
    oom_look(&watch.oom);
    pid_t pid = pipe2(ends, O_CLOEXEC | O_NONBLOCK) ? -1 : fork();
    if (pid < 0) {
        log_warn("no watcher can be started (%s): were this engine to die, nobody would learn of "
                 "what",
                 strerror(errno));
        return;
    }
    watch.said = ends[0];
    if (!pid) {
        /* User code waits for all of its children: this one must not be among them. */
        if (fork())
            _exit(0);
        close(ends[1]);
        secret_hide(&watch, sizeof(watch));
        become_watcher(&watch);
    }
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        ;
    close(ends[0]);
    if (watch.process >= 0)
        close(watch.process);
    engine->watcher = ends[1];
}

/* Where memory is short, nobody learns what had begun. */
void watcher_take_over(struct engine *engine)
{
    engine->begun = shared_map(engine->begun_memory, sizeof(struct begun));
}

void watcher_admit(struct engine *engine)
{
    bool wanted = settings_bool(engine->settings, "IPEngine", "enable_nanny");
    if (engine->watcher >= 0 && !wanted) {
        close(engine->watcher);
        engine->watcher = -1;
    }
    /* A tunnel ends with the engine. */
    engine->watched = engine->watcher >= 0 && !engine->tunnel;
}

void watcher_note_begun(const struct engine *engine, const char *msg_id)
{
    struct begun *begun = engine->begun;
    if (!begun)
        return;
    unsigned next = begun->current + 1;
    snprintf(begun->tasks[next & 1], TASK_ID_BYTES, "%s", msg_id);
    begun->current = next;
}

void watcher_tell(const struct engine *engine, int64_t id)
{
    struct news news = {.id = id, .watched = engine->watched, .connection = engine->connection};
    memcpy(news.uuid, engine->uuid, sizeof(news.uuid));
    memcpy(news.route, engine->route, sizeof(news.route));
    if (engine->watcher >= 0 && write(engine->watcher, &news, sizeof(news)) < 0)
        log_debug("the watcher is gone: %s", strerror(errno));
    explicit_bzero(&news, sizeof(news));
}
