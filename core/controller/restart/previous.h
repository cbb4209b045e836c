/* The engines of the previous controller that have not come back: those that are awaited, and those
 * that are known to have gone. Clients of that controller hear of the end of each. The hub's
 * thread. */
#ifndef CONTROLLER_RESTART_PREVIOUS_H
#define CONTROLLER_RESTART_PREVIOUS_H

#include <jansson.h>
#include <stdbool.h>

#include "controller/hub/engines.h"

struct previous_engine;

struct previous {
    struct previous_engine *by_uuid;
    struct previous_engine *gone; /* engines that have gone, the first one first */
    size_t gone_count;
    long long until_ms; /* when to stop waiting for engines that have not asked to be registered; 0:
                           none is awaited */
};

/* Notes id, uuid, route and info of `engine`; takes no ownership. */
void previous_add(struct previous *previous, const struct hub_engine *engine);
/* An awaited engine, or NULL. */
const struct hub_engine *previous_awaited(const struct previous *previous, const char *uuid);
/* The end of an engine is known, as a sentence. Returns whether it was awaited. */
bool previous_end(struct previous *previous, const char *uuid, const char *sentence);
/* An engine is back. */
void previous_forget(struct previous *previous, const char *uuid);
/* The first awaited engine that is not in `engines`; if `after` is not NULL, the next one after it.
 * NULL: there is none. */
const struct hub_engine *previous_missing(const struct previous *previous,
                                          const struct engines *engines,
                                          const struct hub_engine *after);
/* A new object: for each uuid how the engine ended (the last thousand), or null if it is
 * awaited. */
json_t *previous_to_json(const struct previous *previous);
void previous_release(struct previous *previous);

#endif
