/* Replies to requests that an earlier controller took, for clients that are not back yet: they are
 * held for as long as clients may take to connect to the controller that replaced it. */
#ifndef CONTROLLER_EARLY_H
#define CONTROLLER_EARLY_H

#include "controller/controller.h"
#include "wire/message.h"

struct early_reply;

struct early {
    void *clients;      /* ROUTER that tells whether it has such a peer; not owned */
    long long until_ms; /* 0: this controller has replaced none */
    long long next_try_ms;
    struct early_reply *first;
};

/* For a socket to clients, which is made mandatory. */
void early_prepare(struct early *early, const struct controller *controller, void *clients);
/* Whether engines and clients of an earlier controller may still be on their way. */
bool early_is_open(const struct early *early, long long now_ms);
/* Sends a reply, or holds it where its client may yet come. Leaves nothing in `message` that
 * matters. */
void early_send(struct early *early, struct message *message);
/* Tries again what is held. Returns when to be called again, or LOOP_NEVER. */
long long early_tick(struct early *early, long long now_ms);
void early_release(struct early *early);

#endif
