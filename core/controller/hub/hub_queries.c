/* What the hub is asked (ipyparallel's hub and client), and by whom: it answers what it knows
 * itself, and hands on what is asked of records. */
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "base/clock.h"
#include "base/trace.h"
#include "controller/hub/hub_ends.h"
#include "controller/stats/stats.h"

static const char no_store[] =
    "the hub keeps no records of requests: start the controller with --dictdb or --sqlitedb";

/* One engine that a query names: by id, by id as text, or by uuid. */
static struct hub_engine *named_engine(struct hub *hub, const json_t *target)
{
    struct hub_engine *engine = NULL;
    if (json_is_integer(target) && json_integer_value(target) >= 0 &&
        json_integer_value(target) <= ENGINE_ID_MAX)
        engine = engines_by_id(&hub->engines, (int)json_integer_value(target));
    else if (json_is_string(target))
        engine = engines_by_uuid(&hub->engines, json_string_value(target));
    return engine && engine->registered ? engine : NULL;
}

/* Calls `add` once for each engine that the query's "targets" names: one, a list, or all where
 * there is none. Returns 0, or -1 with `error` set. */
static int each_target(struct hub *hub, struct query *query,
                       void (*add)(struct query *query, const struct hub_engine *engine),
                       struct ipcl_error *error)
{
    json_t *targets = json_object_get(query->content, "targets"), *target;
    struct hub_engine *engine;
    size_t index;
    unsigned long long mark = ++hub->queries;
    query->ename = "IndexError";
    if (!targets || json_is_null(targets)) {
        for (engine = hub->engines.by_id; engine; engine = engine->hh_id.next)
            if (engine->registered)
                add(query, engine);
        return 0;
    }
    json_t *list = json_is_array(targets) ? json_incref(targets) : json_pack("[O]", targets);
    int status = json_array_size(list) ? 0 : ipcl_error_set(error, "the query names no engine");
    json_array_foreach (list, index, target) {
        engine = named_engine(hub, target);
        if (engine && engine->mark == mark)
            continue;
        if (!engine) {
            char *text = json_dumps(target, JSON_ENCODE_ANY);
            status =
                ipcl_error_set(error, "there is no engine %.64s", text ? text : "of this name");
            free(text);
            break;
        }
        engine->mark = mark;
        add(query, engine);
    }
    json_decref(list);
    return status;
}

static json_t *ids_of(const struct request *requests)
{
    const struct request *request;
    json_t *ids = json_array();
    DL_FOREACH (requests, request)
        json_array_append_new(ids, json_string(request->msg_id));
    return ids;
}

static bool verbose(const struct query *query)
{
    return json_is_true(json_object_get(query->content, "verbose"));
}

static void add_queue(struct query *query, const struct hub_engine *engine)
{
    char id[16];
    json_t *status;
    snprintf(id, sizeof(id), "%d", engine->id);
    if (verbose(query))
        status = json_pack("{s:o s:o s:[]}", "queue", ids_of(engine->pending[REPORT_DIRECT]),
                           "tasks", ids_of(engine->pending[REPORT_TASK]), "completed");
    else
        status = hub_queue_of(engine);
    json_object_set_new(query->reply, id, status);
}

static void add_uuid(struct query *query, const struct hub_engine *engine)
{
    char id[16];
    snprintf(id, sizeof(id), "%d", engine->id);
    json_object_set_new(json_object_get(query->context, "engines"), id, json_string(engine->uuid));
}

/* Which requests are completed, the ledger has forgotten; how many, it knows. */
static int answer_queue(struct hub *hub, struct query *query, struct ipcl_error *error)
{
    json_t *unassigned = verbose(query) ? ids_of(hub->ledger.unassigned)
                                        : json_integer((json_int_t)hub->ledger.unassigned_count);
    query->reply = json_pack("{s:s s:o}", "status", "ok", "unassigned", unassigned);
    if (each_target(hub, query, add_queue, error))
        return -1;
    if (!verbose(query) || !hub->records)
        return 0;
    query->then = records_answer_queue;
    query->context = json_pack("{s:O s:{}}", "reply", query->reply, "engines");
    return each_target(hub, query, add_uuid, error);
}

static void add_load(struct query *query, const struct hub_engine *engine)
{
    char id[16];
    snprintf(id, sizeof(id), "%d", engine->id);
    json_object_set_new(query->reply, id,
                        json_integer((json_int_t)(engine->pending_count[REPORT_DIRECT] +
                                                  engine->pending_count[REPORT_TASK])));
}

static int answer_load(struct hub *hub, struct query *query, struct ipcl_error *error)
{
    query->reply = json_pack("{s:s}", "status", "ok");
    return each_target(hub, query, add_load, error);
}

