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
    enum stats_socket counted; /* the socket that waiting messages are counted for */
    void *socket;              /* a mandatory ROUTER with a limit for sending; not owned */
    size_t bytes_max;          /* how much may wait for all peers together */
    bool keeps;                /* messages for a peer stay when its connection has ended */
    size_t sharers;            /* how many peers share the bytes of the next message; 0: they belong
                                  to one peer */
    struct outbox_peer *peers; /* those for which messages wait, here or (large ones) in libzmq */
    size_t bytes;              /* how many wait here */
    size_t count;
    struct flight *flight; /* counts the bytes that libzmq has */
    long long next_try_ms;
    int pause_ms;
    struct trim trim;
};

enum outbox_fate {
    OUTBOX_TAKEN,
    OUTBOX_ABSENT, /* no such peer is connected */
    OUTBOX_FULL,   /* the bound is reached, or memory is short */
};

/* Called with a message that was not sent. */
typedef void outbox_unsent(void *self, struct message *message);

/* Returns 0, or -1 when memory is short. */
int outbox_prepare(struct outbox *outbox, void *socket, size_t bytes_max, bool keeps,
                   enum stats_socket counted);
/* Sends [peer, ...], or keeps it until the peer reads. `reserve` bytes of those that may wait are
 * not for this message. If it is not taken, the message is unchanged. */
enum outbox_fate outbox_send(struct outbox *outbox, struct message *message, size_t reserve);
/* How many bytes wait for this peer. */
size_t outbox_waiting(const struct outbox *outbox, const void *identity, size_t size);
/* Gives back what waits for a peer that has gone. */
void outbox_forget(struct outbox *outbox, const void *identity, size_t size, outbox_unsent *unsent,
                   void *self);
/* Tries again to send what waits. Returns the time of the next call, or CLOCK_NEVER. */
long long outbox_tick(struct outbox *outbox, long long now_ms);
void outbox_release(struct outbox *outbox);

#endif
