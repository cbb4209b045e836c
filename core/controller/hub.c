/* The hub thread: registers engines and answers queries (ROUTER), tells clients who comes and goes
 * (XPUB), and hears from the other threads which hearts beat and which requests are pending (PULL).
 *
 * An engine is registered when its heart beats. The schedulers hear of it before any client does.
 */
#include "controller/hub.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "controller/reply.h"
#include "controller/room.h"

/* The longest that a client may take between asking for the engines and its subscription. */
#define SUBSCRIPTION_LATE_MS 10000
/* Clients that subscribe within this time are told together: a notification goes to all of them. */
#define SUBSCRIPTION_WAIT_MS 100
/* How exact the end of a registration's time is. */
#define EXPIRY_CHECK_MS 1000
/* How long reports are left alone after they were read: under load the hub is woken for many. */
#define REPORTS_REST_MS 10
/* A controller that a client tells to end waits for the engines that are told, too: so long for
 * them to leave, which they do as soon as they hear it, and so long for those that have left to
 * end, which takes an engine seven seconds at most. */
#define ENGINES_LEAVE_MS 2000
#define ENGINES_END_MS   8000
/* Each engine that waits for its heart to begin to beat makes the others wait: a thousand that
 * arrive together share the processors of this host and theirs. */
#define WAITING_MS 50

/* How long an engine's watcher may take to say how it died, from when its connection has ended and
 * it has not answered for a while. */
#define SILENCE_MS 500

static void tell_listeners(struct hub *hub, enum notice_kind kind, const struct engine *engine,
                           const char *text)
{
    for (size_t i = 0; i < HUB_LISTENERS; i++)
        if (i == HUB_HEART ? kind != NOTICE_ADDED : kind != NOTICE_EXPECTED)
            notice_send(hub->listeners[i], kind, engine->id, engine->uuid, text);
    if (kind != NOTICE_EXPECTED)
        hub_record_engine(hub, engine, kind == NOTICE_ADDED);
}

/* Publishes to all clients. Takes over `content`. */
static void notify(struct hub *hub, const char *msg_type, json_t *content)
{
    struct message message;
    struct ipcl_error error;
    struct session_parts parts = {.msg_type = msg_type, .content = content};
    message_init(&message);
    if (!content || session_build(hub->session, &message, &parts, NULL, &error))
        log_limited(&hub->trouble, IPCL_LOG_ERROR, "hub: clients cannot be notified: %s",
                    content ? error.text : "out of memory");
    else
        message_send(&message, hub->notification);
    message_close(&message);
    json_decref(content);
}

static json_t *engine_content(const struct engine *engine)
{
    return json_pack("{s:i s:s s:O*}", "id", engine->id, "uuid", engine->uuid, "info",
                     engine->info);
}

/* Tells clients who has gone; of all, where another is to be announced, which may be the same. */
static void tell_departures(struct hub *hub, long long now_ms, bool all)
{
    json_t *content;
    while ((content = departures_next(&hub->departures, now_ms, all)))
        notify(hub, "unregistration_notification", content);
}

/* "engine 3 (node17, process 4242)" and what goes on there: as much as has room, in whole
 * characters. */
static void tell_end(const struct engine *engine, const char *end, char text[NOTICE_TEXT_BYTES])
{
    char name[ENGINE_NAME_BYTES];
    engines_name(engine, name);
    if (snprintf(text, NOTICE_TEXT_BYTES, "%s %s", name, end) < NOTICE_TEXT_BYTES)
        return;
    size_t length = strlen(text);
    while (length && (text[length - 1] & 0xc0) == 0x80)
        length--;
    text[length - 1] = '\0';
}

