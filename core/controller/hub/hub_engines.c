/* The hub's engines that come and go: registration, the begin and the end of their hearts, and
 * which threads and clients are told. The hub's thread.
 *
 * An engine is registered when its heart beats. The schedulers hear of it before any client
 * does. */
#include <string.h>

#include "base/clock.h"
#include "base/trace.h"
#include "controller/hub/hub_ends.h"
#include "controller/delivery/reply.h"
#include "controller/door/room.h"

/* The longest that a client may take between asking for the engines and its subscription. */
#define SUBSCRIPTION_LATE_MS 10000
/* How exact the end of a registration's time is. */
#define EXPIRY_CHECK_MS 1000
/* Each engine that waits for its heart to begin to beat makes the others wait: a thousand that
 * arrive together share the processors of this host and theirs. */
#define WAITING_MS 50
/* How long an engine's watcher may take to say how it died, from when its connection has ended and
 * it has not answered for a while. */
#define SILENCE_MS 500

#define DEPARTED_SHOWN 20 /* of those that have gone, among details */

/* `outside`: as in struct engine_end. */
static void hub_lose_engine(struct hub *hub, struct hub_engine *engine, const char *how,
                            bool outside)
{
    const struct engine_end end = {.level = IPCL_LOG_WARN, .how = how, .outside = outside};
    hub_end_engine(hub, engine, &end);
}

/* The connection information that a registration reply carries, as ipyparallel's hub sends it. */
static json_t *engine_ports(const struct connection *engines)
{
    json_t *broadcast = json_array();
    for (int i = 0; i < engines->broadcast_count; i++)
        json_array_append_new(broadcast, json_integer(engines->broadcast[i]));
    return json_pack("{s:s s:i s:i s:i s:i s:i s:i s:i s:o}", "interface", engines->interface,
                     "registration", engines->registration, "control", engines->control, "mux",
                     engines->mux, "task", engines->task, "iopub", engines->iopub, "hb_ping",
                     engines->hb_ping, "hb_pong", engines->hb_pong, "broadcast", broadcast);
}

/* Its own id is an engine's that asks once more. */
static bool is_taken(const struct hub *hub, long long id, const char *uuid)
{
    const struct hub_engine *there =
        id <= ENGINE_ID_MAX ? engines_by_id(&hub->engines, (int)id) : NULL;
    return id > ENGINE_ID_MAX || (there && (!uuid || strcmp(there->uuid, uuid) != 0));
}

/* The id that is asked for; -1: none is; -2: it is no number. If it is taken, the first of "ids"
 * that is not: these are ids of engines that have gone, which several engines replace. */
static long long wanted_id(const struct hub *hub, const json_t *content)
{
    const json_t *id = json_object_get(content, "id"), *other;
    const char *uuid = json_string_value(json_object_get(content, "uuid"));
    size_t i;
    if (!id || json_is_null(id))
        return -1;
    if (!json_is_integer(id) || json_integer_value(id) < 0)
        return -2;
    if (is_taken(hub, json_integer_value(id), uuid))
        json_array_foreach (json_object_get(content, "ids"), i, other)
            if (json_is_integer(other) && json_integer_value(other) >= 0 &&
                !is_taken(hub, json_integer_value(other), uuid))
                return json_integer_value(other);
    return json_integer_value(id);
}

void hub_expect_engine(struct hub *hub, const struct hub_engine *engine)
{
    struct notice notice = {.kind = NOTICE_EXPECTED};
    hub_tell_threads(hub, engine, &notice);
    if (!hub->expiry_ms)
        hub->expiry_ms = clock_ms() + EXPIRY_CHECK_MS;
}

/* Nothing depends on what an engine says about itself: one with a bad description works, too. */
static void note_info(const struct query *query, struct hub_engine *engine)
{
    const json_t *content = query->content;
    struct ipcl_error error;
    if (engines_describe(engine, json_object_get(content, "info"), &error))
        log_limited(&query->door->bad_query.limit, IPCL_LOG_WARN,
                    "hub: the description that engine %d sent of itself is dropped: %s", engine->id,
                    error.text);
    engine->watched = json_is_true(json_object_get(content, "watched"));
}

/* Engines that are to connect, or do. */
static size_t waiting_engines(const struct hub *hub)
{
    return HASH_CNT(hh_id, hub->engines.by_id) - hub->engines.registered;
}

