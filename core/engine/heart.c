/* The heart: echoes the controller's pings, and misses them when they stay away. I/O thread. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "engine/io.h"
#include "engine/stats.h"

/* The hub's timer is not exact: the check is this much slower. */
#define CHECK_SLACK_MS 500

static void *connect_heart(struct io *io, int type, int port, struct ipcl_error *error)
{
    char url[CONNECTION_TEXT_BYTES + 16];
    if (connection_url(&io->engine->connection, port, url, error))
        return NULL;
    return io_socket(io, type, type == ZMQ_DEALER ? io->identity : NULL, url, error);
}

void heart_set_period(struct io *io)
{
    io->heart.period_ms = io->hub_period_ms + CHECK_SLACK_MS;
}

static int start(struct io *io, struct ipcl_error *error)
{
    struct heart *heart = &io->heart;
    heart_set_period(io);
    heart->misses_max = settings_int(io->engine->settings, "IPEngine", "max_heartbeat_misses");
    heart->check_ms = clock_ms() + heart->period_ms;
    heart->pong = connect_heart(io, ZMQ_DEALER, io->engine->connection.hb_pong, error);
    if (loop_keep(io->loop, heart->pong))
        return -1;
    heart->ping = connect_heart(io, ZMQ_SUB, io->engine->connection.hb_ping, error);
    if (heart->ping)
        zmq_setsockopt(heart->ping, ZMQ_SUBSCRIBE, "", 0);
    if (loop_add(io->loop, heart->ping, heart_beat, io))
        return -1;
    engine_stats_watch(ENGINE_PING, io->loop, heart->ping);
    return 0;
}

long long heart_connecting(struct io *io, long long now_ms)
{
    struct ipcl_error error;
    if (!io->cluster.subscribed && now_ms < io->connecting_ms)
        return io->connecting_ms;
    io->state = IO_SERVING;
    log_info("registered as engine %lld (uuid %s, process %ld)", (long long)io->engine->id,
             io->engine->uuid, (long)getpid());
    if (start(io, &error))
        io_stop(io, ENGINE_EXIT_REGISTRATION, error.text);
    return now_ms;
}

/* A controller of ours knows by a proof that the echo is this engine's. */
static int prove(struct io *io, struct message *ping)
{
    const char *uuid = io->engine->uuid;
    char proof[SEAL_PROOF_MAX];
    if (!io->cluster.sealed)
        return 0;
    size_t size =
        seal_prove(io->cluster.session, uuid, strlen(uuid), zmq_msg_data(message_frame(ping, 0)),
                   zmq_msg_size(message_frame(ping, 0)), proof);
    return message_append(ping, proof, size);
}

void heart_beat(void *self, struct message *message)
{
    struct io *io = self;
    struct heart *heart = &io->heart;
    long long now_ms = clock_ms(), silent_ms = now_ms - heart->ping_ms;
    heart->beaten = true;
    /* This process or the controller's was stopped: it may have given us up meanwhile. */
    if (heart->ping_ms && silent_ms > 2 * heart->period_ms)
        registration_again(io);
    heart->ping_ms = now_ms;
    if (prove(io, message) || message_send(message, io->heart.pong))
        log_limited(&io->send_limit, IPCL_LOG_WARN, "a heartbeat was not answered: %s",
                    zmq_strerror(errno));
}

long long heart_tick(struct io *io, long long now_ms)
{
    struct heart *heart = &io->heart;
    if (heart->misses_max <= 0)
        return CLOCK_NEVER;
    if (now_ms >= heart->check_ms) {
        heart->misses = heart->beaten ? 0 : heart->misses + 1;
        heart->beaten = false;
        heart->check_ms = now_ms + heart->period_ms;
        if (heart->misses)
            log_limited(&io->misses_limit, IPCL_LOG_WARN,
                        "no heartbeat of the controller in the last %lld ms (%lld in a row; the "
                        "engine ends after %lld)",
                        heart->period_ms, (long long)heart->misses, (long long)heart->misses_max);
        if (heart->misses >= heart->misses_max)
            io_stop(io, ENGINE_EXIT_CONTROLLER,
                    "the controller is lost: its heartbeats have stopped; ending");
    }
    return heart->check_ms;
}
