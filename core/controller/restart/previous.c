/* The previous controller's engines. The hub thread. */
#include "controller/restart/previous.h"

#include <stdlib.h>
#include <string.h>
#include <utlist.h>

/* How many engines that have gone are kept: the last ones. */
#define ENDS_KEPT 1000

struct previous_engine {
    struct hub_engine engine;
    bool gone;
    char *end;                           /* how it ended; NULL if memory was short */
    struct previous_engine *prev, *next; /* among those that have gone */
    UT_hash_handle hh;
};

static struct previous_engine *previous_find(const struct previous *previous, const char *uuid)
{
    struct previous_engine *found;
    HASH_FIND_STR(previous->by_uuid, uuid, found);
    return found;
}

static void previous_drop(struct previous *previous, struct previous_engine *engine)
{
    HASH_DEL(previous->by_uuid, engine);
    if (engine->gone) {
        DL_DELETE(previous->gone, engine);
        previous->gone_count--;
    }
    json_decref(engine->engine.info);
    free(engine->end);
    free(engine);
}

void previous_add(struct previous *previous, const struct hub_engine *engine)
{
    struct previous_engine *added =
        previous_find(previous, engine->uuid) ? NULL : calloc(1, sizeof(*added));
    if (!added)
        return;
    added->engine.id = engine->id;
    memcpy(added->engine.uuid, engine->uuid, sizeof(added->engine.uuid));
    memcpy(added->engine.route, engine->route, sizeof(added->engine.route));
    added->engine.info = json_incref(engine->info);
    HASH_ADD_KEYPTR(hh, previous->by_uuid, added->engine.uuid, strlen(added->engine.uuid), added);
}

const struct hub_engine *previous_awaited(const struct previous *previous, const char *uuid)
{
    const struct previous_engine *found = previous_find(previous, uuid);
    return found && !found->gone ? &found->engine : NULL;
}

bool previous_end(struct previous *previous, const char *uuid, const char *sentence)
{
    struct previous_engine *found = previous_find(previous, uuid);
    if (!found || found->gone)
        return false;
    found->gone = true;
    found->end = strdup(sentence);
    DL_APPEND(previous->gone, found);
    if (++previous->gone_count > ENDS_KEPT)
        previous_drop(previous, previous->gone);
    return true;
}

void previous_forget(struct previous *previous, const char *uuid)
{
    struct previous_engine *found = previous_find(previous, uuid);
    if (found)
        previous_drop(previous, found);
}

const struct hub_engine *previous_missing(const struct previous *previous,
                                          const struct engines *engines,
                                          const struct hub_engine *after)
{
    const struct previous_engine *at =
        after ? ((const struct previous_engine *)after)->hh.next : previous->by_uuid;
    while (at && (at->gone || engines_by_uuid(engines, at->engine.uuid)))
        at = at->hh.next;
    return at ? &at->engine : NULL;
}

json_t *previous_to_json(const struct previous *previous)
{
    json_t *object = json_object();
    for (struct previous_engine *at = previous->by_uuid; at; at = at->hh.next)
        json_object_set_new(object, at->engine.uuid,
                            at->gone ? json_string(at->end ? at->end : "the engine has gone")
                                     : json_null());
    return object;
}

void previous_release(struct previous *previous)
{
    struct previous_engine *engine, *next;
    HASH_ITER (hh, previous->by_uuid, engine, next)
        previous_drop(previous, engine);
}
