/* Replies to requests of the previous controller, for clients that are not back yet. They are held
 * as long as clients may take to connect to this controller.
 *
 * A client of ours connects under its old identity. ipyparallel's clients have no identity: such a
 * client is recognised by the session in what it sends. Until then it probably has the name that
 * libzmq gave it at the previous controller, because these names are the same in each run if
 * clients come in the same order. So its reply is sent to that name, and a second time if the
 * client turns out to have another. */
#ifndef CONTROLLER_DELIVERY_EARLY_H
#define CONTROLLER_DELIVERY_EARLY_H

#include "controller/exchange/controller.h"
#include "wire/message.h"

struct early_reply;
struct home;
struct outbox;

struct early {
    struct outbox *outbox; /* knows whether a client is connected; not owned */
    struct seal *seal;     /* not owned */
    long long until_ms;    /* 0: there was no previous controller */
    long long next_try_ms;
    struct early_reply *first;
    size_t bytes;       /* how many are held */
    struct home *homes; /* the present names of clients without an identity, by their sessions */
};

void early_prepare(struct early *early, const struct controller *controller, struct seal *seal,
                   struct outbox *outbox);
/* Notes the name of a request's sender, and sends what is held for it. */
void early_meet(struct early *early, struct message *request);
/* Before a reply is sent: addresses it to its client's present name. If that is not certain, a copy
 * is held and returned. */
struct early_reply *early_address(struct early *early, struct message *message);
/* Holds a reply whose client is not connected and may still come. `copy` is what early_address()
 * returned. Leaves nothing in `message` that matters. */
void early_hold(struct early *early, struct message *message, struct early_reply *copy);
/* Tries again to send what is held. Returns the time of the next call, or CLOCK_NEVER. */
long long early_tick(struct early *early, long long now_ms);
void early_release(struct early *early);

#endif