static void forget_engine(struct hub *hub, struct engine *engine, enum ipcl_log_level level,
                          const char *end)
{
    char text[NOTICE_TEXT_BYTES];
    tell_end(engine, end, text);
    log_write(level, "hub: %s", text);
    tell_listeners(hub, NOTICE_GONE, engine, text);
    hub->leaving++;
    if (engine->registered) {
        hub_record_death(hub, engine, text);
        json_t *content = engine_content(engine);
        json_object_set_new(content, "reason", json_string(text));
        departures_add(&hub->departures, content, HUB_SCHEDULERS, clock_ms());
    }
    ledger_forget_engine(&hub->ledger, engine);
    engines_remove(&hub->engines, engine);
    engine_table_changed(&hub->table, clock_ms());
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

/* An id where one is asked for, -1 where none is, -2 where what is there is no number. */
static long long wanted_id(const json_t *content)
{
    const json_t *id = json_object_get(content, "id");
    if (!id || json_is_null(id))
        return -1;
    return json_is_integer(id) && json_integer_value(id) >= 0 ? json_integer_value(id) : -2;
}

static void expect_engine(struct hub *hub, const struct engine *engine)
{
    tell_listeners(hub, NOTICE_EXPECTED, engine, "");
    if (!hub->expiry_ms)
        hub->expiry_ms = clock_ms() + EXPIRY_CHECK_MS;
}

/* The requests that an engine has from the controller before: it answers them some time, or dies.
 */
static void note_pending(struct hub *hub, const json_t *content, struct engine *engine)
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
        hub_record_return(hub, id, engine);
    }
}

/* Nothing depends on what an engine says of itself: one that says nonsense works as well. */
static void note_info(struct hub *hub, const json_t *content, struct engine *engine)
{
    struct ipcl_error error;
    if (engines_describe(engine, json_object_get(content, "info"), &error))
        log_limited(&hub->bad_query.limit, IPCL_LOG_WARN,
                    "hub: what engine %d says of itself is dropped: %s", engine->id, error.text);
    engine->watched = json_is_true(json_object_get(content, "watched"));
}

/* Engines that are to connect, or do. */
static size_t waiting_engines(const struct hub *hub)
{
    return HASH_CNT(hh_id, hub->engines.by_id) - hub->engines.registered;
}

static long long expires_ms(const struct hub *hub)
{
    return clock_ms() + hub->controller->registration_timeout_ms +
           WAITING_MS * (long long)waiting_engines(hub);
}

/* Whether there is room for so many connections, and for those of the engines that were let in
 * before. Returns 0, or -1 with `error` set. */
static int has_room(const struct hub *hub, size_t connections, struct ipcl_error *error)
{
    return room_for(connections + waiting_engines(hub) * ROOM_ENGINE_CONNECTIONS, error);
}

/* The engine that asks to be registered; NULL with `error` set where it is refused. */
static struct engine *accept_engine(struct hub *hub, const json_t *content, long long wanted,
                                    struct ipcl_error *error)
{
    const json_t *uuid = json_object_get(content, "uuid");
    if (!json_is_string(uuid) || strlen(json_string_value(uuid)) != json_string_length(uuid)) {
        ipcl_error_set(error, "a registration_request has the engine's uuid");
        return NULL;
    }
    struct engine *engine = engines_by_uuid(&hub->engines, json_string_value(uuid));
    if (engine && engine->silent_ms)
        forget_engine(hub, engine, IPCL_LOG_WARN, "was away");
    else if (engine && engine->id == wanted)
        return engine; /* it asks once more, or comes back: its connection had ended */
    if (has_room(hub, ROOM_ENGINE_CONNECTIONS - 1, error))
        return NULL;
    engine = engines_accept(&hub->engines, json_string_value(uuid), wanted, expires_ms(hub), error);
    if (engine)
        expect_engine(hub, engine);
    return engine;
}

int hub_answer_registration(struct hub *hub, struct query *query, struct ipcl_error *error)
{
    long long wanted = wanted_id(query->content);
    struct engine *engine = accept_engine(hub, query->content, wanted, error);
    if (!engine) {
        hub->bad_query.count++;
        log_limited(&hub->bad_query.limit, IPCL_LOG_WARN, "hub: a registration was refused: %s",
                    error->text);
        query->reply = reply_error_content("KeyError", error->text);
        return 0;
    }
    note_info(hub, query->content, engine);
    if (wanted >= 0 && engine->id != wanted) {
        char name[ENGINE_NAME_BYTES];
        engines_name(engine, name);
        log_info("hub: %s asked for id %lld, which is in use", name, wanted);
    }
    if (hub->controller->restarted)
        note_pending(hub, query->content, engine);
    query->reply = json_pack("{s:s s:i s:i s:o}", "status", "ok", "id", engine->id, "hb_period",
                             hub->controller->heart_period_ms, "connection_info",
                             engine_ports(&hub->controller->engines));
    return 0;
}

