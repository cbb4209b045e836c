/* A door: sockets for requests, replies and published messages, and the session that signs and
 * verifies these. */
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
    int64_t frame_bytes_max;   /* the largest frame that the other ends take; 0: no limit */
    bool subscribed;           /* there is a subscriber for what is published */
    unsigned status_listeners; /* how many subscriptions include our status */
    /* Packed once: the metadata of everything published, {"engine": uuid}, and contents of status
     * messages. */
    char *metadata, *busy, *idle;
    size_t metadata_size, busy_size, idle_size;
    /* Of a plain successful reply; only the date in it is replaced. */
    char *ok_metadata, *ok_content;
    size_t ok_metadata_size, ok_content_size;
    char *ok_date;
};

/* Takes over a session (NULL fails), and packs what is packed once. `connection`: a controller's,
 * which may seal; NULL: for frontends. Returns 0 or -1 with `error` set. */
int door_open(struct door *door, struct io *io, const struct ipcl_serial_operations *serial,
              struct session *session, const struct connection *connection,
              struct ipcl_error *error);
/* Releases everything except the sockets, which the loop owns. */
void door_close(struct door *door);
/* Verifies a message from one of the door's sockets, and makes a job of it. A message that is
 * refused is counted and logged: then NULL. */
struct job *door_accept(struct door *door, struct message *message, void *socket);
/* Names the next connection of the shell socket, by its channel. */
void door_name_next(struct door *door, enum seal_channel channel);
/* The channel of a request, and of its reply, which has the same first frame. */
enum seal_channel door_channel(const struct door *door, const void *socket,
                               struct message *message);
/* Signs a complete message. Returns 0 or -1 with `error` set. */
int door_sign(struct door *door, enum seal_channel channel, struct message *message,
              struct ipcl_error *error);
/* For an envelope: the same as seal_enclose() and seal_close_envelope(). */
int door_enclose(struct door *door, enum seal_channel channel, struct message *message);
int door_close_envelope(struct door *door, enum seal_channel channel, struct message *envelope);
/* The topic of status messages. */
#define DOOR_TOPIC_BYTES 64
void door_status_topic(const struct door *door, char topic[DOOR_TOPIC_BYTES]);
/* What the iopub socket of `self`, a struct door, receives: a subscription, which is a byte (1 or
 * 0) and a topic (ZeroMQ RFC 29). */
void door_subscribed(void *self, struct message *message);

#endif
