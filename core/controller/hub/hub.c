/* The hub thread: registers engines (ROUTER), answers what clients ask (ROUTER), tells them which
 * engines come and go (XPUB), and hears from the other threads which hearts beat and which requests
 * are pending (PULL). */
#include "controller/hub/hub_ends.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/ending.h"
#include "base/trace.h"
#include "controller/delivery/reply.h"
#include "controller/exchange/segments.h"
#include "wire/published.h"

/* Clients that subscribe within this time are told together: a notification goes to all of them. */
#define SUBSCRIPTION_WAIT_MS 100
/* How long reports are left alone after they were read: under load the hub is woken for many. */
#define REPORTS_REST_MS 10
/* A controller that a client tells to end also tells the engines, and waits for them: as long for
 * them to leave, which they do as soon as they hear it, and ENDING_AWAITED_MS for those that have
 * left to end. */
#define ENGINES_LEAVE_MS 2000

static void say_goodbye(struct hub *hub)
{
    if (!hub->goodbye_said)
        hub_notify(hub, "shutdown_notification", json_pack("{s:s}", "status", "ok"));
    hub->goodbye_said = true;
}

/* When a controller that was told to end may go. */
static long long end_due(const struct hub *hub)
{
    return hub->end_ms + (hub->leaving              ? ENDING_AWAITED_MS
                          : hub->engines.registered ? ENGINES_LEAVE_MS
                                                    : 0);
}

static void hub_send_reply(struct hub *hub, struct query *query, const char *msg_type,
                           const json_t *content)
{
    zmq_msg_t *client = message_peer(query->message),
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
    int failed = message_append(&reply, zmq_msg_data(client), zmq_msg_size(client))
                     ? ipcl_error_set(&error, "out of memory")
                     : session_build(query->door->session, &reply, &parts, NULL, &error);
    if (failed)
        log_limited(&hub->trouble, IPCL_LOG_ERROR, "hub: a query cannot be answered: %s",
                    error.text);
    else
        replies_send(&query->door->replies, &reply);
    message_close(&reply);
}

static int answer_query(struct hub *hub, struct query *query, struct ipcl_error *error)
{
    hub_answer *function = hub_find_query(&query->message->msg_type, query, error);
    if (!function)
        return -1;
    query->content =
        session_unpack(query->door->session, message_part(query->message, MESSAGE_CONTENT), error);
    if (!query->content)
        return -1;
    if (!json_is_object(query->content))
        return ipcl_error_set(error, "the content of a query must be a mapping");
    int status = function(hub, query, error);
    return status || !query->then ? status : hub_ask_records(hub, query, error);
}

static void on_query(void *self, struct message *message)
{
    struct hub_door *door = self;
    struct hub *hub = door->hub;
    struct query query = {
        .door = door, .message = message, .ename = "ValueError", .error_type = "hub_error"};
    struct ipcl_error error;
    if (!replies_verify(&door->replies, &door->bad_query, message, 1))
        return;
    if (answer_query(hub, &query, &error)) {
        refusal_count(&door->bad_query, REFUSED_QUERY);
        log_limited(&door->bad_query.limit, IPCL_LOG_WARN, "hub: a query was refused: %s",
                    error.text);
        json_t *content = reply_error_content(query.ename, error.text);
        hub_send_reply(hub, &query, query.error_type, content);
        json_decref(content);
    } else if (query.reply && !query.then) {
        hub_send_reply(hub, &query, query.reply_type, query.reply);
    }
    json_decref(query.reply);
    json_decref(query.content);
    json_decref(query.context);
}

/* A client asks which engines there are and subscribes to this socket, in either order on two
 * connections. It would never hear of an engine that registers between the answer and the
 * subscription. So a new subscriber is told which engines came lately, even if it knows them. */
static void hub_on_subscription(void *self, struct message *message)
{
    struct hub *hub = self;
    struct subscription subscription;
    if (!subscription_read(message, &subscription)) {
        refusal_note(&hub->bad_subscription, REFUSED_SUBSCRIPTION, "it is not a subscription");
        return;
    }
    if (subscription.begins && !hub->subscribed_ms)
        hub->subscribed_ms = clock_ms();
}

