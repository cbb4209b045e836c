/* Replies that the controller makes, most of them errors in an engine's place. */
#ifndef CONTROLLER_DELIVERY_REPLY_H
#define CONTROLLER_DELIVERY_REPLY_H

#include <stdbool.h>
#include <stddef.h>

#include "wire/message.h"
#include "wire/seal.h"

/* The request that is answered, and its client. */
struct reply_request {
    const void *client; /* the client's identity */
    size_t client_size;
    const void *engine; /* the identity that a reply of the engine would carry; NULL for none */
    size_t engine_size;
    const void *header; /* the request's header, byte for byte */
    size_t header_size;
};

/* Fills `request` from a received message: its first frame is the client; a second one before the
 * delimiter is the engine. The bytes belong to the message. */
void reply_request_of(struct message *message, struct reply_request *request);

/* Writes the type of the reply that belongs to the request: "apply_reply" for "apply_request". */
void reply_type(struct session *session, const struct reply_request *request, char *type,
                size_t type_bytes);

/* Signs a reply for the client that is its first frame: with a seal if the client seals its
 * requests. `restarted`: it may have sent them to the previous controller. Returns 0 or -1. */
int reply_sign(struct seal *seal, struct message *reply, bool restarted);

/* Builds a reply in `message`, which is empty, of the type that belongs to the request
 * ("apply_request": "apply_reply"). `content` (borrowed) has the status. The metadata have the
 * status too, and `engine_uuid` if it is not NULL. Returns 0, or -1 if it cannot be built, which is
 * logged. */
int reply_make(struct session *session, struct message *message,
               const struct reply_request *request, const char *engine_uuid, const json_t *content);
/* The same with an error's content. */
int reply_make_error(struct session *session, struct message *message,
                     const struct reply_request *request, const char *engine_uuid,
                     const char *ename, const char *evalue);

/* Builds an error for a request of which only the client, the msg_id and the engine that had it are
 * known. `named`: replies have that engine's name after the client's. Returns 0 or -1. */
int reply_lost(struct session *session, struct message *message, const struct ipcl_member *client,
               const struct ipcl_member *msg_id, const char *engine_uuid, bool named,
               const char *evalue);

/* The content of an error, as ipyparallel's clients read it: status, ename, evalue, traceback,
 * engine_info. A new reference, or NULL when memory is short. */
json_t *reply_error_content(const char *ename, const char *evalue);

#endif
