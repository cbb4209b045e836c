/* Sends to the peers of a ROUTER, some of which read late or not at all. */
#include "controller/delivery/outbox.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>
#include <utlist.h>

#include "controller/delivery/flight.h"
#include "wire/held.h"
#include "wire/loop.h"

/* How often waiting messages are tried again: less and less often if nothing moves. */
#define PAUSE_MS_LEAST 10
#define PAUSE_MS_MOST  160
/* How many bytes of large messages libzmq has for a peer, so that its connection is always busy. */
#define FLIGHT_MAX ((size_t)64 << 20)
/* What a waiting message costs in addition to its bytes. */
#define ITEM_BYTES 160

struct outbox_item {
    struct held *held;
    size_t bytes;
    struct outbox_item *prev, *next;
};

struct outbox_peer {
    struct outbox_item *first; /* oldest first */
    size_t bytes;              /* of what waits here */
    struct flight *flight;
    UT_hash_handle hh;
    char identity[];
};

int outbox_prepare(struct outbox *outbox, void *socket, size_t bytes_max, bool keeps,
                   enum stats_socket counted)
{
    outbox->counted = counted;
    outbox->socket = socket;
    outbox->bytes_max = bytes_max;
    outbox->keeps = keeps;
    outbox->pause_ms = PAUSE_MS_LEAST;
    outbox->flight = flight_create(NULL);
    return outbox->flight ? 0 : -1;
}

static struct outbox_peer *outbox_find(const struct outbox *outbox, const void *identity,
                                       size_t size)
{
    struct outbox_peer *peer = NULL;
    if (outbox->peers)
        HASH_FIND(hh, outbox->peers, identity, size, peer);
    return peer;
}

static struct outbox_peer *find_or_create(struct outbox *outbox, zmq_msg_t *identity)
{
    size_t size = zmq_msg_size(identity);
    struct outbox_peer *peer = outbox_find(outbox, zmq_msg_data(identity), size);
    if (peer)
        return peer;
    peer = calloc(1, sizeof(*peer) + size);
    if (!peer || !(peer->flight = flight_create(outbox->flight))) {
        free(peer);
        return NULL;
    }
    if (!outbox->peers)
        outbox->next_try_ms = 0;
    memcpy(peer->identity, zmq_msg_data(identity), size);
    HASH_ADD(hh, outbox->peers, identity, size, peer);
    return peer;
}

static void drop_item(struct outbox *outbox, struct outbox_peer *peer, struct outbox_item *item)
{
    DL_DELETE(peer->first, item);
    peer->bytes -= item->bytes;
    outbox->bytes -= item->bytes;
    outbox->count--;
    held_destroy(item->held);
    free(item);
}

static void drop_peer(struct outbox *outbox, struct outbox_peer *peer)
{
    while (peer->first)
        drop_item(outbox, peer, peer->first);
    HASH_DEL(outbox->peers, peer);
    flight_drop(peer->flight);
    free(peer);
}

static size_t waiting_for(const struct outbox_peer *peer)
{
    return peer->bytes + flight_bytes(peer->flight);
}

size_t outbox_waiting(const struct outbox *outbox, const void *identity, size_t size)
{
    const struct outbox_peer *peer = outbox_find(outbox, identity, size);
    return peer ? waiting_for(peer) : 0;
}

/* Whether `bytes` more are too many. A peer with few waiting bytes is never refused because of
 * others with many. */
static bool is_over(const struct outbox *outbox, const struct outbox_peer *peer, size_t bytes,
                    size_t reserve)
{
    size_t own = waiting_for(peer), all = outbox->bytes + flight_bytes(outbox->flight);
    size_t most = outbox->bytes_max - reserve;
    return own && all + bytes > most && own + bytes > most / HASH_COUNT(outbox->peers);
}

static bool is_large(const struct message *message)
{
    return message_bytes(message) > FLIGHT_LEAST_BYTES;
}

static size_t share_of(const struct outbox *outbox, const struct message *message)
{
    size_t weight = message_bytes(message);
    return outbox->sharers ? weight / outbox->sharers : weight;
}

/* `weight`: the peer's share of the bytes. */
static int try_send(struct outbox *outbox, struct outbox_peer *peer, struct message *message,
                    size_t weight)
{
    if (!is_large(message))
        return message_send(message, outbox->socket);
    if (flight_bytes(peer->flight) < FLIGHT_MAX)
        return flight_send(peer->flight, message, weight, outbox->socket);
    errno = EAGAIN;
    return -1;
}

