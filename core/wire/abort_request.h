/* What an abort_request says: whose requests are meant, and which. */
#ifndef WIRE_ABORT_REQUEST_H
#define WIRE_ABORT_REQUEST_H

#include <stdbool.h>

#include "wire/session.h"

struct abort_request {
    struct ipcl_member session; /* of the client that asks, whose message keeps it */
    json_t *named;              /* the msg_ids are its members; none: all of the client's */
};

/* Reads a message, whose content is a mapping with "msg_ids": a text or a list of texts, or
 * nothing. Returns 0, or -1 with `error` set where it is something else. */
int abort_request_read(struct abort_request *request, const struct session *session,
                       struct message *message, const json_t *content, struct ipcl_error *error);
void abort_request_clear(struct abort_request *request);
/* Whether the request with this packed header is of the client that asks. */
bool abort_request_is_from(const struct abort_request *request,
                           const struct ipcl_serial_operations *serial, const void *header,
                           size_t size);

#endif