static void on_record(struct hub *hub, const struct report_record *record)
{
    struct hub_engine *engine =
        record->engine < 0 ? NULL : engines_by_id(&hub->engines, record->engine);
    switch (record->kind) {
    case REPORT_BORN:
        hub_engine_born(hub, record->text);
        break;
    case REPORT_STOPPED:
        hub_engine_silent(hub, record->text);
        break;
    case REPORT_CLOSED:
        hub->leaving--;
        break;
    case REPORT_SUBMITTED:
        hub->requests++;
        trace_step(TRACE_NOTE_SUBMITTED, record->text, strlen(record->text), record->engine);
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
        trace_step(TRACE_NOTE_DONE, record->text, strlen(record->text), record->engine);
        break;
    case REPORT_FORGOTTEN:
        departures_confirm(&hub->departures, record->text, clock_ms());
        break;
    case REPORT_WAITING:
        hub->waiting = record->engine;
        break;
    case REPORT_OUTPUT:
    case REPORT_KNOWN:
        break;
    }
}

/* Whether an engine's answer or output is of a request that another has, as far as the hub knows.
 * Notes where that is for the record of the request to tell: after a restart the hub knows what
 * engines say. Which engine has a task the scheduler alone knows at every moment. */
static bool is_of_another(const struct hub *hub, struct report_record *record)
{
    if (record->kind != REPORT_OUTPUT && !*record->uuid)
        return false;
    const struct request *request = ledger_find(&hub->ledger, record->text);
    bool differs = request && request->engine && request->queue == REPORT_DIRECT &&
                   strcmp(request->engine->uuid, record->uuid) != 0;
    record->doubtful = !request || differs || request->claimed;
    return differs;
}

static void hub_on_report(void *self, struct message *message)
{
    struct hub *hub = self;
    struct report_record record;
    size_t offset = 0;
    zmq_msg_t *records = message_note(message);
    while (report_next(zmq_msg_data(records), zmq_msg_size(records), &offset, &record))
        if (!is_of_another(hub, &record))
            on_record(hub, &record);
    /* What is to be recorded comes one by one. */
    if (offset && hub->records)
        hub_record(hub, &record, message);
}

/* When the threads have ended. */
static void read_last_reports(struct hub *hub)
{
    struct message message;
    message_init(&message);
    while (!message_recv(&message, hub->reports, ZMQ_DONTWAIT))
        hub_on_report(hub, &message);
    message_close(&message);
    if (hub->dropped)
        log_warn("hub: %llu reports of requests were not recorded", hub->dropped);
}

static void count_engines(const struct hub *hub)
{
    size_t all = HASH_CNT(hh_id, hub->engines.by_id), registered = hub->engines.registered,
           busy = hub->ledger.busy < registered ? hub->ledger.busy : registered;
    counter_set(&stats.engines[STATS_STARTING], all - registered);
    counter_set(&stats.engines[STATS_IDLE], registered - busy);
    counter_set(&stats.engines[STATS_BUSY], busy);
    counter_set(&stats.requests_pending, hub->ledger.requests.count);
    counter_set(&stats.tasks_unassigned, hub->ledger.unassigned_count);
    counter_set(&stats.records_behind_bytes, hub->backlog_bytes);
    counter_set(&stats.records_dropped, hub->dropped);
}

static long long hub_on_tick(void *self, long long now_ms)
{
    struct hub *hub = self;
    count_engines(hub);
    long long due = clock_sooner(hub_engines_tick(hub, now_ms), segments_tick(now_ms));
    if (hub->subscribed_ms && now_ms >= hub->subscribed_ms + SUBSCRIPTION_WAIT_MS)
        hub_tell_late_engines(hub);
    if (hub->end_ms && now_ms >= end_due(hub)) {
        zmq_send(hub->main, "shutdown", 8, ZMQ_DONTWAIT);
        hub->end_ms = 0;
    }
    for (size_t role = 0; role < CONNECTION_ROLES; role++) {
        long long replies_ms = replies_tick(&hub->doors[role].replies, now_ms);
        if (replies_ms < due)
            due = replies_ms;
    }
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
    if (hub->notification) {
        hub_finish_ends(hub);
        hub_tell_departures(hub, 0, true);
    }
    /* Clients of a controller that another may replace stay connected. */
    if (hub->notification && (hub->asked_to_stop || !hub->controller->reuse))
        say_goodbye(hub);
    if (hub->records)
        read_last_reports(hub);
    engine_table_finish(&hub->table, &hub->engines);
    for (size_t role = 0; role < CONNECTION_ROLES; role++) {
        refusal_summary(&hub->doors[role].bad_query);
        replies_release(&hub->doors[role].replies);
        seal_release(&hub->doors[role].seal);
        session_destroy(hub->doors[role].session);
    }
    refusal_summary(&hub->bad_subscription);
    hub_ends_release(hub);
    departures_release(&hub->departures);
    if (hub->hooks)
        hub->hooks->release(hub);
    ledger_release(&hub->ledger);
    engines_release(&hub->engines);
    routes_release(&hub->routes);
    loop_destroy(hub->loop);
    segments_close();
    free(hub);
}

