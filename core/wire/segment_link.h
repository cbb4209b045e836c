/* The way that segments take: a connection of local sockets by which a program and its controller
 * hand each other descriptors, beside the sockets that their messages take. A descriptor is given
 * before the message with its reference is sent, so whoever has the message finds it there. What
 * was given stays with the kernel until it is taken, also if the giver ends.
 *
 *     hello     label "\0ipcluster segments 1" and its NUL, the role, the name's length, the name,
 *               the proof (seal_prove()) of the name and the controller's life
 *     welcome   the same label, from the controller
 *     segment   a reference (segment.h), with the descriptor
 *     recall    the same reference without one: its message was not sent
 *
 * The thread of the messages, or whoever holds their lock. */
#ifndef WIRE_SEGMENT_LINK_H
#define WIRE_SEGMENT_LINK_H

#include <ipcluster/error.h>

#include "wire/connection.h"
#include "wire/message.h"
#include "wire/segment.h"
#include "wire/session.h"

struct deposit;

/* All zero: there is no connection, and large buffers travel in their messages. */
struct segment_link {
    bool connected;
    int socket;
    size_t unread; /* bytes given since the other end had read everything */
    unsigned char last[SEGMENT_REFERENCE_BYTES]; /* given */
    struct deposit *arrived;                     /* given and not taken yet, the oldest first */
    size_t count;                                /* of these */
};

/* Connects a program of ours to its controller: as `name`, under which its sockets connect. What
 * has arrived by an earlier connection stays. If the controller offers no segments, or does not
 * answer, `link` has no connection. `life` has SEAL_LIFE_BYTES. */
void segment_link_open(struct segment_link *link, const struct connection *connection,
                       struct session *session, enum connection_role role, const char *name,
                       const unsigned char *life);
/* Ends the connection, and releases what has arrived. */
void segment_link_close(struct segment_link *link);

/* Makes segments of a message's large buffers, if the link is connected. */
void segment_link_pack(const struct segment_link *link, struct message *message);
/* Gives the segments that a message refers to to the other end. Those that cannot be given, as
 * `link` is NULL or not connected or the other end does not read, become buffers in the message.
 * Before the message is signed. Returns 0, or -1 where it refers to what is not there. */
int segment_link_give(struct segment_link *link, struct message *message);
/* Takes back what was given for a message that was not sent. */
void segment_link_recall(struct segment_link *link, struct message *message);
/* Has a received message's references own what was given with it. `link` may be NULL. Returns 0,
 * or -1 where something is not there. */
int segment_link_take(struct segment_link *link, struct message *message);
/* The same, and opens the segments: the message has its buffers. */
int segment_link_unpack(struct segment_link *link, struct message *message);

/* Reads all that has arrived, as the other end has gone. */
void segment_link_drain(struct segment_link *link);

/* For the controller's end: what a connection begins with. */
#define SEGMENT_HELLO_BYTES_MAX 512
struct segment_hello {
    enum connection_role role;
    const char *name; /* in `bytes` */
    size_t name_size;
    const char *proof;
    size_t proof_size;
    char bytes[SEGMENT_HELLO_BYTES_MAX];
};
/* Reads a hello from a new connection. Returns 1; 0: none has come yet; -1: it is none, or the
 * connection has ended. */
int segment_link_hear(int socket, struct segment_hello *hello);
/* Answers it. Returns 0 or -1. */
int segment_link_welcome(int socket);
/* Takes over the connection. What has arrived by an earlier one stays. */
void segment_link_connect(struct segment_link *link, int socket);

#endif