int hub_answer_unregistration(struct hub *hub, struct query *query, struct ipcl_error *error)
{
    long long id = wanted_id(query->content);
    struct engine *engine =
        id >= 0 && id <= ENGINE_ID_MAX ? engines_by_id(&hub->engines, (int)id) : NULL;
    const char *uuid = json_string_value(json_object_get(query->content, "uuid"));
    const char *reason = json_string_value(json_object_get(query->content, "reason"));
    bool died = json_is_true(json_object_get(query->content, "died"));
    char end[NOTICE_TEXT_BYTES];
    /* The id of an engine that has gone may be another's by now. */
    if (!engine || (uuid && strcmp(uuid, engine->uuid))) {
        query->ename = "KeyError";
        return ipcl_error_set(
            error, "there is no engine of this id: an unregistration_request has the engine's id");
    }
    snprintf(end, sizeof(end), "%s%s%s", died ? "died" : "left", reason ? ": " : "",
             reason ? reason : "");
    forget_engine(hub, engine, died ? IPCL_LOG_WARN : IPCL_LOG_INFO, end);
    return 0; /* ipyparallel's engine expects no reply */
}

int hub_answer_connection(struct hub *hub, struct query *query, struct ipcl_error *error)
{
    /* ipyparallel's client asks, and then makes its other connections; whoever makes another number
     * of them says so. */
    json_int_t connections = ROOM_CLIENT_CONNECTIONS - 1;
    json_unpack(query->content, "{s?I}", "connections", &connections);
    if (connections > ROOM_CLIENT_CONNECTIONS)
        connections = ROOM_CLIENT_CONNECTIONS;
    if (connections > 0 && has_room(hub, (size_t)connections, error)) {
        query->ename = "RuntimeError";
        return -1;
    }
    json_t *engines = json_object(), *infos = json_object();
    char id[16];
    for (struct engine *engine = hub->engines.by_id; engine; engine = engine->hh_id.next) {
        if (!engine->registered)
            continue;
        snprintf(id, sizeof(id), "%d", engine->id);
        json_object_set_new(engines, id, json_string(engine->uuid));
        json_object_set(infos, id, engine->info);
    }
    query->reply =
        json_pack("{s:s s:o s:o s:I s:b}", "status", "ok", "engines", engines, "engine_info", infos,
                  "requests", (json_int_t)hub->requests, "ending", hub->asked_to_stop);
    return 0;
}

static void say_goodbye(struct hub *hub)
{
    if (!hub->goodbye_said)
        notify(hub, "shutdown_notification", json_pack("{s:s}", "status", "ok"));
    hub->goodbye_said = true;
}

int hub_answer_shutdown(struct hub *hub, struct query *query, struct ipcl_error *error)
{
    (void)error;
    log_info("hub: a client asked for shutdown");
    query->reply = json_pack("{s:s}", "status", "ok");
    if (!hub->asked_to_stop)
        hub->end_ms = clock_ms();
    hub->asked_to_stop = true;
    return 0;
}

/* When a controller that was told to end may go. */
static long long end_due(const struct hub *hub)
{
    return hub->end_ms + (hub->leaving              ? ENGINES_END_MS
                          : hub->engines.registered ? ENGINES_LEAVE_MS
                                                    : 0);
}

static void send_reply(struct hub *hub, struct query *query, const char *msg_type,
                       const json_t *content)
{
    zmq_msg_t *client = &query->message->frames[0],
              *header = message_part(query->message, MESSAGE_HEADER);
    struct message reply;
    struct ipcl_error error;
    struct session_parts parts = {
        .msg_type = msg_type,
        .parent = zmq_msg_data(header),
        .parent_size = zmq_msg_size(header),
        .content = content,
    };
    message_init(&reply);
    ipcl_error_set(&error, "out of memory");
    int failed = message_append(&reply, zmq_msg_data(client), zmq_msg_size(client)) ||
                 session_build(hub->session, &reply, &parts, NULL, &error);
    if (failed)
        log_limited(&hub->trouble, IPCL_LOG_ERROR, "hub: a query cannot be answered: %s",
                    error.text);
    else
        replies_send(&hub->replies, &reply);
    message_close(&reply);
}

