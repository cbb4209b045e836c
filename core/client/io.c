/* The I/O thread: owns every socket of a client, sends what was submitted, and hands out what is
 * received. */
#include "client/client.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"

/* How long a controller may be out of reach before what it owes us fails, and how long after it has
 * said that it goes. */
#define LOST_MS 5000
/* The same of a controller that another may replace, as its connection file says. */
#define AWAY_MS 60000

/* How long tasks wait without an engine before their client hears of it: a cluster that has just
 * been started has none yet. */
#define ALONE_MS 5000

/* How many engines are remembered with those that have gone: late replies name them. */
#define KNOWN_MAX 16384

static void fail_dead_engines(struct ipcl_client *client)
{
    struct io *io = &client->io;
    struct known_engine *engine, *next;
    long long now = clock_ms();
    if (!io->next_failure_ms || now < io->next_failure_ms)
        return;
    receive_everything(client);
    io->next_failure_ms = 0;
    HASH_ITER (hh, io->engines, engine, next) {
        char text[IPCL_ERROR_BYTES];
        if (engine->fail_at_ms < 0 && HASH_COUNT(io->engines) > KNOWN_MAX) {
            HASH_DEL(io->engines, engine); /* the oldest come first */
            free(engine->end);
            free(engine);
            continue;
        }
        if (engine->fail_at_ms <= 0)
            continue;
        if (engine->fail_at_ms > now) {
            if (!io->next_failure_ms || engine->fail_at_ms < io->next_failure_ms)
                io->next_failure_ms = engine->fail_at_ms;
            continue;
        }
        engine->fail_at_ms = -1;
        snprintf(text, sizeof(text), "engine %d died before it had answered", engine->id);
        await_fail_engine(io, engine->uuid, engine->end ? engine->end : text);
    }
}

/* Says once, until an engine comes, that nobody is there who could run what waits. That is no
 * error: engines may come. */
static void check_alone(struct ipcl_client *client)
{
    struct io *io = &client->io;
    /* The list of engines is written by this thread alone. */
    if (client->engine_count || !io->open_tasks || io->lost_since_ms)
        io->alone_ms = 0;
    else if (!io->alone_ms)
        io->alone_ms = clock_ms() + ALONE_MS;
    if (io->alone_ms <= 0 || clock_ms() < io->alone_ms)
        return;
    io->alone_ms = -1;
    log_warn(
        "no engine is registered with the controller of %s, and %zu %s for one: start some (ipcluster engines --n=4)",
        client->path, io->open_tasks, io->open_tasks == 1 ? "task waits" : "tasks wait");
}

static long long patience_ms(const struct ipcl_client *client)
{
    return client->connection.reuse ? AWAY_MS : LOST_MS;
}

/* Gives up on a controller that does not come back. */
static void check_lost(struct ipcl_client *client)
{
    struct ipcl_error error;
    if (!client->io.lost_since_ms || clock_ms() - client->io.lost_since_ms < patience_ms(client))
        return;
    ipcl_error_set(
        &error,
        "the connection to the controller of %s is lost: it has stopped, or cannot be reached any more",
        client->path);
    client_set_state(client, CLIENT_CLOSED, &error);
}

/* Nothing comes back through a tunnel that has ended, so nothing is waited for. */
static void check_tunnel(struct ipcl_client *client)
{
    struct io *io = &client->io;
    struct ipcl_error error;
    if (!tunnel_check(io->tunnel, &error))
        return;
    receive_everything(client);
    if (!io->lost_since_ms)
        io->lost_since_ms = clock_ms();
    client_set_state(client, CLIENT_CLOSED, &error);
}

static int poll_timeout(struct ipcl_client *client)
{
    struct io *io = &client->io;
    long long now = clock_ms();
    long long until =
        clock_sooner(clock_due(io->next_failure_ms), clock_due(await_output_give_up(io, now)));
    if (io->lost_since_ms)
        until = clock_sooner(until, io->lost_since_ms + patience_ms(client));
    until = clock_sooner(until, clock_due(io->restart.due_ms));
    until = clock_sooner(until, clock_due(io->restart.judge_ms));
    until = clock_sooner(until, clock_due(atomic_load(&client->next_fetch_ms)));
    if (io->alone_ms > 0)
        until = clock_sooner(until, io->alone_ms);
    if (until == CLOCK_NEVER)
        return -1;
    return until > now ? (int)(until - now) : 0;
}

/* Waits for what there is to do, and does it. A socket's descriptor (ZMQ_FD) tells of a change
 * once, and any use of the socket may take note of the change in our place: so whatever was used is
 * read until it is empty, at which point nothing was missed. This costs one system call where
 * zmq_poll() makes two for each socket. */
static void run_once(struct ipcl_client *client)
{
    struct io *io = &client->io;
    struct pollfd polled[POLLED_COUNT];
    memcpy(polled, io->polled, sizeof(polled));
    if (poll(polled, POLLED_COUNT, io->used ? 0 : poll_timeout(client)) < 0)
        return;
    for (int index = 0; index < SOCKET_COUNT; index++)
        if (polled[index].revents)
            io->used |= 1u << index;
    /* A controller that is gone is not sent what another could not take. */
    if (polled[POLLED_MONITOR].revents)
        sockets_read_monitors(client);
    if (polled[POLLED_WAKE].revents) {
        uint64_t count;
        if (read(client->wake_fd, &count, sizeof(count)) > 0)
            submit_flush(client);
    }
    for (int index = 0; index < SOCKET_COUNT; index++)
        if (io->used & 1u << index && receive_all(client, index))
            io->used &= ~(1u << index);
    if (polled[POLLED_TUNNEL].revents)
        check_tunnel(client);
    fail_dead_engines(client);
    restart_tick(client);
    fetch_tick(client);
    check_lost(client);
    check_alone(client);
}

void *io_main(void *argument)
{
    struct ipcl_client *client = argument;
    struct ipcl_error error;
    if (sockets_open(client, &error) || sockets_connect(client, &error)) {
        client_set_state(client, CLIENT_FAILED, &error);
    } else {
        client_set_state(client, CLIENT_CONNECTED, NULL);
        while (!atomic_load(&client->closing))
            run_once(client);
        submit_flush(client);
        if (client->drops_tasks)
            leave(client);
        ipcl_error_set(&error, "the client was closed");
        client_set_state(client, CLIENT_CLOSED, &error);
        pthread_mutex_lock(&client->lock);
        error = client->error; /* of the two reasons to close the first */
        pthread_mutex_unlock(&client->lock);
        await_fail_all(&client->io, error.text);
    }
    fetch_fail_all(client, error.text);
    submit_drop(client, error.text);
    sockets_close(client);
    return NULL;
}
