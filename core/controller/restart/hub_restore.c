/* What becomes of the previous controller's engines. The schedulers know them; those that come back
 * go on with what they have; clients hear of those that do not. The hub thread. */
#include <stdlib.h>

#include "base/clock.h"
#include "controller/hub/hub_ends.h"
#include "controller/restart/previous.h"
#include "controller/restart/restart.h"

static void hub_restart_know(void *self, const struct hub_engine *engine)
{
    struct hub *hub = self;
    struct notice notice = {.kind = NOTICE_KNOWN, .id = engine->id, .sealed = engine->sealed};
    snprintf(notice.uuid, sizeof(notice.uuid), "%s", engine->uuid);
    snprintf(notice.route, sizeof(notice.route), "%s", engine->route);
    routes_add(&hub->routes, engine->uuid, engine->route);
    previous_add(hub->previous, engine);
    hub->previous->until_ms = clock_ms() + CONTROLLER_RETURN_MS;
    hub_record_engine(hub, engine->uuid, REPORT_KNOWN);
    for (size_t i = 0; i < CHANNEL_LISTENERS; i++)
        if (i != CHANNEL_HEART)
            notice_send(hub->listeners[i], &notice);
}

/* Tells the schedulers which engines there were. */
static void know_engines(struct hub *hub)
{
    struct ipcl_error error;
    if (engine_table_names(&hub->table, hub_restart_know, hub, &error))
        log_warn("hub: answers from engines of the previous controller may be lost: their names "
                 "cannot be read from %s: %s",
                 hub->table.path, error.text);
}

/* Takes the engines over. If something is wrong with the table, this controller starts all the
 * same: engines register again. */
static void restore_engines(struct hub *hub)
{
    struct ipcl_error error;
    int count = engine_table_load(&hub->table, &hub->engines, hub_expires_ms(hub), &error);
    if (count < 0)
        log_warn("hub: engines cannot be restored from %s: %s", hub->table.path, error.text);
    for (struct hub_engine *engine = hub->engines.by_id; engine; engine = engine->hh_id.next)
        hub_expect_engine(hub, engine);
    if (hub->engines.by_id)
        log_info("hub: %u engines of the previous controller are expected back",
                 HASH_CNT(hh_id, hub->engines.by_id));
}

static int hub_restart_open(struct hub *hub, struct ipcl_error *error)
{
    hub->previous = controller_allocate(sizeof(*hub->previous), error);
    if (!hub->previous)
        return -1;
    if (hub->controller->restarted)
        know_engines(hub);
    if (hub->controller->restore_engines)
        restore_engines(hub);
    return 0;
}

static void hub_restart_release(struct hub *hub)
{
    if (hub->previous)
        previous_release(hub->previous);
    free(hub->previous);
}

/* Tells clients about the previous controller's engines that have not come back. If one comes
 * later, it is an engine like others. */
static void check_previous(struct hub *hub)
{
    const struct hub_engine *engine = NULL;
    while ((engine = previous_missing(hub->previous, &hub->engines, engine)))
        hub_miss_engine(hub, engine);
    hub->previous->until_ms = 0;
}

static long long hub_restart_tick(struct hub *hub, long long now_ms)
{
    const struct previous *previous = hub->previous;
    if (previous->until_ms && now_ms >= previous->until_ms)
        check_previous(hub);
    return clock_due(previous->until_ms);
}

static const struct hub_engine *hub_restart_awaited(const struct hub *hub, const char *uuid)
{
    return previous_awaited(hub->previous, uuid);
}

/* Takes over the requests that an engine says it has from the previous controller. It is asked only
 * if the engine has proved that it was there. The records know which of them may be its own. */
static void hub_restart_take_back(struct hub *hub, const json_t *content, struct hub_engine *engine)
{
    const json_t *pending = json_object_get(content, "pending"), *msg_id;
    size_t index;
    json_array_foreach (pending, index, msg_id) {
        const char *id = json_string_value(msg_id);
        const struct request *known = id ? ledger_find(&hub->ledger, id) : NULL;
        if (!id || (known && known->engine))
            continue;
        if (known)
            ledger_assign(&hub->ledger, id, engine);
        else
            ledger_submit(&hub->ledger, id, REPORT_DIRECT, engine);
        ledger_claim(&hub->ledger, id);
        hub_record_return(hub, id, engine);
    }
}

static void hub_restart_meet(struct hub *hub, const char *uuid)
{
    previous_forget(hub->previous, uuid);
}

static bool hub_restart_end(struct hub *hub, const char *uuid, const char *sentence)
{
    return hub->previous && previous_end(hub->previous, uuid, sentence);
}

static void hub_restart_describe(const struct hub *hub, json_t *content)
{
    if (hub->previous->by_uuid)
        json_object_set_new(content, "previous", previous_to_json(hub->previous));
}

const struct hub_hooks hub_restart_hooks = {
    .open = hub_restart_open,
    .release = hub_restart_release,
    .tick = hub_restart_tick,
    .awaited = hub_restart_awaited,
    .take_back = hub_restart_take_back,
    .meet = hub_restart_meet,
    .end = hub_restart_end,
    .describe = hub_restart_describe,
};