static int answer(struct hub *hub, struct query *query, struct ipcl_error *error)
{
    const struct ipcl_member type = query->message->msg_type;
    hub_answer *function = hub_find_query(type.data, type.size, query);
    if (!function) {
        query->ename = "KeyError";
        return ipcl_error_set(error, "the hub knows no query '%.*s'",
                              (int)(type.size < 64 ? type.size : 64), type.data);
    }
    query->content =
        session_unpack(hub->session, message_part(query->message, MESSAGE_CONTENT), error);
    if (!query->content)
        return -1;
    if (!json_is_object(query->content))
        return ipcl_error_set(error, "the content of a query is a mapping");
    int status = function(hub, query, error);
    return status || !query->then ? status : hub_ask_records(hub, query, error);
}

static void on_query(void *self, struct message *message)
{
    struct hub *hub = self;
    struct query query = {.message = message, .ename = "ValueError", .error_type = "hub_error"};
    struct ipcl_error error;
    if (!refusal_verify(&hub->bad_query, hub->session, message, 1))
        return;
    if (answer(hub, &query, &error)) {
        hub->bad_query.count++;
        log_limited(&hub->bad_query.limit, IPCL_LOG_WARN, "hub: a query was refused: %s",
                    error.text);
        json_t *content = reply_error_content(query.ename, error.text);
        send_reply(hub, &query, query.error_type, content);
        json_decref(content);
    } else if (query.reply && !query.then) {
        send_reply(hub, &query, query.reply_type, query.reply);
    }
    json_decref(query.reply);
    json_decref(query.content);
    json_decref(query.context);
}

/* A client asks which engines there are and subscribes to this socket, in either order on two
 * connections: what is registered between the answer and the subscription it would never hear of.
 * So a new subscriber is told of what has come lately; to know it already does no harm. */
static void on_subscription(void *self, struct message *message)
{
    struct hub *hub = self;
    const char *data = zmq_msg_data(&message->frames[0]);
    if (message->count != 1 || zmq_msg_size(&message->frames[0]) == 0 ||
        (unsigned char)data[0] > 1) {
        refusal_note(&hub->bad_subscription, "it is no subscription");
        return;
    }
    if (data[0] == 1 && !hub->subscribed_ms)
        hub->subscribed_ms = clock_ms();
}

static void tell_late_engines(struct hub *hub)
{
    for (struct engine *engine = hub->engines.by_id; engine; engine = engine->hh_id.next)
        if (engine->registered && hub->subscribed_ms - engine->registered_ms < SUBSCRIPTION_LATE_MS)
            notify(hub, "registration_notification", engine_content(engine));
    hub->subscribed_ms = 0;
}

static void on_birth(struct hub *hub, const char *uuid)
{
    struct engine *engine = engines_by_uuid(&hub->engines, uuid);
    if (!engine || engine->registered)
        return;
    engines_confirm(&hub->engines, engine);
    engine->registered_ms = clock_ms();
    char name[ENGINE_NAME_BYTES];
    engines_name(engine, name);
    log_info("hub: %s is registered, %zu in all", name, hub->engines.registered);
    tell_listeners(hub, NOTICE_ADDED, engine, name);
    tell_departures(hub, 0, true);
    notify(hub, "registration_notification", engine_content(engine));
    engine_table_changed(&hub->table, engine->registered_ms);
}

static const char silent_end[] = "died, or cannot be reached";

/* Where it has a watcher, that says how it died: as a rule it has done so long before. */
static void on_silence(struct hub *hub, struct engine *engine)
{
    if (!engine->watched) {
        forget_engine(hub, engine, IPCL_LOG_WARN, silent_end);
        return;
    }
    engine->silent_ms = clock_ms();
    if (!hub->silence_ms)
        hub->silence_ms = engine->silent_ms + SILENCE_MS;
}