/* The query's msg_ids: a borrowed list of text, or NULL with `error` set. */
static json_t *msg_ids_of(struct query *query, struct ipcl_error *error)
{
    json_t *ids = json_object_get(query->content, "msg_ids"), *id;
    size_t index;
    bool valid = json_is_array(ids);
    json_array_foreach (ids, index, id)
        valid = valid && json_is_string(id);
    if (valid)
        return ids;
    ipcl_error_set(error, "msg_ids is a list of texts");
    return NULL;
}

/* Those of the query's msg_ids that are pending: a new mapping, for quick finding. */
static json_t *pending_of(struct hub *hub, json_t *ids)
{
    json_t *pending = json_object(), *id;
    size_t index;
    json_array_foreach (ids, index, id)
        if (ledger_find(&hub->ledger, json_string_value(id)))
            json_object_set_new(pending, json_string_value(id), json_true());
    return pending;
}

static int refuse_without_store(struct query *query, struct ipcl_error *error)
{
    query->ename = "NoData"; /* ipyparallel's, a KeyError */
    return ipcl_error_set(error, "%s", no_store);
}

static int answer_result(struct hub *hub, struct query *query, struct ipcl_error *error)
{
    json_t *ids = msg_ids_of(query, error), *id;
    size_t index;
    if (!ids)
        return -1;
    json_t *pending = pending_of(hub, ids);
    if (hub->records) {
        query->then = records_answer_result;
        query->context = json_pack("{s:o}", "pending", pending);
        return 0;
    }
    bool all = true;
    json_array_foreach (ids, index, id)
        all = all && json_object_get(pending, json_string_value(id));
    json_decref(pending);
    query->reply = json_pack("{s:s s:O s:[]}", "status", "ok", "pending", ids, "completed");
    return all ? 0 : refuse_without_store(query, error);
}

static int answer_history(struct hub *hub, struct query *query, struct ipcl_error *error)
{
    query->then = records_answer_history;
    return hub->records ? 0 : refuse_without_store(query, error);
}

static int answer_db(struct hub *hub, struct query *query, struct ipcl_error *error)
{
    query->then = records_answer_db;
    return hub->records ? 0 : refuse_without_store(query, error);
}

static int answer_resubmit(struct hub *hub, struct query *query, struct ipcl_error *error)
{
    query->then = records_answer_resubmit;
    if (!msg_ids_of(query, error))
        return -1;
    return hub->records ? 0 : refuse_without_store(query, error);
}

/* The uuids of the engines that a purge names: a new list, or NULL with `error` set. */
static json_t *purged_engines(struct hub *hub, struct query *query, struct ipcl_error *error)
{
    json_t *engine_ids = json_object_get(query->content, "engine_ids"), *id;
    json_t *uuids = json_array();
    size_t index;
    json_array_foreach (engine_ids, index, id) {
        const struct hub_engine *engine = named_engine(hub, id);
        if (!engine) {
            json_decref(uuids);
            query->ename = "IndexError";
            ipcl_error_set(error, "engine_ids names an engine that is not registered");
            return NULL;
        }
        json_array_append_new(uuids, json_string(engine->uuid));
    }
    return uuids;
}

static int answer_purge(struct hub *hub, struct query *query, struct ipcl_error *error)
{
    json_t *ids = json_object_get(query->content, "msg_ids"), *uuids;
    bool all = json_is_string(ids) && !strcmp(json_string_value(ids), "all");
    if (!all && ids && !json_is_null(ids)) {
        if (!msg_ids_of(query, error))
            return -1;
        json_t *pending = pending_of(hub, ids);
        const char *first = json_object_iter_key(json_object_iter(pending));
        if (first) {
            query->ename = "IndexError";
            ipcl_error_set(error, "request %.64s is pending", first);
        }
        json_decref(pending);
        if (first)
            return -1;
    }
    if (!(uuids = purged_engines(hub, query, error)))
        return -1;
    query->context = json_pack("{s:o}", "engines", uuids);
    query->reply = json_pack("{s:s}", "status", "ok");
    if (hub->records)
        query->then = records_answer_purge;
    return 0;
}

static int answer_departed(struct hub *hub, struct query *query, struct ipcl_error *error)
{
    (void)error;
    query->reply =
        json_pack("{s:s s:o}", "status", "ok", "departed",
                  hub->departures.last ? json_incref(hub->departures.last) : json_array());
    return 0;
}

/* What all threads have counted. */
static int answer_stats(struct hub *hub, struct query *query, struct ipcl_error *error)
{
    (void)hub;
    (void)error;
    query->reply = json_pack("{s:s s:s}", "status", "ok", "metrics_url", stats.metrics_url);
    metric_answer(&stats_table, query->reply);
    return 0;
}

/* {"on": whether there is to be a trace of the controller}; whoever asks does not say where, as it
 * need not be the controller's user. */
