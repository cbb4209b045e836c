/* Collects the answers of coalesced broadcasts until all engines have answered and one reply can be
 * made. It knows nothing about sockets, and stores only what the reply needs: the client's
 * identity, the request's header, and the buffers that have arrived. */
#ifndef CONTROLLER_SCHEDULERS_GATHER_H
#define CONTROLLER_SCHEDULERS_GATHER_H

#include <stddef.h>
#include <jansson.h>
#include <uthash.h>

#include "base/clock.h"
#include "controller/exchange/notice.h"
#include "controller/delivery/reply.h"
#include "wire/message.h"

enum part_state { PART_OPEN, PART_OK, PART_FAILED, PART_ABORTED };

/* One engine's part. */
struct gather_part {
    struct gathering *gathering;
    char *msg_id; /* of the request that the engine got */
    char uuid[ENGINE_UUID_BYTES];
    json_int_t engine_id;
    enum part_state state;
    zmq_msg_t *buffers; /* of the reply, for PART_OK */
    size_t buffer_count;
    json_t *error; /* for PART_FAILED: the content of its reply */
    struct gather_part *prev, *next;
    UT_hash_handle hh; /* while it is open */
};

/* One broadcast. */
struct gathering {
    char *msg_id;
    struct reply_request request; /* where the reply goes, and what it answers */
    char started[CLOCK_DATE_BYTES];
    struct gather_part *parts; /* in the client's order */
    size_t open;               /* how many parts are open, and one more while parts are added */
    zmq_msg_t content;         /* of the first PART_OK */
    UT_hash_handle hh;
};

struct gather {
    struct gathering *by_id;
    struct gather_part *open_parts;
};

/* Adds a broadcast; `request` is copied. NULL if one of this msg_id is open already, or memory is
 * short. */
struct gathering *gather_open(struct gather *gather, const char *msg_id, size_t size,
                              const struct reply_request *request);
/* Adds a part. NULL if memory is short. */
struct gather_part *gather_add(struct gather *gather, struct gathering *gathering,
                               const char *msg_id, const char *uuid, json_int_t engine_id);
/* All parts have been added. */
void gather_added(struct gathering *gathering);
/* The part whose request has this msg_id, while it is open; NULL for none. */
struct gather_part *gather_find(const struct gather *gather, const char *msg_id, size_t size);
/* Ends a part with an engine's reply of this state, and takes over its buffers. For PART_FAILED
 * `error` is the reply's content, which is taken over too; otherwise NULL. */
void gather_answer(struct gather *gather, struct gather_part *part, enum part_state state,
                   json_t *error, struct message *reply);
/* Ends a part with an error, whose content is taken over. */
void gather_fail(struct gather *gather, struct gather_part *part, json_t *error);
/* Forgets a broadcast. */
void gather_close(struct gather *gather, struct gathering *gathering);
void gather_release(struct gather *gather);

/* The result of a broadcast whose parts have all ended. */
enum part_state gathering_state(const struct gathering *gathering);
/* The content of the one reply, a new reference: the first error, and the tracebacks of some. For
 * PART_FAILED. */
json_t *gathering_error(const struct gathering *gathering);
/* [[uuid, id], ...] of all parts: a new reference. */
json_t *gathering_targets(const struct gathering *gathering);

#endif
