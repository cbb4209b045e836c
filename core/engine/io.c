/* The I/O thread: sockets, poll loop, and the engine's orderly or forced end. */
#include "engine/io.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/ending.h"
#include "base/trace.h"
#include "engine/stats.h"

void *io_socket(struct io *io, int type, const char *identity, const char *url,
                struct ipcl_error *error)
{
    struct socket_options options = {
        .type = type,
        .curve = connection_is_encrypted(&io->engine->connection) ? &io->curve : NULL,
        .identity = identity,
        .identity_size = identity ? strlen(identity) : 0,
        .send_max = type == ZMQ_XPUB ? IO_PUBLISHED_MAX : 0,
        .frame_bytes_max = type == ZMQ_XPUB ? SOCKET_TOPIC_BYTES_MAX : 0,
        .linger_ms = IO_LINGER_MS,
    };
    void *socket = socket_create(io->engine->context, &options, error);
    if (socket &&
        (socket_set_up_returning(socket, error) || (url && socket_connect(socket, url, error)))) {
        zmq_close(socket);
        return NULL;
    }
    return socket;
}

void io_stop(struct io *io, enum engine_exit code, const char *reason)
{
    if (io->state >= IO_STOPPING)
        return;
    log_write(code ? IPCL_LOG_ERROR : IPCL_LOG_INFO, "%s", reason);
    if (reason != io->ending)
        snprintf(io->ending, sizeof(io->ending), "%s", reason);
    io->engine->exit_code = code;
    io->engine->ending = true;
    control_answer_drains(io);
    reply_flush(io);
    registration_leave(io);
    io->state = IO_STOPPING;
    io->stop_ms = clock_ms() + ENDING_RUNNING_MS;
    shell_answer_queued(io, false);
    frontends_cancel(io);
    io_interrupt(io);
    shell_next(io);
}

void io_obey(struct io *io, enum io_cause cause, const char *reason)
{
    if (io->state < IO_STOPPING)
        io->cause = cause;
    io_stop(io, ENGINE_EXIT_STOPPED, reason);
}

void io_drain(struct io *io, enum engine_exit code, const char *reason, long long until_ms)
{
    snprintf(io->ending, sizeof(io->ending), "%s", reason);
    log_info("%s: it accepts nothing new, finishes what it has begun, and ends", io->ending);
    io->draining = true;
    io->drained = code;
    io->cause = IO_ORDER;
    io->stop_ms = bounds_until(io->engine, until_ms);
    shell_answer_queued(io, true);
    shell_next(io);
}

void io_interrupt(struct io *io)
{
    if (io->running && io->running->door) /* with JOB_QUIT the kernel goes */
        io->engine->kernel->interrupt(io->engine->kernel_self, io->running->number);
}

/* The engine waits no longer: what was sent leaves, and the process ends while user code holds the
 * interpreter. */
static void end_process(struct io *io)
{
    log_warn("user code or MPI does not end: ending the process without waiting for it");
    capture_flush(&io->engine->capture);
    if (io->running && io->running->door && reply_wanted(io->running))
        reply_ended(io, io->running);
    reply_flush(io);
    frontends_close(&io->frontends);
    usleep(200 * 1000); /* zmq's own thread sends */
    trace_stop();
    _exit(io->engine->exit_code);
}

static void read_signals(void *self)
{
    struct io *io = self;
    unsigned char number;
    while (read(io->engine->signal_fd, &number, 1) == 1) {
        if (number == SIGTERM) /* also the second: mpiexec and ipcluster both send it */
            io_obey(io, IO_SIGNAL, "the engine was told to end (SIGTERM)");
        else if (number == SIGHUP)
            io_obey(io, IO_SIGNAL, "the engine's terminal has gone (SIGHUP)");
        else if (io->running && io->running->door)
            io_interrupt(io);
        else if (io->state == IO_REGISTERING)
            io_stop(io, ENGINE_EXIT_STOPPED,
                    "the engine was interrupted before it had registered, and ends");
        else
            log_warn("SIGINT ignored, because no request runs; SIGTERM ends an engine");
    }
}

/* What was printed before another thread asked for something is published before that is done. */
static void take_errand(void *self)
{
    struct io *io = self;
    struct errand *errand = link_errand(&io->engine->link);
    if (!errand)
        return;
    capture_flush(&io->engine->capture);
    errand->run(io, errand);
    link_errand_done(&io->engine->link);
}