static int answer_trace(struct hub *hub, struct query *query, struct ipcl_error *error)
{
    const char *file = trace_switch(json_is_true(json_object_get(query->content, "on")), error);
    (void)hub;
    if (file)
        query->reply = json_pack("{s:s s:s}", "status", "ok", "file", file);
    return file ? 0 : -1;
}

static int answer_shutdown(struct hub *hub, struct query *query, struct ipcl_error *error)
{
    (void)error;
    log_info("hub: a client asked for shutdown");
    query->reply = json_pack("{s:s}", "status", "ok");
    if (!hub->asked_to_stop)
        hub->end_ms = clock_ms();
    hub->asked_to_stop = true;
    hub_finish_ends(hub);
    return 0;
}

/* There is no Dask scheduler to stop: ipyparallel's hub finds that in order. */
static int answer_stop_dask(struct hub *hub, struct query *query, struct ipcl_error *error)
{
    (void)hub;
    (void)error;
    query->reply = json_pack("{s:s}", "status", "ok");
    return 0;
}

static int answer_become_dask(struct hub *hub, struct query *query, struct ipcl_error *error)
{
    (void)hub;
    query->ename = "NotImplementedError";
    return ipcl_error_set(error,
                          "this controller runs no Python and cannot start a Dask scheduler: use "
                          "become_dask() of the Python package ipcluster, which starts one beside "
                          "the client; or start dask-scheduler, and a worker on each engine with "
                          "apply()");
}

/* The one list of queries: what the metrics tell apart, the tests and the fuzzers' seeds follow it
 * (tests/hub_queries.py), and a test holds the table of docs/reference/wire.md against it. */
static const struct {
    const char *msg_type;
    const char *reply_type;    /* NULL: there is no reply */
    enum connection_role role; /* which side asks it */
    bool own_errors; /* what goes wrong is told by a reply of its own type, and not by a hub_error:
                        as ipyparallel's hub does for each */
    hub_answer *answer;
} queries[] = {
    {"registration_request", "registration_reply", CONNECTION_ENGINE, false,
     hub_answer_registration},
    {"unregistration_request", NULL, CONNECTION_ENGINE, false, hub_answer_unregistration},
    {"connection_request", "connection_reply", CONNECTION_CLIENT, false, hub_answer_connection},
    {"shutdown_request", "shutdown_reply", CONNECTION_CLIENT, false, answer_shutdown},
    {"departed_request", "departed_reply", CONNECTION_CLIENT, false, answer_departed},
    {"stats_request", "stats_reply", CONNECTION_CLIENT, false, answer_stats},
    {"explain_request", "explain_reply", CONNECTION_CLIENT, false, hub_answer_explain},
    {"queue_request", "queue_reply", CONNECTION_CLIENT, false, answer_queue},
    {"load_request", "load_reply", CONNECTION_CLIENT, false, answer_load},
    {"result_request", "result_reply", CONNECTION_CLIENT, true, answer_result},
    {"history_request", "history_reply", CONNECTION_CLIENT, true, answer_history},
    {"purge_request", "purge_reply", CONNECTION_CLIENT, true, answer_purge},
    {"db_request", "db_reply", CONNECTION_CLIENT, true, answer_db},
    {"resubmit_request", "resubmit_reply", CONNECTION_CLIENT, true, answer_resubmit},
    {"trace_request", "trace_reply", CONNECTION_CLIENT, true, answer_trace},
    {"become_dask_request", "become_dask_reply", CONNECTION_CLIENT, false, answer_become_dask},
    {"stop_distributed_request", "stop_distributed_reply", CONNECTION_CLIENT, false,
     answer_stop_dask},
};

void hub_tell_queries_apart(void)
{
    for (size_t i = 0; i < sizeof(queries) / sizeof(*queries); i++)
        traffic_tell_apart(queries[i].msg_type);
}

hub_answer *hub_find_query(const struct ipcl_member *msg_type, struct query *query,
                           struct ipcl_error *error)
{
    static const char *const theirs[CONNECTION_ROLES] = {"clients'", "engines'"};
    const size_t count = sizeof(queries) / sizeof(*queries);
    size_t i = 0;
    while (i < count && !member_is(msg_type, queries[i].msg_type))
        i++;
    if (i == count) {
        query->ename = "KeyError";
        ipcl_error_set(error, "the hub does not know the query '%.*s'",
                       (int)(msg_type->size < 64 ? msg_type->size : 64), msg_type->data);
        return NULL;
    }
    query->reply_type = queries[i].reply_type;
    if (queries[i].own_errors)
        query->error_type = queries[i].reply_type;
    if (queries[i].role == query->door->role)
        return queries[i].answer;
    query->ename = "PermissionError";
    ipcl_error_set(error, "a %s must be sent to the port in the %s connection file",
                   queries[i].msg_type, theirs[queries[i].role]);
    return NULL;
}