static enum outbox_fate put_aside(struct outbox *outbox, struct outbox_peer *peer,
                                  struct message *message, size_t bytes, size_t reserve)
{
    struct outbox_item *item =
        is_over(outbox, peer, bytes, reserve) ? NULL : calloc(1, sizeof(*item));
    if (!item || !(item->held = held_create(message, NULL))) {
        free(item);
        return OUTBOX_FULL;
    }
    item->bytes = bytes;
    DL_APPEND(peer->first, item);
    peer->bytes += bytes;
    outbox->bytes += bytes;
    outbox->count++;
    message_clear(message);
    return OUTBOX_TAKEN;
}

enum outbox_fate outbox_send(struct outbox *outbox, struct message *message, size_t reserve)
{
    zmq_msg_t *identity = message_peer(message);
    struct outbox_peer *peer = outbox_find(outbox, zmq_msg_data(identity), zmq_msg_size(identity));
    bool large = is_large(message);
    if (!peer && !large) {
        if (!message_send(message, outbox->socket))
            return OUTBOX_TAKEN;
        if (errno != EAGAIN)
            return OUTBOX_ABSENT;
    }
    if (!peer && !(peer = find_or_create(outbox, identity)))
        return OUTBOX_FULL;
    size_t weight = share_of(outbox, message);
    if (large && is_over(outbox, peer, weight, reserve))
        return OUTBOX_FULL;
    if (!peer->first) {
        if (!try_send(outbox, peer, message, weight))
            return OUTBOX_TAKEN;
        if (errno == EHOSTUNREACH)
            return OUTBOX_ABSENT;
    }
    return put_aside(outbox, peer, message, weight + ITEM_BYTES, reserve);
}

void outbox_forget(struct outbox *outbox, const void *identity, size_t size, outbox_unsent *unsent,
                   void *self)
{
    struct outbox_peer *peer = outbox_find(outbox, identity, size);
    struct message message;
    if (!peer)
        return;
    message_init(&message);
    while (peer->first) {
        message_clear(&message);
        if (!held_restore(peer->first->held, &message))
            unsent(self, &message);
        drop_item(outbox, peer, peer->first);
    }
    message_close(&message);
    drop_peer(outbox, peer);
}

/* Sends what a peer takes. Returns whether it took any, or nothing is left of it. */
static bool try_peer(struct outbox *outbox, struct outbox_peer *peer)
{
    struct message message;
    bool moved = false, absent = false;
    message_init(&message);
    while (peer->first && !absent) {
        message_clear(&message);
        if (held_restore(peer->first->held, &message))
            break;
        if (try_send(outbox, peer, &message, peer->first->bytes - ITEM_BYTES)) {
            absent = errno == EHOSTUNREACH;
            break;
        }
        drop_item(outbox, peer, peer->first);
        moved = true;
    }
    message_close(&message);
    if (absent ? outbox->keeps : waiting_for(peer) > 0)
        return moved;
    drop_peer(outbox, peer);
    return true;
}

static void count_waiting(const struct outbox *outbox)
{
    struct stats_of_socket *counted = &stats.sockets[outbox->counted];
    counter_set(&counted->unread_messages, outbox->count);
    counter_set(&counted->unread_bytes, outbox->bytes + flight_bytes(outbox->flight));
}

static long long send_again(struct outbox *outbox, long long now_ms)
{
    struct outbox_peer *peer, *next;
    bool moved = false;
    long long trim_ms = trim_tick(&outbox->trim, outbox->count, now_ms);
    if (!outbox->peers)
        return trim_ms;
    if (now_ms < outbox->next_try_ms)
        return outbox->next_try_ms;
    HASH_ITER (hh, outbox->peers, peer, next)
        moved = try_peer(outbox, peer) || moved;
    outbox->pause_ms = moved                                  ? PAUSE_MS_LEAST
                       : outbox->pause_ms * 2 < PAUSE_MS_MOST ? outbox->pause_ms * 2
                                                              : PAUSE_MS_MOST;
    outbox->next_try_ms = now_ms + outbox->pause_ms;
    return outbox->peers ? outbox->next_try_ms : trim_ms;
}

long long outbox_tick(struct outbox *outbox, long long now_ms)
{
    long long due_ms = send_again(outbox, now_ms);
    count_waiting(outbox);
    return due_ms;
}

void outbox_release(struct outbox *outbox)
{
    struct outbox_peer *peer, *next;
    HASH_ITER (hh, outbox->peers, peer, next)
        drop_peer(outbox, peer);
    flight_drop(outbox->flight);
    outbox->flight = NULL;
}
