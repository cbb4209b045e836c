/* Replies to requests that the previous controller took, for clients that are not back yet: they
 * are held for as long as clients may take to connect to the controller that replaced it.
 *
 * A client of ours connects under its old identity. ipyparallel's has none: it is known again by
 * the session in what it sends. Until then it probably has the name that libzmq gave it at the
 * previous controller, as those names are the same from run to run where clients come in the same
 * order: what it waits for is sent there, and once more should it turn out to be elsewhere. */
#ifndef CONTROLLER_DELIVERY_EARLY_H
#define CONTROLLER_DELIVERY_EARLY_H

#include "controller/exchange/controller.h"
#include "wire/message.h"

struct early_reply;
struct home;
struct outbox;

struct early {
    struct outbox *outbox; /* tells whether a client is there; not owned */
    struct seal *seal;     /* not owned */
    long long until_ms;    /* 0: this controller has replaced none */
    long long next_try_ms;
    struct early_reply *first;
    size_t bytes;       /* held */
    struct home *homes; /* where clients without an identity are, by their sessions */
};

void early_prepare(struct early *early, const struct controller *controller, struct seal *seal,
                   struct outbox *outbox);
/* Notes where the sender of a request is, and sends what is held for it. */
void early_meet(struct early *early, struct message *request);
/* Before a reply is sent: has it go to where its client is now. Where that is not certain a copy is
 * held, which is returned. */
struct early_reply *early_address(struct early *early, struct message *message);
/* Holds a reply whose client is not there and may yet come. `copy` is what early_address() gave.
 * Leaves nothing in `message` that matters. */
void early_hold(struct early *early, struct message *message, struct early_reply *copy);
/* Tries again what is held. Returns when to be called again, or CLOCK_NEVER. */
long long early_tick(struct early *early, long long now_ms);
void early_release(struct early *early);

#endif