static int open_door(struct hub *hub, enum connection_role role, enum stats_socket counted,
                     int *port, struct ipcl_error *error)
{
    struct hub_door *door = &hub->doors[role];
    *door = (struct hub_door){.hub = hub, .role = role, .bad_query.socket = counted};
    door->session = controller_session(hub->controller, role, error);
    if (!door->session)
        return -1;
    door->seal = controller_seal(hub->controller, SEAL_HUB, role, door->session);
    door->socket = controller_listen(hub->controller, role, ZMQ_ROUTER, NULL, port, error);
    if (loop_add_open(hub->loop, door->socket, on_query, door))
        return -1;
    stats_watch(counted, hub->loop, door->socket, &door->seal);
    return replies_prepare(&door->replies, hub->controller, &door->seal, door->socket, counted,
                           error);
}

static int hub_open_sockets(struct hub *hub, struct controller *controller,
                            struct ipcl_error *error)
{
    int verbose = 1;
    hub->reports = channel_bind(controller, CHANNEL_HUB, error);
    if (loop_add(hub->loop, hub->reports, hub_on_report, hub))
        return -1;
    if (!controller->store)
        loop_rest(hub->loop, hub->reports, REPORTS_REST_MS);
    for (size_t i = 0; i < CHANNEL_LISTENERS; i++) {
        hub->listeners[i] = channel_connect(controller, (enum channel)i, error);
        if (loop_keep(hub->loop, hub->listeners[i]))
            return -1;
    }
    hub->main = channel_connect(controller, CHANNEL_MAIN, error);
    if (loop_keep(hub->loop, hub->main))
        return -1;
    if (open_door(hub, CONNECTION_CLIENT, STATS_QUERIES, &controller->clients.registration,
                  error) ||
        open_door(hub, CONNECTION_ENGINE, STATS_REGISTRATION, &controller->engines.registration,
                  error))
        return -1;
    hub->notification_seal =
        published_source(controller_seal(controller, SEAL_NOTIFICATION, CONNECTION_CLIENT,
                                         hub->doors[CONNECTION_CLIENT].session),
                         controller->life);
    hub->notification = controller_listen(controller, CONNECTION_CLIENT, ZMQ_XPUB, NULL,
                                          &controller->clients.notification, error);
    if (loop_add(hub->loop, hub->notification, hub_on_subscription, hub))
        return -1;
    stats_watch(STATS_NOTIFICATION, hub->loop, hub->notification, NULL);
    /* Every client's subscription is passed on, also where another has the same. */
    zmq_setsockopt(hub->notification, ZMQ_XPUB_VERBOSE, &verbose, sizeof(verbose));
    return controller->store ? hub_open_records(hub, error) : 0;
}

static int hear_of_segments(struct hub *hub, struct ipcl_error *error)
{
    segments_open(hub->controller);
    if (segments_descriptor() < 0 ||
        !loop_add_fd(hub->loop, segments_descriptor(), segments_look, NULL))
        return 0;
    return ipcl_error_set(error, "hub: the socket of segments cannot be polled");
}

static void *hub_create(struct controller *controller, struct ipcl_error *error)
{
    struct hub *hub = controller_allocate(sizeof(*hub), error);
    if (!hub)
        return NULL;
    hub->controller = controller;
    hub->table.path = controller->engine_table;
    hub->bad_subscription.socket = STATS_NOTIFICATION;
    hub->loop = loop_create("hub", error);
    hub->hooks = controller->hub_hooks;
    if (!hub->loop || ledger_init(&hub->ledger, error) ||
        hub_open_sockets(hub, controller, error) || hear_of_segments(hub, error) ||
        (hub->hooks && hub->hooks->open(hub, error))) {
        hub_destroy(hub);
        return NULL;
    }
    hub_tell_queries_apart();
    loop_set_tick(hub->loop, hub_on_tick, hub);
    return hub;
}

const struct module hub_module = {"hub", hub_create, hub_loop, hub_destroy};
