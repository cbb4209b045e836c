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
    struct previous_engine *gone; /* of these, the first to go first */
    size_t gone_count;
    long long until_ms; /* when whoever has not asked to be registered is waited for no longer; 0:
                           nobody is waited for */
};

/* Notes id, uuid, route and info of `engine`; takes nothing over. */
void previous_add(struct previous *previous, const struct hub_engine *engine);
/* One that is awaited, or NULL. */
const struct hub_engine *previous_awaited(const struct previous *previous, const char *uuid);
/* It is known how one that is awaited has ended, as a sentence. Returns whether it was awaited. */
bool previous_end(struct previous *previous, const char *uuid, const char *sentence);
/* One is back. */
void previous_forget(struct previous *previous, const char *uuid);
/* The first that is awaited and is none of these, or, where `after` is not NULL, the next one.
 * NULL: there is none. */
const struct hub_engine *previous_missing(const struct previous *previous,
                                          const struct engines *engines,
                                          const struct hub_engine *after);
/* A new object: by uuid how each has ended, of the last thousand, null where it is awaited. */
json_t *previous_to_json(const struct previous *previous);
void previous_release(struct previous *previous);

#endif
