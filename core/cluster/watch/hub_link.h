/* The connection to the hub of a controller, for this folder: its sockets, and the seals of their
 * messages. */
#ifndef CLUSTER_WATCH_HUB_LINK_H
#define CLUSTER_WATCH_HUB_LINK_H

#include <stdbool.h>

#include <jansson.h>

#include <ipcluster/error.h>

#include "plugin/registry.h"
#include "wire/connection.h"
#include "wire/seal.h"

struct hub_link {
    const char *path; /* of the connection file; the owner's */
    struct connection connection;
    struct session *session;
    unsigned char life[SEAL_LIFE_BYTES]; /* the controller's */
    struct seal query_seal;
    struct seal control_seal;
    struct seal notification_seal;
    void *context;
    void *query;
    void *notification;
    void *control;
    char asked[MESSAGE_ID_LENGTH + 1]; /* the msg_id of the last request */
};

/* A message that was verified. */
struct hub_message {
    const char *type;    /* from the header; NULL: none */
    const char *answers; /* the msg_id of its parent; NULL: it has none */
    json_t *header, *parent, *metadata, *content;
};

enum hub_link_outcome {
    HUB_LINK_EMPTY,   /* there is none */
    HUB_LINK_MESSAGE, /* hub_message_release() when done */
    HUB_LINK_DROPPED, /* it does not verify, which was logged */
    HUB_LINK_STALE    /* a notification of an unknown life: another controller has come, or this one
                         has not answered yet */
};

/* Reads the connection file at `path`, keeps `path`, and makes the sockets of a link that is all
 * zeros. Returns 0 or -1 with `error` set; hub_link_close() in any case. */
int hub_link_open(struct hub_link *link, struct registry *registry, const char *path,
                  struct ipcl_error *error);
void hub_link_close(struct hub_link *link);
/* Sends a request to the engine with the uuid `engine`, or to the hub if that is NULL. Returns its
 * msg_id, valid until the next call; NULL: it could not be sent. */
const char *hub_link_send(struct hub_link *link, void *socket, const char *engine,
                          const char *msg_type, const json_t *content);
/* Takes the next message of a socket, without waiting. */
enum hub_link_outcome hub_link_receive(struct hub_link *link, void *socket,
                                       struct hub_message *received);
void hub_message_release(struct hub_message *received);
/* Takes the name of the controller's life from an answer of the hub. */
void hub_link_note_life(struct hub_link *link, const json_t *content);

#endif
