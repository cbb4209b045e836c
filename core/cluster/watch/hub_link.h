/* The connection to the hub of a controller, for this folder: its sockets, and the seals of their
 * messages. */
#ifndef CLUSTER_WATCH_HUB_LINK_H
#define CLUSTER_WATCH_HUB_LINK_H

#include <jansson.h>

#include <ipcluster/error.h>

#include "plugin/registry.h"
#include "wire/connection.h"
#include "wire/loop.h"
#include "wire/seal.h"

/* A message that was verified. */
struct hub_message {
    const char *type;    /* from the header; NULL: none */
    const char *answers; /* the msg_id of its parent; NULL: it has none */
    json_t *header, *parent, *metadata, *content;
};

/* Takes a message, which is freed afterwards. NULL: a notification of an unknown life has come:
 * there is another controller, or this one has not answered yet. */
typedef void hub_link_take(void *self, const void *socket, const struct hub_message *message);

struct hub_link {
    hub_link_take *take;
    void *self;        /* its context */
    struct loop *loop; /* has the sockets */
    const char *path;  /* of the connection file; the owner's */
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

/* Reads the connection file at `path`, keeps `path`, and makes the sockets of a link that has
 * `take` and `self` and is otherwise all zeros. Returns 0 or -1 with `error` set; hub_link_close()
 * in any case. */
int hub_link_open(struct hub_link *link, struct registry *registry, const char *path,
                  struct ipcl_error *error);
void hub_link_close(struct hub_link *link);
/* Sends a request to the engine with the uuid `engine`, or to the hub if that is NULL. Returns its
 * msg_id, valid until the next call; NULL: it could not be sent. */
const char *hub_link_send(struct hub_link *link, void *socket, const char *engine,
                          const char *msg_type, const json_t *content);
/* Has `take` called for all messages that have come. */
void hub_link_read(struct hub_link *link);
/* Takes the name of the controller's life from an answer of the hub. */
void hub_link_note_life(struct hub_link *link, const json_t *content);

#endif