long long hub_expires_ms(const struct hub *hub)
{
    return clock_ms() + hub->controller->registration_timeout_ms +
           WAITING_MS * (long long)waiting_engines(hub);
}

/* Returns 0, or -1 with `error` set if there is no room for `connections` more and for those of the
 * engines that were accepted before. */
static int has_room(const struct hub *hub, struct query *query, size_t connections,
                    struct ipcl_error *error)
{
    if (!room_for(connections + waiting_engines(hub) * (size_t)room_engine_connections(), error))
        return 0;
    query->ename = "RuntimeError";
    return -1;
}

/* The name under which the engine connects to the schedulers. Nobody else knows it, so it also
 * proves who the engine is. "": it has none, as ipyparallel's. */
static const char *route_of(const json_t *content)
{
    const char *route = json_string_value(json_object_get(content, "route"));
    return route && strlen(route) == ENGINE_ROUTE_DIGITS &&
                   strspn(route, "0123456789abcdef") == ENGINE_ROUTE_DIGITS
               ? route
               : "";
}

/* Whether uuid and route are this engine's, and not those of another that is here or may come
 * back. */
static bool is_its_own(const struct hub *hub, const char *uuid, const char *route)
{
    const char *name = routes_of(&hub->routes, uuid), *owner = routes_owner(&hub->routes, route);
    return (!strcmp(name, uuid) || !strcmp(name, route)) && (!owner || !strcmp(owner, uuid));
}

/* The engine that asks to be registered; NULL with `error` set if it is refused. */
static struct hub_engine *accept_engine(struct hub *hub, struct query *query, long long wanted,
                                        struct ipcl_error *error)
{
    const json_t *uuid = json_object_get(query->content, "uuid");
    query->ename = "KeyError";
    if (!json_is_string(uuid) || strlen(json_string_value(uuid)) != json_string_length(uuid)) {
        ipcl_error_set(error, "a registration_request must have the engine's uuid");
        return NULL;
    }
    const char *route = route_of(query->content);
    hub_finish_end(hub, json_string_value(uuid), wanted);
    struct hub_engine *engine = engines_by_uuid(&hub->engines, json_string_value(uuid));
    if (!engine && has_room(hub, query, (size_t)room_engine_connections() - 1, error))
        return NULL;
    if (!is_its_own(hub, json_string_value(uuid), route)) {
        ipcl_error_set(error, "uuid '%.*s' is in use by another engine", ENGINE_UUID_BYTES,
                       json_string_value(uuid));
        return NULL;
    }
    if (engine && engine->silent_ms)
        hub_lose_engine(hub, engine, "was away", false);
    else if (engine && *engine->route)
        return engine; /* it asks once more, or comes back: its connection had ended */
    engine =
        engines_accept(&hub->engines, json_string_value(uuid), wanted, hub_expires_ms(hub), error);
    if (!engine)
        return NULL;
    memcpy(engine->route, route, strlen(route) + 1);
    engine->returned = *route && routes_owner(&hub->routes, route);
    routes_add(&hub->routes, engine->uuid, route);
    engine->sealed =
        json_integer_value(json_object_get(query->content, "sealed")) == CONNECTION_SEALED;
    hub_expect_engine(hub, engine);
    return engine;
}

int hub_answer_registration(struct hub *hub, struct query *query, struct ipcl_error *error)
{
    long long wanted = wanted_id(hub, query->content);
    struct hub_engine *engine = accept_engine(hub, query, wanted, error);
    if (!engine) {
        refusal_count(&query->door->bad_query, REFUSED_QUERY);
        log_limited(&query->door->bad_query.limit, IPCL_LOG_WARN,
                    "hub: a registration was refused: %s", error->text);
        snprintf(hub->refusal, sizeof(hub->refusal), "%s", error->text);
        query->reply = reply_error_content(query->ename, error->text);
        return 0;
    }
    hub->refusal[0] = '\0';
    note_info(query, engine);
    if (wanted >= 0 && engine->id != wanted && is_taken(hub, wanted, engine->uuid)) {
        char name[ENGINE_NAME_BYTES];
        engines_name(engine, name);
        log_info("hub: %s asked for id %lld, which is in use", name, wanted);
    }
    if (engine->returned && hub->hooks)
        hub->hooks->take_back(hub, query->content, engine);
    char life[SEAL_LIFE_TEXT];
    seal_write_life(hub->controller->life, life);
    query->reply =
        json_pack("{s:s s:i s:i s:b s:s s:o}", "status", "ok", "id", engine->id, "hb_period",
                  hub->controller->heart_period_ms, "routed", *engine->route != '\0', "life", life,
                  "connection_info", engine_ports(&hub->controller->engines));
    return 0;
}

