/* A broadcast as its client sent it, and the requests that its engines get. These have the same
 * frames except for the header's msg_id, which also names the engine (as in ipyparallel's broadcast
 * scheduler and view). */
#ifndef CONTROLLER_SCHEDULERS_BROADCAST_REQUEST_H
#define CONTROLLER_SCHEDULERS_BROADCAST_REQUEST_H

#include <stdbool.h>
#include <jansson.h>

#include "controller/exchange/notice.h"
#include "controller/exchange/report.h"
#include "wire/message.h"
#include "wire/session.h"

struct broadcast_target {
    char uuid[ENGINE_UUID_BYTES];
    json_int_t id; /* the client's id of the engine; -1 if the client does not give it */
};

struct broadcast_request {
    struct session *session;
    struct message *message; /* as it arrived, but with the metadata that the engines get */
    const char *msg_id;      /* in the message's header */
    size_t msg_id_size;
    bool coalescing;
    struct broadcast_target *targets; /* each once, in the client's order */
    size_t count;
    struct ipcl_error error; /* what is wrong with the broadcast */
    json_t *header;
    /* The header as it was packed last, and where the engine's uuid is in it. */
    char *packed;
    size_t packed_size;
    size_t uuid_offset;
    size_t uuid_size; /* 0: it cannot be written over */
};

/* Reads the verified `message`, [client, delimiter ...], which must outlive the request. Returns
 * NULL; or a text, valid as long as the request, that says what is wrong. Release the request in
 * both cases. */
const char *broadcast_request_read(struct broadcast_request *request, struct session *session,
                                   struct message *message);
void broadcast_request_release(struct broadcast_request *request);

/* Writes the msg_id of one engine's request. */
void broadcast_request_id(const struct broadcast_request *request, const char *uuid,
                          char id[REPORT_TEXT_MAX + 1]);
/* The packed header of one engine's request, valid until the next call; NULL if memory is short. */
const char *broadcast_request_header(struct broadcast_request *request, const char *uuid,
                                     size_t *size);
/* Makes `part`, which is empty, one engine's request: [engine, client, delimiter ...]; other frames
 * are by reference. Returns 0 or -1. */
int broadcast_request_part(struct broadcast_request *request, const char *uuid,
                           struct message *part);

#endif
