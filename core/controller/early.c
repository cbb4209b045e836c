/* Replies that are earlier than their client. The thread of the socket to clients. */
#include "controller/early.h"

#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "base/clock.h"
#include "controller/held.h"
#include "wire/loop.h"

#define RETRY_MS 20

struct early_reply {
    struct held *held; /* [client, engine, delimiter ...] */
    struct early_reply *prev, *next;
};

void early_prepare(struct early *early, const struct controller *controller, void *clients)
{
    int mandatory = 1;
    early->clients = clients;
    early->until_ms = controller->restarted ? clock_ms() + CONTROLLER_RETURN_MS : 0;
    if (clients)
        zmq_setsockopt(clients, ZMQ_ROUTER_MANDATORY, &mandatory, sizeof(mandatory));
}

bool early_is_open(const struct early *early, long long now_ms)
{
    return early->until_ms && now_ms < early->until_ms;
}

static void drop(struct early *early, struct early_reply *reply)
{
    DL_DELETE(early->first, reply);
    held_destroy(reply->held);
    free(reply);
}

void early_send(struct early *early, struct message *message)
{
    long long now_ms = early->until_ms ? clock_ms() : 0;
    if (!message_send(message, early->clients) || !early_is_open(early, now_ms))
        return;
    struct early_reply *reply = calloc(1, sizeof(*reply));
    if (!reply || !(reply->held = held_create(message, NULL))) {
        free(reply);
        return;
    }
    if (!early->first)
        early->next_try_ms = now_ms + RETRY_MS;
    DL_APPEND(early->first, reply);
}

/* Whether a reply is for the client that `absent` is for. */
static bool is_for_same(const struct early_reply *reply, const struct early_reply *absent)
{
    size_t size, absent_size;
    const void *client = held_frame(reply->held, 0, &size);
    const void *other = held_frame(absent->held, 0, &absent_size);
    return size == absent_size && !memcmp(client, other, size);
}

long long early_tick(struct early *early, long long now_ms)
{
    struct early_reply *reply, *next;
    const struct early_reply *absent = NULL; /* its client is not there: others for it wait, too */
    bool open = early_is_open(early, now_ms);
    struct message message;
    if (!early->first)
        return LOOP_NEVER;
    if (now_ms < early->next_try_ms)
        return early->next_try_ms;
    message_init(&message);
    DL_FOREACH_SAFE (early->first, reply, next) {
        if (open && absent && is_for_same(reply, absent))
            continue;
        message_clear(&message);
        bool sent = !held_restore(reply->held, &message) && !message_send(&message, early->clients);
        if (sent || !open)
            drop(early, reply);
        else
            absent = reply;
    }
    message_close(&message);
    early->next_try_ms = now_ms + RETRY_MS;
    return early->first ? early->next_try_ms : LOOP_NEVER;
}

void early_release(struct early *early)
{
    while (early->first)
        drop(early, early->first);
}