/* Waits no longer for those who say how an engine died. */
static void check_silence(struct hub *hub, long long now_ms)
{
    struct engine *engine;
    while ((engine = engines_silent(&hub->engines, now_ms - SILENCE_MS)))
        forget_engine(hub, engine, IPCL_LOG_WARN, silent_end);
    hub->silence_ms = engines_silent(&hub->engines, now_ms) ? now_ms + SILENCE_MS / 10 : 0;
}

static void on_record(struct hub *hub, const struct report_record *record)
{
    struct engine *engine =
        record->engine < 0 ? NULL : engines_by_id(&hub->engines, record->engine);
    switch (record->kind) {
    case REPORT_BORN:
        on_birth(hub, record->text);
        break;
    case REPORT_STOPPED:
        engine = engines_by_uuid(&hub->engines, record->text);
        if (engine)
            on_silence(hub, engine);
        break;
    case REPORT_CLOSED:
        hub->leaving--;
        break;
    case REPORT_SUBMITTED:
        hub->requests++;
        /* A direct request to an engine that has gone meanwhile will not be answered. */
        if (engine || record->queue == REPORT_TASK)
            ledger_submit(&hub->ledger, record->text, record->queue, engine);
        break;
    case REPORT_RESTORED:
        if (!ledger_find(&hub->ledger, record->text))
            ledger_submit(&hub->ledger, record->text, REPORT_TASK, NULL);
        break;
    case REPORT_ASSIGNED:
        ledger_assign(&hub->ledger, record->text, engine);
        break;
    case REPORT_DONE:
        ledger_done(&hub->ledger, record->text);
        break;
    case REPORT_FORGOTTEN:
        departures_confirm(&hub->departures, record->text, clock_ms());
        break;
    case REPORT_OUTPUT:
        break;
    }
}

void hub_on_report(void *self, struct message *message)
{
    struct hub *hub = self;
    struct report_record record;
    size_t offset = 0;
    zmq_msg_t *first = &message->frames[0];
    while (report_next(zmq_msg_data(first), zmq_msg_size(first), &offset, &record))
        on_record(hub, &record);
    /* What is to be recorded comes one by one. */
    if (offset && hub->records)
        hub_record(hub, &record, message);
}

/* Gives up on those whose heart does not begin to beat. */
static void check_expiry(struct hub *hub, long long now_ms)
{
    struct engine *engine;
    while ((engine = engines_expired(&hub->engines, now_ms))) {
        if (engine->restored)
            forget_engine(hub, engine, IPCL_LOG_WARN,
                          "of the controller before does not come back");
        else
            forget_engine(hub, engine, IPCL_LOG_WARN,
                          "registered, but its heart never began to beat");
    }
    hub->expiry_ms = waiting_engines(hub) ? now_ms + EXPIRY_CHECK_MS : 0;
}

static long long on_tick(void *self, long long now_ms)
{
    struct hub *hub = self;
    if (hub->expiry_ms && now_ms >= hub->expiry_ms)
        check_expiry(hub, now_ms);
    if (hub->silence_ms && now_ms >= hub->silence_ms)
        check_silence(hub, now_ms);
    if (hub->subscribed_ms && now_ms >= hub->subscribed_ms + SUBSCRIPTION_WAIT_MS)
        tell_late_engines(hub);
    tell_departures(hub, now_ms, false);
    if (hub->end_ms && now_ms >= end_due(hub)) {
        zmq_send(hub->main, "shutdown", 8, ZMQ_DONTWAIT);
        hub->end_ms = 0;
    }
    long long due = engine_table_tick(&hub->table, &hub->engines, now_ms);
    long long replies_ms = replies_tick(&hub->replies, now_ms);
    if (replies_ms < due)
        due = replies_ms;
    if (departures_due(&hub->departures) < due)
        due = departures_due(&hub->departures);
    if (hub->expiry_ms && hub->expiry_ms < due)
        due = hub->expiry_ms;
    if (hub->silence_ms && hub->silence_ms < due)
        due = hub->silence_ms;
    if (hub->end_ms && end_due(hub) < due)
        due = end_due(hub);
    if (hub->subscribed_ms && hub->subscribed_ms + SUBSCRIPTION_WAIT_MS < due)
        due = hub->subscribed_ms + SUBSCRIPTION_WAIT_MS;
    return due;
}

static struct loop *hub_loop(void *self)
{
    return ((struct hub *)self)->loop;
}

