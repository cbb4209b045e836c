/* What clients ask the hub about requests: queues, results, history, loads; and what it does not
 * offer (ipyparallel's hub and client). */
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "base/clock.h"
#include "controller/hub.h"
#include "controller/reply.h"

static const char no_store[] =
    "the hub keeps no records of requests: start the controller with --dictdb";

/* One engine that a query names: by id, by id as text, or by uuid. */
static struct engine *named_engine(struct hub *hub, const json_t *target)
{
    struct engine *engine = NULL;
    if (json_is_integer(target) && json_integer_value(target) >= 0 &&
        json_integer_value(target) <= ENGINE_ID_MAX)
        engine = engines_by_id(&hub->engines, (int)json_integer_value(target));
    else if (json_is_string(target))
        engine = engines_by_uuid(&hub->engines, json_string_value(target));
    return engine && engine->registered ? engine : NULL;
}

/* Calls `add` for each engine that the query's "targets" names: one, a list, or all where there is
 * none. Returns 0, or -1 with `error` set. */
static int each_target(struct hub *hub, struct query *query,
                       void (*add)(struct query *query, const struct engine *engine),
                       struct ipcl_error *error)
{
    json_t *targets = json_object_get(query->content, "targets"), *target;
    struct engine *engine;
    size_t index;
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
        if (!engine) {
            char *text = json_dumps(target, JSON_ENCODE_ANY);
            status =
                ipcl_error_set(error, "there is no engine %.64s", text ? text : "of this name");
            free(text);
            break;
        }
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

static void add_queue(struct query *query, const struct engine *engine)
{
    char id[16];
    json_t *status;
    snprintf(id, sizeof(id), "%d", engine->id);
    /* Which requests are completed, the ledger has forgotten; how many, it knows. */
    if (verbose(query))
        status = json_pack("{s:o s:o s:[]}", "queue", ids_of(engine->pending[REPORT_DIRECT]),
                           "tasks", ids_of(engine->pending[REPORT_TASK]), "completed");
    else
        status =
            json_pack("{s:I s:I s:I}", "queue", (json_int_t)engine->pending_count[REPORT_DIRECT],
                      "tasks", (json_int_t)engine->pending_count[REPORT_TASK], "completed",
                      (json_int_t)engine->completed);
    json_object_set_new(query->reply, id, status);
}

static int answer_queue(struct hub *hub, struct query *query, struct ipcl_error *error)
{
    json_t *unassigned = verbose(query) ? ids_of(hub->ledger.unassigned)
                                        : json_integer((json_int_t)hub->ledger.unassigned_count);
    query->reply = json_pack("{s:s s:o}", "status", "ok", "unassigned", unassigned);
    return each_target(hub, query, add_queue, error);
}

static void add_load(struct query *query, const struct engine *engine)
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

/* What a client gets of a record (ipyparallel's hub). */
static json_t *result_of(const struct ipcl_record *record)
{
    static const char *const plain[] = {"header",        "metadata",       "result_metadata",
                                        "result_header", "result_content", "received"};
    static const char *const streams[] = {"execute_input", "execute_result", "error", "stdout",
                                          "stderr"};
    json_t *result = json_object(), *io = json_object();
    for (size_t i = 0; i < sizeof(plain) / sizeof(*plain); i++)
        json_object_set(result, plain[i], json_object_get(record->fields, plain[i]));
    for (size_t i = 0; i < sizeof(streams) / sizeof(*streams); i++)
        json_object_set(io, streams[i], json_object_get(record->fields, streams[i]));
    json_object_set_new(result, "io", io);
    return result;
}

/* Adds a record's result and its frames to the answer. Returns 0 or -1 (memory is short). */
static int add_result(struct query *query, const char *msg_id, const struct ipcl_record *record)
{
    json_object_set_new(query->reply, msg_id, result_of(record));
    for (size_t i = 0; i < record->result_buffer_count; i++)
        if (message_append(&query->buffers, record->result_buffers[i].data,
                           record->result_buffers[i].size))
            return -1;
    return 0;
}

static int compare_ids(const void *a, const void *b)
{
    return strcmp(json_string_value(*(json_t *const *)a), json_string_value(*(json_t *const *)b));
}

/* The ids in order and each once: the order in which the client takes the frames. malloc'ed, of
 * borrowed text; NULL when memory is short. */
static json_t **sorted_ids(json_t *ids, size_t *count)
{
    size_t size = json_array_size(ids);
    json_t **sorted = malloc((size + 1) * sizeof(json_t *));
    *count = 0;
    if (!sorted)
        return NULL;
    for (size_t i = 0; i < size; i++)
        sorted[i] = json_array_get(ids, i);
    qsort(sorted, size, sizeof(json_t *), compare_ids);
    for (size_t i = 0; i < size; i++)
        if (!*count || compare_ids(&sorted[*count - 1], &sorted[i]))
            sorted[(*count)++] = sorted[i];
    return sorted;
}

static int add_status(struct hub *hub, struct query *query, const char *msg_id, bool status_only,
                      struct ipcl_error *error)
{
    const struct ipcl_store_operations *store = hub->controller->store;
    const struct ipcl_record *record = store ? store->get(hub->controller->records, msg_id) : NULL;
    json_t *completed = record ? json_object_get(record->fields, "completed") : NULL;
    bool done = completed && !json_is_null(completed);
    if (!done && (record || ledger_find(&hub->ledger, msg_id)))
        return json_array_append_new(json_object_get(query->reply, "pending"), json_string(msg_id));
    if (!record) {
        query->ename = "KeyError";
        return store ? ipcl_error_set(error, "the hub has no record of request %.64s", msg_id)
                     : ipcl_error_set(error, "%s", no_store);
    }
    json_array_append_new(json_object_get(query->reply, "completed"), json_string(msg_id));
    if (!status_only && add_result(query, msg_id, record))
        return ipcl_error_set(error, "out of memory");
    return 0;
}

static int answer_result(struct hub *hub, struct query *query, struct ipcl_error *error)
{
    json_t *ids = msg_ids_of(query, error);
    size_t count;
    json_t **sorted = ids ? sorted_ids(ids, &count) : NULL;
    int status = 0;
    if (!sorted)
        return -1;
    bool status_only = json_is_true(json_object_get(query->content, "status_only"));
    query->reply = json_pack("{s:s s:[] s:[]}", "status", "ok", "pending", "completed");
    for (size_t i = 0; i < count && !status; i++)
        status = add_status(hub, query, json_string_value(sorted[i]), status_only, error);
    free(sorted);
    return status;
}

static bool add_to_history(void *context, const struct ipcl_record *record)
{
    json_array_append(context, json_object_get(record->fields, "msg_id"));
    return true;
}

static int answer_history(struct hub *hub, struct query *query, struct ipcl_error *error)
{
    const struct ipcl_store_operations *store = hub->controller->store;
    query->ename = "KeyError";
    if (!store)
        return ipcl_error_set(error, "%s", no_store);
    json_t *history = json_array(), *all = json_object();
    int status = store->find(hub->controller->records, all, add_to_history, history, error);
    json_decref(all);
    query->reply = json_pack("{s:s s:o}", "status", "ok", "history", history);
    return status;
}

/* Drops the records that match. Takes over `match`. */
static int drop(struct hub *hub, json_t *match, struct ipcl_error *error)
{
    const struct ipcl_store_operations *store = hub->controller->store;
    int64_t dropped = !match  ? ipcl_error_set(error, "out of memory")
                      : store ? store->drop(hub->controller->records, match, error)
                              : 0;
    json_decref(match);
    return dropped < 0 ? -1 : 0;
}

static int drop_of_engines(struct hub *hub, struct query *query, struct ipcl_error *error)
{
    json_t *engine_ids = json_object_get(query->content, "engine_ids"), *id;
    size_t index;
    json_array_foreach (engine_ids, index, id) {
        const struct engine *engine = named_engine(hub, id);
        query->ename = "IndexError";
        if (!engine)
            return ipcl_error_set(error, "engine_ids names an engine that is not registered");
        if (drop(hub, json_pack("{s:s s:{s:n}}", "engine_uuid", engine->uuid, "completed", "$ne"),
                 error))
            return -1;
    }
    return 0;
}

static int answer_purge(struct hub *hub, struct query *query, struct ipcl_error *error)
{
    json_t *ids = json_object_get(query->content, "msg_ids"), *id;
    size_t index;
    query->reply = json_pack("{s:s}", "status", "ok");
    if (json_is_string(ids) && !strcmp(json_string_value(ids), "all"))
        return drop(hub, json_pack("{s:{s:n}}", "completed", "$ne"), error);
    if (ids && !json_is_null(ids)) {
        if (!msg_ids_of(query, error))
            return -1;
        json_array_foreach (ids, index, id) {
            query->ename = "IndexError";
            if (ledger_find(&hub->ledger, json_string_value(id)))
                return ipcl_error_set(error, "request %.64s is pending", json_string_value(id));
        }
        if (json_array_size(ids) && drop(hub, json_pack("{s:{s:O}}", "msg_id", "$in", ids), error))
            return -1;
    }
    return drop_of_engines(hub, query, error);
}

static int answer_not_offered(struct hub *hub, struct query *query, struct ipcl_error *error)
{
    (void)hub;
    query->ename = "NotImplementedError";
    return ipcl_error_set(error, "this controller does not offer %s", query->reply_type);
}

static const struct {
    const char *msg_type;
    const char *reply_type; /* for those not offered: what they are */
    hub_answer *answer;
} queries[] = {
    {"connection_request", "connection_reply", hub_answer_connection},
    {"registration_request", "registration_reply", hub_answer_registration},
    {"unregistration_request", NULL, hub_answer_unregistration},
    {"shutdown_request", "shutdown_reply", hub_answer_shutdown},
    {"queue_request", "queue_reply", answer_queue},
    {"load_request", "load_reply", answer_load},
    {"result_request", "result_reply", answer_result},
    {"history_request", "history_reply", answer_history},
    {"purge_request", "purge_reply", answer_purge},
    {"db_request", "queries of its records: ask for results by msg_id", answer_not_offered},
    {"resubmit_request", "resubmission: submit the tasks again", answer_not_offered},
    {"become_dask_request", "a Dask scheduler", answer_not_offered},
    {"stop_distributed_request", "a Dask scheduler", answer_not_offered},
};

hub_answer *hub_find_query(const char *msg_type, size_t size, const char **reply_type)
{
    for (size_t i = 0; i < sizeof(queries) / sizeof(*queries); i++) {
        if (strlen(queries[i].msg_type) == size && !memcmp(queries[i].msg_type, msg_type, size)) {
            *reply_type = queries[i].reply_type;
            return queries[i].answer;
        }
    }
    return NULL;
}
