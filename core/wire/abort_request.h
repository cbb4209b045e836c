/* An abort_request: the client whose requests are meant, and which of them. */
#ifndef WIRE_ABORT_REQUEST_H
#define WIRE_ABORT_REQUEST_H

#include <stdbool.h>

#include "wire/session.h"

struct abort_request {
    struct ipcl_member session; /* of the client that asks; points into its message */
    json_t *named;              /* its keys are the msg_ids; empty: all of the client */
};

/* Reads a message. `content` is a mapping, as the caller has checked. Its "msg_ids" is a text, a
 * list of texts, null or missing. Returns 0, or -1 with `error` set if it is anything else, or the
 * message's header has no session. */
int abort_request_read(struct abort_request *request, const struct session *session,
                       struct message *message, const json_t *content, struct ipcl_error *error);
void abort_request_clear(struct abort_request *request);
/* Whether the request with this packed header was sent by the client that asks. */
bool abort_request_is_from(const struct abort_request *request,
                           const struct ipcl_serial_operations *serial, const void *header,
                           size_t size);

#endif