/* A signal would end a call of libzmq's half way. */
bool io_take_back(struct job *job)
{
    struct io *io = job->door->io;
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    bool entered = loop_enter(io->loop);
    if (entered) {
        shell_done(io, job);
        loop_leave(io->loop);
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return entered;
}

static void take_job(void *self)
{
    struct io *io = self;
    struct job *job = link_returned(&io->engine->link);
    if (job)
        shell_done(io, job);
}

static void read_output(void *self)
{
    struct capture *capture = &((struct io *)self)->engine->capture;
    for (int i = 0; i < 2; i++)
        capture_read(capture, &capture->streams[i], clock_ms());
}

static void check_tunnel(void *self)
{
    struct io *io = self;
    struct ipcl_error error;
    if (!tunnel_check(io->engine->tunnel, &error))
        return;
    loop_remove_fd(io->loop, tunnel_fd(io->engine->tunnel));
    io_stop(io, ENGINE_EXIT_CONTROLLER, error.text);
}

int io_watch_tunnel(struct io *io, struct ipcl_error *error)
{
    struct tunnel *tunnel = io->engine->tunnel;
    if (tunnel && loop_add_fd(io->loop, tunnel_fd(tunnel), check_tunnel, io))
        return ipcl_error_set(error, "the output of ssh cannot be polled");
    return 0;
}

static void stop_late(struct io *io)
{
    size_t used = strlen(io->ending);
    snprintf(io->ending + used, sizeof(io->ending) - used, ", and what ran did not finish in time");
    io_stop(io, io->drained, io->ending);
}

/* Runs what is due. Returns when the next is. */
static long long tick(void *self, long long now_ms)
{
    struct io *io = self;
    long long due_ms = capture_tick(&io->engine->capture, now_ms);
    if (io->state == IO_REGISTERING)
        due_ms = clock_sooner(due_ms, registration_tick(io, now_ms));
    if (io->state == IO_CONNECTING)
        due_ms = clock_sooner(due_ms, heart_connecting(io, now_ms));
    if (io->state == IO_SERVING) {
        due_ms = clock_sooner(due_ms, heart_tick(io, now_ms));
        due_ms = clock_sooner(due_ms, registration_again_tick(io, now_ms));
    }
    due_ms = clock_sooner(due_ms, bounds_tick(io, now_ms));
    due_ms = clock_sooner(due_ms, reply_tick(io, now_ms));
    if (io->draining && io->state != IO_STOPPING && now_ms >= io->stop_ms)
        stop_late(io);
    if (io->state == IO_STOPPING && now_ms >= io->stop_ms)
        end_process(io);
    if (io->draining || io->state == IO_STOPPING)
        due_ms = clock_sooner(due_ms, io->stop_ms);
    return due_ms;
}

/* What is heard from the start; registration adds the sockets to the controller. */
static int open_loop(struct io *io, struct ipcl_error *error)
{
    struct engine *engine = io->engine;
    io->loop = loop_create("engine", error);
    if (!io->loop)
        return -1;
    loop_count_rounds(io->loop, &engine_stats.rounds);
    loop_set_tick(io->loop, tick, io);
    if (loop_add_fd(io->loop, engine->link.returned_fd, take_job, io) ||
        loop_add_fd(io->loop, engine->link.errand_fd, take_errand, io) ||
        loop_add_fd(io->loop, engine->signal_fd, read_signals, io) ||
        loop_add_fd(io->loop, engine->capture.streams[0].pipe, read_output, io) ||
        loop_add_fd(io->loop, engine->capture.streams[1].pipe, read_output, io))
        return ipcl_error_set(error, "the engine's own descriptors cannot be polled");
    return io_watch_tunnel(io, error);
}

/* Has what the seals accept counted for the socket that it comes from. */
static void count_accepted(struct seal seals[SEAL_CHANNELS])
{
    static const struct {
        enum seal_channel channel;
        enum engine_socket socket;
    } sources[] = {{SEAL_HUB, ENGINE_REGISTRAR},
                   {SEAL_CONTROL, ENGINE_CONTROL},
                   {SEAL_DIRECT, ENGINE_SHELL},
                   {SEAL_TASK, ENGINE_SHELL},
                   {SEAL_BROADCAST, ENGINE_SHELL}};
    for (size_t i = 0; i < sizeof(sources) / sizeof(*sources); i++)
        seals[sources[i].channel].traffic = &engine_stats.sockets[sources[i].socket].traffic;
}

int io_prepare(struct io *io, struct ipcl_error *error)
{
    struct engine *engine = io->engine;
    struct connection *connection = &engine->connection;
    struct session *session =
        session_create(connection->key, strlen(connection->key), connection->signature_scheme,
                       engine->serial, engine->uuid, error);
    door_close(&io->cluster);
    if (door_open(&io->cluster, io, engine->serial, session, connection, error))
        return -1;
    io->cluster.frame_bytes_max = connection->frame_bytes_max;
    reply_collect(io);
    count_accepted(io->cluster.seals);
    if (!connection_is_encrypted(connection))
        return 0;
    if (curve_generate(&io->curve, error))
        return -1;
    memcpy(io->curve.server_key, connection->curve_serverkey, CURVE_KEY_BYTES);
    return 0;
}

static void publish_output(void *context, const char *name, const char *text, size_t size)
{
    struct io *io = context;
    json_t *content = json_pack("{s:s s:s%}", "name", name, "text", text, size);
    publish(io, "stream", name, content, NULL, NULL, 0);
    json_decref(content);
}

static void cleanup(struct io *io)
{
    reply_release(io);
    loop_destroy(io->loop);
    registration_release(io);
    abort_release(io);
    recall_release(io);
    segment_link_close(&io->segments);
    door_close(&io->cluster);
    frontends_close(&io->frontends);
    free(io->parent);
}

static void block_signals(void)
{
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, NULL);
}

void *engine_io_main(void *argument)
{
    struct io io = {.engine = argument};
    struct ipcl_error error;
    block_signals(); /* they are the main thread's */
    TAILQ_INIT(&io.queue);
    TAILQ_INIT(&io.drains);
    io.engine->capture.publish = publish_output;
    io.engine->capture.context = &io;
    if (open_loop(&io, &error)) {
        log_error("%s", error.text);
        _exit(ENGINE_EXIT_FAILED);
    }
    if (io_prepare(&io, &error) || registration_start(&io, &error))
        io_stop(&io, ENGINE_EXIT_REGISTRATION, error.text);
    else if (io.engine->frontend_wishes && frontends_open(&io, io.engine->frontend_wishes, &error))
        log_error("frontends cannot attach: %s", error.text);
    loop_run(io.loop);
    cleanup(&io);
    return NULL;
}