/* Reads what a leaving engine of ours, or its watcher, says about its end and its requests.
 * ipyparallel's engines say nothing. */
static void read_end(const json_t *content, struct engine_end *end)
{
    const char *begun = json_string_value(json_object_get(content, "begun")),
               *cause = json_string_value(json_object_get(content, "cause"));
    bool died = json_is_true(json_object_get(content, "died"));
    *end = (struct engine_end){.level = died ? IPCL_LOG_WARN : IPCL_LOG_INFO,
                               .outside = cause && !strcmp(cause, "signal"),
                               .blameless = cause && !died};
    if (json_is_false(json_object_get(content, "died")))
        end->rest = REST_ANSWERED;
    else if (begun && strlen(begun) < sizeof(end->begun))
        end->rest = REST_BEGUN;
    if (end->rest == REST_BEGUN)
        strcpy(end->begun, begun);
}

int hub_answer_unregistration(struct hub *hub, struct query *query, struct ipcl_error *error)
{
    long long id = wanted_id(hub, query->content);
    struct hub_engine *there =
        id >= 0 && id <= ENGINE_ID_MAX ? engines_by_id(&hub->engines, (int)id) : NULL;
    const char *uuid = json_string_value(json_object_get(query->content, "uuid"));
    const char *reason = json_string_value(json_object_get(query->content, "reason"));
    char how[NOTICE_TEXT_BYTES];
    struct engine_end end;
    /* An engine that has gone may have had another id here, and its own may be another's by now. */
    if (uuid && (!there || strcmp(uuid, there->uuid)))
        there = engines_by_uuid(&hub->engines, uuid);
    const struct hub_engine *engine = there                ? there
                                      : uuid && hub->hooks ? hub->hooks->awaited(hub, uuid)
                                                           : NULL;
    if (!engine) {
        query->ename = "KeyError";
        return ipcl_error_set(
            error, "there is no engine with this id: an unregistration_request must have the "
                   "engine's id");
    }
    if (strcmp(engine->route, route_of(query->content))) {
        query->ename = "PermissionError";
        return ipcl_error_set(error, "engine %d can be unregistered only by itself", engine->id);
    }
    read_end(query->content, &end);
    snprintf(how, sizeof(how), "%s%s%s", end.level == IPCL_LOG_WARN ? "died" : "left",
             reason ? ": " : "", reason ? reason : "");
    end.how = how;
    if (there)
        hub_end_engine(hub, there, &end);
    else
        hub_announce_end(hub, engine, &end);
    return 0; /* ipyparallel's engine expects no reply */
}

/* For whoever wants to know more than a client needs to work: since when each is registered, and
 * how the last that have gone ended. */
static void add_details(const struct hub *hub, json_t *reply)
{
    json_t *since = json_object();
    char id[16];
    for (struct hub_engine *engine = hub->engines.by_id; engine; engine = engine->hh_id.next) {
        snprintf(id, sizeof(id), "%d", engine->id);
        if (engine->registered)
            json_object_set_new(
                since, id,
                json_real(clock_wall() - (double)(clock_ms() - engine->registered_ms) / 1000));
    }
    json_object_set_new(reply, "engine_since", since);
    json_t *departed = json_array();
    size_t count = json_array_size(hub->departures.last);
    for (size_t i = count > DEPARTED_SHOWN ? count - DEPARTED_SHOWN : 0; i < count; i++)
        json_array_append(departed, json_array_get(hub->departures.last, i));
    json_object_set_new(reply, "departed", departed);
}

