/* Counts what goes through a socket, and a loop's rounds. The thread that has the socket counts;
 * any thread reads. */
#ifndef WIRE_TRAFFIC_H
#define WIRE_TRAFFIC_H

#include "base/counter.h"
#include "wire/message.h"

/* The message types that are counted apart; all others count as the first. Unused places are
 * NULL. */
#define TRAFFIC_TYPES 64
extern const char *traffic_types[TRAFFIC_TYPES];
/* Adds a type, whose text is not copied. Main thread, before there is another. */
void traffic_tell_apart(const char *msg_type);

enum traffic_way { TRAFFIC_IN, TRAFFIC_OUT, TRAFFIC_WAYS };

struct traffic {
    struct counter messages[TRAFFIC_WAYS];
    struct counter bytes[TRAFFIC_WAYS]; /* of their frames, without those that name a peer */
    struct counter accepted[TRAFFIC_TYPES];
};

/* The bytes of a message from frame `first` on, for `bytes`. */
size_t traffic_bytes(const struct message *message, size_t first);
void traffic_note(struct traffic *traffic, enum traffic_way way, size_t messages, size_t bytes);
/* Counts a message whose msg_type has been read. */
void traffic_accept(struct traffic *traffic, const struct ipcl_member *msg_type);

/* A round of a loop that takes at least this long is a stall: until its end the thread reads
 * nothing. */
#define TRAFFIC_STALL_US 100000

struct rounds {
    struct counter count;
    struct counter busy_us; /* of all rounds */
    struct counter longest_us;
    struct counter stalls;
};

void rounds_note(struct rounds *rounds, long long us);

#endif
