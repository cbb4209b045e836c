/* What is sent to the peers of a ROUTER, of which some read late or not at all. libzmq has a
 * thousand messages at most for each, and of large ones so many bytes; more waits here, compactly,
 * up to a bound in bytes. The thread of the socket.
 *
 * As long as no peer is behind nothing is kept here, and a message costs one look at that. */
#ifndef CONTROLLER_DELIVERY_OUTBOX_H
#define CONTROLLER_DELIVERY_OUTBOX_H

#include <stdbool.h>
#include <stddef.h>

#include "controller/delivery/trim.h"
#include "controller/stats/stats.h"
#include "wire/message.h"

struct outbox_peer;
struct flight;

struct outbox {
    enum stats_socket counted; /* as which it is counted what waits */
    void *socket;              /* a mandatory ROUTER with a limit for sending; not owned */
    size_t bytes_max;          /* what may wait for all peers */
    bool keeps;                /* what waits for a peer whose connection has ended stays */
    size_t sharers;            /* of the bytes that are sent next; 0: they are one peer's */
    struct outbox_peer *peers; /* those that are behind */
    size_t bytes;              /* what waits here */
    size_t count;
    struct flight *flight; /* what libzmq has */
    long long next_try_ms;
    int pause_ms;
    struct trim trim;
};

enum outbox_fate {
    OUTBOX_TAKEN,
    OUTBOX_ABSENT, /* such a peer is not connected */
    OUTBOX_FULL,   /* the bound is reached, or memory is short */
};

/* Called with a message that was not sent. */
typedef void outbox_unsent(void *self, struct message *message);

/* Returns 0, or -1 when memory is short. */
int outbox_prepare(struct outbox *outbox, void *socket, size_t bytes_max, bool keeps,
                   enum stats_socket counted);
/* Sends [peer, ...], or puts it aside until the peer reads. `reserve` of the bytes that may wait
 * are not for this message. What is not taken stays as it was. */
enum outbox_fate outbox_send(struct outbox *outbox, struct message *message, size_t reserve);
/* How many bytes wait for this peer. */
size_t outbox_waiting(const struct outbox *outbox, const void *identity, size_t size);
/* Hands back what waits for a peer that has gone. */
void outbox_forget(struct outbox *outbox, const void *identity, size_t size, outbox_unsent *unsent,
                   void *self);
/* Tries again what waits. Returns when to be called again, or CLOCK_NEVER. */
long long outbox_tick(struct outbox *outbox, long long now_ms);
void outbox_release(struct outbox *outbox);

#endif
