/* The client's I/O thread: answers, output, notifications. An input is a byte of settings (bit 0
 * MessagePack) and messages, each with a first byte that says what happens:
 *
 *     bits 0-2   0 to 6: it comes by this socket; 7: the program does something
 *     bits 3-5   0 to 2: submits to an engine, as a task, to an engine's control; 3: broadcasts
 *                4: fetches the first request's result
 *                5: a connection is back, 6: what is due is done
 *     bit 7      peers are gone
 *
 * Four requests have been submitted at first: one of each kind. */
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>

#include "base/clock.h"
#include "client/await_private.h"
#include "client/connect_private.h"
#include "client/engines_private.h"
#include "client/fetch_private.h"
#include "client/receive_private.h"
#include "client/restart_private.h"
#include "client/send_private.h"
#include "client/sockets_private.h"
#include "client/submission_private.h"
#include "network.h"

#define FUTURES_MAX 256
#define SESSION     "00000000-0000-4000-8000-0000000000c0"

/* One for each setting, because inputs have settings in any order. */
static struct life {
    struct ipcl_client *client;
    struct ipcl_future *futures[FUTURES_MAX];
    size_t future_count;
} lives[2], *life;

static void keep(struct ipcl_future *future)
{
    if (future && life->future_count == FUTURES_MAX)
        ipcl_future_release(future);
    else if (future)
        life->futures[life->future_count++] = future;
}

static void act(unsigned what)
{
    struct ipcl_submission submission = {
        .channel = (enum ipcl_channel)what, .msg_type = "execute_request", .content = "{}"};
    const int ids[] = {0, 1};
    struct ipcl_future *parts[2];
    struct ipcl_error error;
    if (what < 3) {
        keep(ipcl_submit(life->client, &submission, &error));
    } else if (what == 3 && !ipcl_broadcast(life->client, &submission, ids, 2, parts, &error)) {
        keep(parts[0]);
        keep(parts[1]);
    } else if (what == 4 && life->future_count) {
        keep(ipcl_fetch(life->client, life->futures[0]->id, &error));
    } else if (what == 5) {
        restart_begin(life->client);
    } else if (what == 6) {
        await_output_give_up(&life->client->io, clock_ms() + 60000);
        restart_tick(life->client);
        fetch_tick(life->client);
    }
    send_submitted(life->client);
}

static void create(unsigned bits)
{
    const struct sockets_handlers handlers = {
        .message = receive_message, .event = connect_note_event, .woken = send_woken};
    struct ipcl_error error;
    life->client = calloc(1, sizeof(*life->client));
    atomic_init(&life->client->holds, 1);
    life->client->forks = forks_so_far();
    pthread_mutex_init(&life->client->lock, NULL);
    pthread_cond_init(&life->client->changed, NULL);
    strcpy(life->client->session_id, SESSION);
    strcpy(life->client->connection.interface, "tcp://127.0.0.1");
    strcpy(life->client->connection.signature_scheme, "hmac-sha256");
    life->client->connection.registration = life->client->connection.notification = 1;
    life->client->connection.mux = life->client->connection.task =
        life->client->connection.control = 1;
    life->client->connection.iopub = life->client->connection.broadcast[0] = 1;
    life->client->connection.broadcast_count = 1;
    life->client->serial = fuzz_serial(bits);
    life->client->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    life->client->io.context = zmq_ctx_new();
    FUZZ_ASSERT(life->client->wake_fd >= 0 && !sockets_open(life->client, &handlers, &error));
    client_set_state(life->client, CLIENT_CONNECTED, NULL);
    client_add_engine(life->client, 0, "e0", NULL);
    client_add_engine(life->client, 1, "e1", NULL);
    for (unsigned what = 0; what < 4; what++)
        act(what);
}

/* As the thread ends. */
static void destroy(void)
{
    atomic_store(&life->client->closing, true);
    client_set_state(life->client, CLIENT_CLOSED, NULL);
    await_fail_all(&life->client->io, "the client was closed");
    fetch_fail_all(life->client, "the client was closed");
    submission_drop_all(life->client, "the client was closed");
    sockets_close(life->client);
    engines_release(&life->client->io);
    send_release(&life->client->io);
    while (life->future_count)
        ipcl_future_release(life->futures[--life->future_count]);
    ipcl_client_release(life->client);
}

static void happen(unsigned what, struct fuzz_bytes bytes, struct message *message)
{
    (void)message;
    if ((what & 7) == SOCKET_COUNT) {
        act(what >> 3 & 7);
        return;
    }
    network_arrive(bytes);
    loop_drain(life->client->io.loop, life->client->io.sockets[what & 7]);
}

static void enter(unsigned bits)
{
    life = &lives[bits];
}

const struct network_harness network_harness = {.settings = sizeof(lives) / sizeof(*lives),
                                                .enter = enter,
                                                .create = create,
                                                .destroy = destroy,
                                                .happen = happen};
