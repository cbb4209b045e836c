/* A way in for requests, and out for what is answered and published: sockets, and the session that
 * signs what passes them. */
#ifndef ENGINE_DOOR_H
#define ENGINE_DOOR_H

#include <ipcluster/serial.h>

#include "engine/job.h"
#include "wire/seal.h"

struct io;

struct door {
    struct io *io;
    const struct ipcl_serial_operations *serial;
    struct session *session;
    struct seal seals[SEAL_CHANNELS];
    bool sealed; /* the other ends seal what they send, and so do we */
    void *shell;
    void *control;
    void *iopub;               /* NULL while closed */
    int64_t frame_bytes_max;   /* what whoever is behind it takes; 0: anything */
    bool subscribed;           /* somebody hears what is published */
    unsigned status_listeners; /* subscriptions that take in our status */
    /* Packed once: what everything published has as metadata, {"engine": uuid}; status contents. */
    char *metadata, *busy, *idle;
    size_t metadata_size, busy_size, idle_size;
    /* Of a plain successful reply; the date in it is written over. */
    char *ok_metadata, *ok_content;
    size_t ok_metadata_size, ok_content_size;
    char *ok_date;
};

/* Takes over a session (NULL fails), and packs what is packed once. `connection`: of a controller,
 * which may seal; NULL: of frontends. Returns 0 or -1 with `error` set. */
int door_open(struct door *door, struct io *io, const struct ipcl_serial_operations *serial,
              struct session *session, const struct connection *connection,
              struct ipcl_error *error);
/* Releases all but the sockets, which are the loop's. */
void door_close(struct door *door);
/* Verifies and makes a job of a message that came by one of the door's sockets, or refuses it,
 * counted and logged. NULL where there is none. */
struct job *door_accept(struct door *door, struct message *message, void *socket);
/* Names the connection that the shell socket makes next, by the channel that it is of. */
void door_name_next(struct door *door, enum seal_channel channel);
/* The channel of a request, and so of its reply, which has its first frame. */
enum seal_channel door_channel(const struct door *door, const void *socket,
                               struct message *message);
/* Signs a message that is complete. Returns 0 or -1 with `error` set. */
int door_sign(struct door *door, enum seal_channel channel, struct message *message,
              struct ipcl_error *error);
/* The topic of status messages. */
#define DOOR_TOPIC_BYTES 64
void door_status_topic(const struct door *door, char topic[DOOR_TOPIC_BYTES]);
/* What the iopub socket of `self`, a struct door, receives: a subscription, that is a byte, 1 or 0,
 * and a topic (RFC 29 of ZeroMQ). */
void door_subscribed(void *self, struct message *message);

#endif
