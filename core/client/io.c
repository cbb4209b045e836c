/* The I/O thread: owns every socket of a client, sends what was submitted, and hands out what is
 * received. */
#include "client/io_private.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "client/await_private.h"
#include "client/connect_private.h"
#include "client/engines_private.h"
#include "client/fetch_private.h"
#include "client/leave_private.h"
#include "client/receive_private.h"
#include "client/restart_private.h"
#include "client/send_private.h"
#include "client/sockets_private.h"
#include "client/submission_private.h"

/* How long a controller may be out of reach before what it owes us fails, and how long after it has
 * said that it goes. */
#define LOST_MS 5000
/* The same of a controller that another may replace, as its connection file says. */
#define AWAY_MS 60000

/* How long tasks wait without an engine before their client hears of it: a cluster that has just
 * been started has none yet. */
#define ALONE_MS 5000

/* Says, once until an engine comes, that no engine can run the waiting tasks. That is no error:
 * engines may come. */
static void check_alone(struct ipcl_client *client)
{
    struct client_io *io = &client->io;
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
static void check_tunnel(void *self)
{
    struct ipcl_client *client = self;
    struct client_io *io = &client->io;
    struct ipcl_error error;
    if (!tunnel_check(io->tunnel, &error))
        return;
    sockets_drain(client);
    if (!io->lost_since_ms)
        io->lost_since_ms = clock_ms();
    client_set_state(client, CLIENT_CLOSED, &error);
}

static long long next_due(struct ipcl_client *client, long long now_ms)
{
    struct client_io *io = &client->io;
    long long until =
        clock_sooner(clock_due(io->next_failure_ms), clock_due(await_output_give_up(io, now_ms)));
    if (io->lost_since_ms)
        until = clock_sooner(until, io->lost_since_ms + patience_ms(client));
    until = clock_sooner(until, clock_due(io->restart.due_ms));
    until = clock_sooner(until, clock_due(io->restart.judge_ms));
    until = clock_sooner(until, clock_due(atomic_load(&client->next_fetch_ms)));
    return io->alone_ms > 0 ? clock_sooner(until, io->alone_ms) : until;
}

/* Does what is due. Returns when the next is. */
static long long tick(void *self, long long now_ms)
{
    struct ipcl_client *client = self;
    engines_tick(client);
    restart_tick(client);
    fetch_tick(client);
    check_lost(client);
    check_alone(client);
    if (atomic_load(&client->closing))
        loop_end(client->io.loop);
    return next_due(client, now_ms);
}

void *client_io_main(void *argument)
{
    struct ipcl_client *client = argument;
    const struct sockets_handlers handlers = {
        .message = receive_message,
        .event = connect_note_event,
        .woken = send_woken,
        .tunnel = check_tunnel,
    };
    struct ipcl_error error;
    send_prepare(client);
    if (sockets_open(client, &handlers, &error) || connect_to_controller(client, &error)) {
        client_set_state(client, CLIENT_FAILED, &error);
    } else {
        client_set_state(client, CLIENT_CONNECTED, NULL);
        loop_set_tick(client->io.loop, tick, client);
        loop_run(client->io.loop);
        send_submitted(client);
        if (client->drops_tasks)
            leave_cluster(client);
        ipcl_error_set(&error, "the client was closed");
        client_set_state(client, CLIENT_CLOSED, &error);
        pthread_mutex_lock(&client->lock);
        error = client->error; /* of the two reasons to close the first */
        pthread_mutex_unlock(&client->lock);
        await_fail_all(&client->io, error.text);
    }
    fetch_fail_all(client, error.text);
    submission_drop_all(client, error.text);
    sockets_close(client);
    engines_release(&client->io);
    send_release(&client->io);
    return NULL;
}