int hub_answer_connection(struct hub *hub, struct query *query, struct ipcl_error *error)
{
    /* ipyparallel's client asks, and then makes its other connections; whoever makes another number
     * of them says so. */
    json_int_t connections = ROOM_CLIENT_CONNECTIONS - 1;
    json_unpack(query->content, "{s?I}", "connections", &connections);
    if (connections > ROOM_CLIENT_CONNECTIONS + 1)
        connections = ROOM_CLIENT_CONNECTIONS + 1;
    if (connections > 0 && has_room(hub, query, (size_t)connections, error))
        return -1;
    query->reply =
        hub_connection_content(hub, json_is_true(json_object_get(query->content, "work")));
    hub_note_explainer(hub, query);
    if (json_is_true(json_object_get(query->content, "details")))
        add_details(hub, query->reply);
    return 0;
}

void hub_tell_late_engines(struct hub *hub)
{
    for (struct hub_engine *engine = hub->engines.by_id; engine; engine = engine->hh_id.next)
        if (engine->registered && hub->subscribed_ms - engine->registered_ms < SUBSCRIPTION_LATE_MS)
            hub_notify(hub, "registration_notification", engines_content(engine));
    hub->subscribed_ms = 0;
}

void hub_engine_born(struct hub *hub, const char *uuid)
{
    struct hub_engine *engine = engines_by_uuid(&hub->engines, uuid);
    if (!engine || engine->registered)
        return;
    engines_confirm(&hub->engines, engine);
    counter_add(&stats.engines_registered, 1);
    if (hub->hooks)
        hub->hooks->meet(hub, uuid);
    engine->registered_ms = clock_ms();
    /* Whoever hears of the engine may rely on the next controller's knowing it. */
    engine_table_changed(&hub->table, &hub->engines, engine->registered_ms);
    engine_table_tick(&hub->table, &hub->engines, engine->registered_ms);
    struct notice notice = {.kind = NOTICE_ADDED};
    engines_name(engine, notice.text);
    trace_step(TRACE_ENGINE_COMES, engine->uuid, strlen(engine->uuid), engine->id);
    log_info("hub: %s is registered, %zu in all", notice.text, hub->engines.registered);
    hub_tell_threads(hub, engine, &notice);
    hub_tell_departures(hub, 0, true);
    hub_notify(hub, "registration_notification", engines_content(engine));
}

/* Where it has a watcher, that says how it died: as a rule it has done so long before. */
void hub_engine_silent(struct hub *hub, const char *uuid)
{
    struct hub_engine *engine = engines_by_uuid(&hub->engines, uuid);
    if (!engine)
        return;
    if (!engine->watched) {
        hub_lose_engine(hub, engine, DEPARTURE_UNSEEN, true);
        return;
    }
    engine->silent_ms = clock_ms();
    if (!hub->silence_ms)
        hub->silence_ms = engine->silent_ms + SILENCE_MS;
}

/* Waits no longer for watchers to say how an engine died. */
static void check_silence(struct hub *hub, long long now_ms)
{
    struct hub_engine *engine;
    while ((engine = engines_silent(&hub->engines, now_ms - SILENCE_MS)))
        hub_lose_engine(hub, engine, DEPARTURE_UNSEEN, true);
    hub->silence_ms = engines_silent(&hub->engines, now_ms) ? now_ms + SILENCE_MS / 10 : 0;
}

/* Ends the wait for engines that never answer a heartbeat. */
static void check_expiry(struct hub *hub, long long now_ms)
{
    struct hub_engine *engine;
    while ((engine = engines_expired(&hub->engines, now_ms))) {
        hub_lose_engine(
            hub, engine,
            engine->restored ? HUB_NOT_BACK : "registered, but never answered a heartbeat", false);
    }
    hub->expiry_ms = waiting_engines(hub) ? now_ms + EXPIRY_CHECK_MS : 0;
}

long long hub_engines_tick(struct hub *hub, long long now_ms)
{
    if (hub->expiry_ms && now_ms >= hub->expiry_ms)
        check_expiry(hub, now_ms);
    if (hub->silence_ms && now_ms >= hub->silence_ms)
        check_silence(hub, now_ms);
    long long due = hub->hooks ? hub->hooks->tick(hub, now_ms) : CLOCK_NEVER;
    due = clock_sooner(due, hub_ends_tick(hub, now_ms));
    due = clock_sooner(due, engine_table_tick(&hub->table, &hub->engines, now_ms));
    due = clock_sooner(due, clock_due(hub->expiry_ms));
    return clock_sooner(due, clock_due(hub->silence_ms));
}
