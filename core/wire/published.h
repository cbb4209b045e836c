/* Messages that the controller publishes: each goes to all clients, ours and ipyparallel's. So it
 * has the plain signature, and its seal (seal.h) stands before the delimiter:
 *
 *     [topic] seal "<IDS|MSG>" signature header parent_header metadata content [buffer ...]
 *
 * where other clients read nothing. Our clients accept only messages that are sealed for the life
 * of the controller that they are connected to. So both ends of such a seal have a life: the
 * publisher's end is bound to it, and a client's end knows it. */
#ifndef WIRE_PUBLISHED_H
#define WIRE_PUBLISHED_H

#include "wire/seal.h"

/* The publisher's end of a channel, and a subscriber's (`required`: the controller is ours). */
struct seal published_source(struct seal seal, const unsigned char *life);
struct seal published_sink(struct seal seal, bool required, const unsigned char *life);

/* Signs and seals a message. Returns 0, or -1 with `error` set. */
int published_sign(struct seal *seal, struct message *message, struct ipcl_error *error);
/* Checks a message that was received, as seal_verify() does. */
enum session_verdict published_verify(struct seal *seal, struct message *message);
/* What a subscriber sends to an XPUB: a byte, and a prefix of topics (ZeroMQ RFC 29). An XPUB also
 * passes on anything else that a subscriber sends. */
struct subscription {
    bool begins; /* otherwise it ends */
    const char *topic;
    size_t topic_size;
};
/* Reads a subscription; its texts belong to `message`. Returns whether the message is one. */
bool subscription_read(struct message *message, struct subscription *subscription);
/* From now on takes only counters above `counter`: the controller's life is another. */
void published_begin(struct seal *seal, uint64_t counter);

#endif
