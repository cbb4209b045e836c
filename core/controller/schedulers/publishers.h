/* The engines whose output the iopub thread takes. All engines have one key, so what one of ours
 * publishes is sealed under the name that it and the hub alone know (routes.h), and has a topic of
 * its own id: so nobody else publishes in its name. ipyparallel's sign with the key alone. */
#ifndef CONTROLLER_SCHEDULERS_PUBLISHERS_H
#define CONTROLLER_SCHEDULERS_PUBLISHERS_H

#include <stdbool.h>
#include <stddef.h>
#include <uthash.h>
#include <zmq.h>

#include "controller/exchange/notice.h"

/* Of those that have gone so many are remembered: their last words may be on their way. */
#define PUBLISHERS_GONE_MAX 4096

struct publisher {
    char uuid[ENGINE_UUID_BYTES];
    char route[ENGINE_UUID_BYTES]; /* "": its name is its uuid */
    int id;
    bool sealed; /* it seals what it publishes */
    bool gone;
    struct publisher *prev, *next; /* of those that have gone */
    UT_hash_handle hh_uuid;
    UT_hash_handle hh_id; /* while it has not */
};

/* All zeros: of no engine. */
struct publishers {
    struct publisher *by_uuid, *by_id;
    struct publisher *gone; /* the oldest first */
    size_t gone_count;
};

/* Takes note of an engine that may come back, has asked to be registered, or has gone. */
void publishers_note(struct publishers *publishers, const struct notice *notice);
struct publisher *publishers_find(const struct publishers *publishers, const void *uuid,
                                  size_t size);
/* Whether this engine (NULL: one that is not known) may publish under a topic. An engine that seals
 * has the topic of its own id; any other may use all that belong to no such engine. */
bool publishers_may_use(const struct publishers *publishers, const struct publisher *publisher,
                        zmq_msg_t *topic);
void publishers_release(struct publishers *publishers);

#endif