static void hub_destroy(void *self)
{
    struct hub *hub = self;
    if (!hub)
        return;
    if (hub->notification)
        tell_departures(hub, 0, true);
    /* To a controller that another may replace its clients stay connected. */
    if (hub->notification && (hub->asked_to_stop || !hub->controller->reuse))
        say_goodbye(hub);
    if (hub->records)
        hub_finish_records(hub);
    engine_table_finish(&hub->table, &hub->engines);
    refusal_summary(&hub->bad_query);
    refusal_summary(&hub->bad_subscription);
    replies_release(&hub->replies);
    departures_release(&hub->departures);
    ledger_release(&hub->ledger);
    engines_release(&hub->engines);
    loop_destroy(hub->loop);
    session_destroy(hub->session);
    free(hub);
}

static int open_sockets(struct hub *hub, struct controller *controller, struct ipcl_error *error)
{
    static const char *const listeners[HUB_LISTENERS] = {"heart", "direct", "control", "task",
                                                         "broadcast"};
    int verbose = 1;
    hub->reports = controller_inproc_bind(controller, ZMQ_PULL, "hub", error);
    if (loop_add(hub->loop, hub->reports, hub_on_report, hub))
        return -1;
    if (!controller->store)
        loop_rest(hub->loop, hub->reports, REPORTS_REST_MS);
    for (size_t i = 0; i < HUB_LISTENERS; i++) {
        hub->listeners[i] = controller_inproc_connect(controller, ZMQ_PUSH, listeners[i], error);
        if (loop_keep(hub->loop, hub->listeners[i]))
            return -1;
    }
    hub->main = controller_inproc_connect(controller, ZMQ_PAIR, "main", error);
    if (loop_keep(hub->loop, hub->main))
        return -1;
    hub->query =
        controller_listen(controller, ZMQ_ROUTER, NULL, &controller->engines.registration, error);
    controller->clients.registration = controller->engines.registration;
    if (loop_add(hub->loop, hub->query, on_query, hub) ||
        controller_listen_for_both(controller, hub->query, controller->clients.registration,
                                   error) ||
        replies_prepare(&hub->replies, controller, hub->session, hub->query, "hub, queries", error))
        return -1;
    hub->notification =
        controller_listen(controller, ZMQ_XPUB, NULL, &controller->clients.notification, error);
    if (loop_add(hub->loop, hub->notification, on_subscription, hub))
        return -1;
    /* Every client's subscription is passed on, also where another has the same. */
    zmq_setsockopt(hub->notification, ZMQ_XPUB_VERBOSE, &verbose, sizeof(verbose));
    return controller->store ? hub_open_records(hub, error) : 0;
}

/* Takes over the engines of the controller before. What is wrong with its table does not keep this
 * one from starting: engines register again. */
static void restore_engines(struct hub *hub)
{
    struct ipcl_error error;
    int count = engine_table_load(&hub->table, &hub->engines, expires_ms(hub), &error);
    if (count < 0)
        log_warn("hub: engines cannot be restored from %s: %s", hub->table.path, error.text);
    for (struct engine *engine = hub->engines.by_id; engine; engine = engine->hh_id.next)
        expect_engine(hub, engine);
    if (hub->engines.by_id)
        log_info("hub: %u engines of the controller before are expected back",
                 HASH_CNT(hh_id, hub->engines.by_id));
}

static void *hub_create(struct controller *controller, struct ipcl_error *error)
{
    struct hub *hub = calloc(1, sizeof(*hub));
    if (!hub)
        return NULL;
    hub->controller = controller;
    hub->table.path = controller->engine_table;
    hub->bad_subscription.socket = "hub, notifications";
    hub->bad_query.socket = "hub, registration and queries";
    hub->session = controller_session(controller, error);
    hub->loop = loop_create("hub", error);
    if (ledger_init(&hub->ledger) || !hub->session || !hub->loop ||
        open_sockets(hub, controller, error)) {
        hub_destroy(hub);
        return NULL;
    }
    if (controller->restore_engines)
        restore_engines(hub);
    loop_set_tick(hub->loop, on_tick, hub);
    return hub;
}

const struct module hub_module = {"hub", hub_create, hub_loop, hub_destroy};
