/* What goes through a socket, and how a thread's loop does: counted by the thread that has it, read
 * by any. */
#ifndef WIRE_TRAFFIC_H
#define WIRE_TRAFFIC_H

#include "base/counter.h"
#include "wire/message.h"

/* The types of messages that are told from each other; all others count as the first. Places that
 * are left have NULL. */
#define TRAFFIC_TYPES 64
extern const char *traffic_types[TRAFFIC_TYPES];
/* One more type, which is not copied. Main's thread, before there is another. */
void traffic_tell_apart(const char *msg_type);

enum traffic_way { TRAFFIC_IN, TRAFFIC_OUT, TRAFFIC_WAYS };

struct traffic {
    struct counter messages[TRAFFIC_WAYS];
    struct counter bytes[TRAFFIC_WAYS]; /* of their frames, but for those that name a peer */
    struct counter accepted[TRAFFIC_TYPES];
};

/* What a message adds to `bytes`, from frame `first` on. */
size_t traffic_bytes(const struct message *message, size_t first);
void traffic_note(struct traffic *traffic, enum traffic_way way, size_t bytes);
/* Counts a message whose msg_type has been read. */
void traffic_accept(struct traffic *traffic, const struct ipcl_member *msg_type);

/* A loop goes round as often as it is woken. A round that takes as long as this is a stall: until
 * its end the thread hears nothing. */
#define TRAFFIC_STALL_US 100000

struct rounds {
    struct counter count;
    struct counter busy_us; /* in all of them */
    struct counter longest_us;
    struct counter stalls;
};

void rounds_note(struct rounds *rounds, long long us);

#endif
