/* What the controller publishes: one message for all clients, ours and ipyparallel's. So it has the
 * plain signature, and its seal (seal.h) stands before the delimiter:
 *
 *     [topic] seal "<IDS|MSG>" signature header parent_header metadata content [buffer ...]
 *
 * where other clients look at nothing. Ours take only what is sealed, for the life of the
 * controller that they are connected to. The publisher's end of such a seal is bound
 * to a life; a client's end knows it. */
#ifndef WIRE_PUBLISHED_H
#define WIRE_PUBLISHED_H

#include "wire/seal.h"

/* The publisher's end, and a subscriber's (`required`: the controller is ours), of a channel. */
struct seal published_source(struct seal seal, const unsigned char *life);
struct seal published_sink(struct seal seal, bool required, const unsigned char *life);

/* Signs and seals a message. Returns 0, or -1 with `error` set. */
int published_sign(struct seal *seal, struct message *message, struct ipcl_error *error);
/* Checks one that was received, as seal_verify() does. */
enum session_verdict published_verify(struct seal *seal, struct message *message);
/* What a subscriber sends to an XPUB: a byte, and a prefix of topics (ZeroMQ RFC 29). An XPUB also
 * hands up whatever else a subscriber sends. */
struct subscription {
    bool begins; /* otherwise it ends */
    const char *topic;
    size_t topic_size;
};
/* Reads one; `message` keeps the bytes. Returns whether it is one. */
bool subscription_read(struct message *message, struct subscription *subscription);
/* Takes from now on what has a counter above this one: the controller's life is another. */
void published_begin(struct seal *seal, uint64_t counter);

#endif
