/* The engines whose output the iopub thread accepts. All engines have one key. So what an engine of
 * ours publishes is sealed under a name that only it and the hub know (routes.h), and has a topic
 * with its own id: nobody else can publish in its name. ipyparallel's engines sign with the key
 * alone. */
#ifndef CONTROLLER_SCHEDULERS_PUBLISHERS_H
#define CONTROLLER_SCHEDULERS_PUBLISHERS_H

#include <stdbool.h>
#include <stddef.h>
#include <uthash.h>
#include <zmq.h>

#include "controller/exchange/notice.h"

/* How many engines that have gone are remembered: their last messages may still arrive. */
#define PUBLISHERS_GONE_MAX 4096

struct publisher {
    char uuid[ENGINE_UUID_BYTES];
    char route[ENGINE_UUID_BYTES]; /* "": its name is its uuid */
    int id;
    bool sealed; /* it seals what it publishes */
    bool gone;
    struct publisher *prev, *next; /* in the list of those that have gone */
    UT_hash_handle hh_uuid;
    UT_hash_handle hh_id; /* until it has gone */
};

/* All zero: without engines. */
struct publishers {
    struct publisher *by_uuid, *by_id;
    struct publisher *gone; /* the oldest first */
    size_t gone_count;
};

/* Notes an engine that may come back, has asked to be registered, or has gone. */
void publishers_note(struct publishers *publishers, const struct notice *notice);
struct publisher *publishers_find(const struct publishers *publishers, const void *uuid,
                                  size_t size);
/* Whether this engine (NULL: an unknown one) may publish under a topic. An engine that seals has
 * only the topic of its own id; any other may use all topics that belong to no such engine. */
bool publishers_may_use(const struct publishers *publishers, const struct publisher *publisher,
                        zmq_msg_t *topic);
void publishers_release(struct publishers *publishers);

#endif
