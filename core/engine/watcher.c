/* The watcher. Started by the main thread, told of registrations by the I/O thread; it is a process
 * of one thread, which sleeps until the engine is gone. */
#include "engine/watcher.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "engine/io.h"

/* How long the notice may take to leave. ipyparallel's nanny waits as long. */
#define LINGER_MS 3000

struct watch {
    const struct connection *connection;
    const struct ipcl_serial_operations *serial;
    char url[CONNECTION_TEXT_BYTES + 16]; /* of the registration */
    pid_t engine;
    int process; /* readable once the engine has ended; -1 where the kernel has no such thing */
    int said;    /* the pipe on which the engine says its id; its end closes with the engine */
};

/* Keeps nothing of the engine's: who reads its output waits until everybody has closed it. */
static void keep_nothing_else(const struct watch *watch)
{
    int low = watch->said, high = watch->said;
    int null = open("/dev/null", O_RDWR);
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        dup2(null, fd);
    if (watch->process >= 0 && watch->process < low)
        low = watch->process;
    else if (watch->process > high)
        high = watch->process;
    /* A range that ends before it begins is refused, as it should be. */
    close_range(STDERR_FILENO + 1, (unsigned)low - 1, 0);
    close_range((unsigned)low + 1, (unsigned)high - 1, 0);
    close_range((unsigned)high + 1, ~0U, 0);
}

/* Not to be taken for an engine by who looks for engines by name. */
static void take_name(const struct watch *watch, int argc, char **argv)
{
    char *end = argv[argc - 1] + strlen(argv[argc - 1]);
    size_t room = (size_t)(end - argv[0]);
    memset(argv[0], 0, room);
    snprintf(argv[0], room, "engine-watcher %ld", (long)watch->engine);
    prctl(PR_SET_NAME, "engine-watcher");
}

/* Sleeps until the engine is gone. Returns the id that it had, -1 where there is nothing to tell.
 */
static int64_t wait_for_end(const struct watch *watch)
{
    struct pollfd fds[] = {{.fd = watch->said, .events = POLLIN},
                           {.fd = watch->process, .events = POLLIN}};
    int64_t id = -1, told;
    for (;;) {
        if (poll(fds, 2, -1) < 0 && errno != EINTR)
            return -1;
        ssize_t size;
        while ((size = read(watch->said, &told, sizeof(told))) == sizeof(told))
            if ((id = told) < 0)
                return -1;
        if (!size || fds[1].revents)
            return id;
    }
}

static void send_notice(const struct watch *watch, int64_t id)
{
    struct ipcl_error error;
    struct curve curve = {0};
    struct message message;
    const struct connection *connection = watch->connection;
    struct socket_options options = {.type = ZMQ_DEALER, .linger_ms = LINGER_MS};
    if (connection->curve_serverkey[0]) {
        if (curve_generate(&curve, &error))
            return;
        memcpy(curve.server_key, connection->curve_serverkey, CURVE_KEY_BYTES);
        options.curve = &curve;
    }
    struct session *session =
        session_create(connection->key, strlen(connection->key), connection->signature_scheme,
                       watch->serial, NULL, &error);
    const struct socket_needs needs = {.who = "the watcher", .io_threads = 1, .descriptors = 2};
    void *context = socket_context(&needs, &error);
    void *socket = session && context ? socket_create(context, &options, &error) : NULL;
    if (!socket || socket_connect(socket, watch->url, &error))
        return;
    message_init(&message);
    if (!registration_build_end(session, id, &message, &error))
        message_send(&message, socket);
    zmq_close(socket);
    zmq_ctx_term(context); /* lingers until the notice has left */
}

static void become_watcher(const struct watch *watch, int argc, char **argv)
{
    setsid(); /* the terminal's signals, and those to its group, are for the engine */
    keep_nothing_else(watch);
    take_name(watch, argc, argv);
    int64_t id = wait_for_end(watch);
    if (id >= 0)
        send_notice(watch, id);
    _exit(0);
}

void watcher_start(struct engine *engine, int argc, char **argv)
{
    struct watch watch = {
        .connection = &engine->connection, .serial = engine->serial, .engine = getpid()};
    struct ipcl_error error;
    int ends[2];
    if (engine->connection.sees_deaths || engine->tunnel ||
        !settings_bool(engine->settings, "IPEngine", "enable_nanny"))
        return;
    if (connection_url(watch.connection, watch.connection->registration, watch.url, &error))
        return; /* registration will say so */
    watch.process = (int)syscall(SYS_pidfd_open, watch.engine, 0);
    pid_t pid = pipe2(ends, O_CLOEXEC | O_NONBLOCK) ? -1 : fork();
    if (pid < 0) {
        log_warn("no watcher can be started (%s): were this engine to die, the controller would "
                 "learn it by missed heartbeats",
                 strerror(errno));
        return;
    }
    watch.said = ends[0];
    if (!pid) {
        /* User code waits for all of its children: this one must not be among them. */
        if (fork())
            _exit(0);
        close(ends[1]);
        become_watcher(&watch, argc, argv);
    }
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        ;
    close(ends[0]);
    if (watch.process >= 0)
        close(watch.process);
    engine->watcher = ends[1];
}

void watcher_tell(const struct engine *engine, int64_t id)
{
    if (engine->watcher >= 0 && write(engine->watcher, &id, sizeof(id)) < 0)
        log_debug("the watcher is gone: %s", strerror(errno));
}
