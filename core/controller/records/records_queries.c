/* Answers what clients ask of the records, as ipyparallel's hub does: results, history and queries.
 * The records thread. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "controller/records/records.h"

/* A field as a client gets it: null if there is none, or "" for output. */
static json_t *field_of(const struct ipcl_record *record, const char *key)
{
    json_t *value = json_object_get(record->fields, key);
    if (value)
        return json_incref(value);
    return !strcmp(key, "stdout") || !strcmp(key, "stderr") ? json_string("") : json_null();
}

static bool is_listed(const json_t *list, const char *text)
{
    for (size_t i = 0; i < json_array_size(list); i++)
        if (!strcmp(json_string_value(json_array_get(list, i)), text))
            return true;
    return false;
}

/* Adds a record's frames to the answer. Returns 0 or -1 (memory is short). */
static int add_buffers(struct records_query *query, const struct ipcl_buffer *buffers, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (records_append_buffer(&query->buffers, &buffers[i]))
            return -1;
    return 0;
}

/* What is collected from the records that a query finds. */
struct collection {
    const struct records *records;
    struct records_query *query;
    json_t *list;
    json_t *keys;
    json_t *buffer_counts; /* NULL: they are not wanted */
    json_t *result_buffer_counts;
    bool failed;
};

static bool add_id(void *context, const struct ipcl_record *record)
{
    struct collection *collection = context;
    json_array_append_new(collection->list, field_of(record, "msg_id"));
    return true;
}

/* -- queue_request, with the ids of what is completed: the hub knows the rest of the answer. */

int records_answer_queue(struct records *records, struct records_query *query,
                         struct ipcl_error *error)
{
    json_t *engines = json_object_get(query->context, "engines"), *uuid;
    json_t *keys = json_pack("[s]", "msg_id");
    const char *id;
    int status = 0;
    query->reply = json_incref(json_object_get(query->context, "reply"));
    json_object_foreach (engines, id, uuid) {
        struct collection collection = {.query = query};
        collection.list = json_object_get(json_object_get(query->reply, id), "completed");
        json_t *completed = json_pack("{s:O s:{s:n}}", "engine_uuid", uuid, "completed", "$ne");
        status = records_find(records, completed, keys, add_id, &collection, error);
        json_decref(completed);
        if (status)
            break;
    }
    json_decref(keys);
    return status;
}

/* -- result_request */

static int compare_ids(const void *a, const void *b)
{
    return strcmp(json_string_value(*(json_t *const *)a), json_string_value(*(json_t *const *)b));
}

/* The ids in order and each once: the order in which the client takes the frames. A new list of the
 * same texts; NULL when memory is short. */
static json_t *sorted_ids(json_t *ids)
{
    size_t size = json_array_size(ids);
    json_t **sorted = malloc((size + 1) * sizeof(json_t *)), *list = json_array();
    if (!sorted) {
        json_decref(list);
        return NULL;
    }
    for (size_t i = 0; i < size; i++)
        sorted[i] = json_array_get(ids, i);
    qsort(sorted, size, sizeof(json_t *), compare_ids);
    for (size_t i = 0; i < size; i++)
        if (!i || compare_ids(&sorted[i - 1], &sorted[i]))
            json_array_append(list, sorted[i]);
    free(sorted);
    return list;
}

/* The content of a reply. An error of an engine that has gone does not say of which engine:
 * ipyparallel's client looks it up among the registered ones, and fails if it is not there. */
static json_t *content_of(const struct records *records, const struct ipcl_record *record)
{
    json_t *content = field_of(record, "result_content"), *copy;
    json_t *info = json_object_get(content, "engine_info");
    const char *uuid = json_string_value(json_object_get(info, "engine_uuid"));
    if (!uuid || json_object_get(records->engines, uuid) || !(copy = json_copy(content)))
        return content;
    json_object_set_new(copy, "engine_info", json_object());
    json_decref(content);
    return copy;
}

/* What a client gets of a record. ipyparallel's client looks for the msg_id in the header. */
static json_t *result_of(const struct records *records, const struct ipcl_record *record)
{
    static const char *const plain[] = {"metadata", "result_header", "received"};
    static const char *const streams[] = {"execute_input", "execute_result", "error", "stdout",
                                          "stderr"};
    json_t *result = json_object(), *io = json_object();
    json_t *header = json_object_get(record->fields, "header"),
           *metadata = json_object_get(record->fields, "result_metadata");
    for (size_t i = 0; i < sizeof(plain) / sizeof(*plain); i++)
        json_object_set_new(result, plain[i], field_of(record, plain[i]));
    for (size_t i = 0; i < sizeof(streams) / sizeof(*streams); i++)
        json_object_set_new(io, streams[i], field_of(record, streams[i]));
    json_object_set_new(
        result, "header",
        json_is_object(header)
            ? json_incref(header)
            : json_pack("{s:O}", "msg_id", json_object_get(record->fields, "msg_id")));
    json_object_set_new(result, "result_metadata",
                        json_is_object(metadata) ? json_incref(metadata) : json_object());
    json_object_set_new(result, "result_content", content_of(records, record));
    json_object_set_new(result, "io", io);
    return result;
}

/* Adds a record to the answer if its request is not pending. */
static bool add_result(void *context, const struct ipcl_record *record)
{
    struct collection *collection = context;
    struct records_query *query = collection->query;
    json_t *id = json_object_get(record->fields, "msg_id");
    json_t *completed = json_object_get(record->fields, "completed");
    bool status_only = json_is_true(json_object_get(query->content, "status_only"));
    if (!completed || json_is_null(completed))
        return true;
    json_array_append(json_object_get(query->reply, "completed"), id);
    json_object_set(collection->list, json_string_value(id), id);
    if (status_only)
        return true;
    json_object_set_new(query->reply, json_string_value(id),
                        result_of(collection->records, record));
    collection->failed =
        add_buffers(query, record->result_buffers, record->result_buffer_count) != 0;
    return !collection->failed;
}

static int find_result(struct records *records, struct records_query *query, const json_t *id,
                       struct collection *collection, struct ipcl_error *error)
{
    static const char *const wanted[] = {
        "header",   "metadata",       "result_metadata", "result_header", "result_content",
        "received", "execute_input",  "execute_result",  "error",         "stdout",
        "stderr",   "result_buffers", "completed",
    };
    bool status_only = json_is_true(json_object_get(query->content, "status_only"));
    json_t *keys = status_only ? json_pack("[s]", "completed") : json_array();
    for (size_t i = 0; !status_only && i < sizeof(wanted) / sizeof(*wanted); i++)
        json_array_append_new(keys, json_string(wanted[i]));
    json_t *match = json_pack("{s:O}", "msg_id", id);
    int status = records_find(records, match, keys, add_result, collection, error);
    json_decref(match);
    json_decref(keys);
    return status || !collection->failed ? status : ipcl_error_set(error, "out of memory");
}

static int add_status(struct records *records, struct records_query *query, json_t *id,
                      struct collection *collection, struct ipcl_error *error)
{
    const char *msg_id = json_string_value(id);
    if (records->hooks->expects(records, msg_id) ||
        json_object_get(json_object_get(query->context, "pending"), msg_id))
        return json_array_append(json_object_get(query->reply, "pending"), id);
    if (find_result(records, query, id, collection, error))
        return -1;
    if (json_object_get(collection->list, msg_id))
        return 0;
    query->ename = "KeyError";
    return ipcl_error_set(error,
                          "there is no record of request %.80s, or none of its result: it is "
                          "unknown, was purged, or was dropped for newer records",
                          msg_id);
}

int records_answer_result(struct records *records, struct records_query *query,
                          struct ipcl_error *error)
{
    json_t *ids = sorted_ids(json_object_get(query->content, "msg_ids")), *id;
    struct collection collection = {.records = records, .query = query, .list = json_object()};
    size_t index;
    int status = ids ? 0 : ipcl_error_set(error, "out of memory");
    query->reply = json_pack("{s:s s:[] s:[]}", "status", "ok", "pending", "completed");
    json_array_foreach (ids, index, id) {
        status = add_status(records, query, id, &collection, error);
        if (status)
            break;
    }
    json_decref(collection.list);
    json_decref(ids);
    return status;
}

/* -- history_request */

static bool add_submitted_id(void *context, const struct ipcl_record *record)
{
    return json_is_string(json_object_get(record->fields, "submitted")) ? add_id(context, record)
                                                                        : true;
}

int records_answer_history(struct records *records, struct records_query *query,
                           struct ipcl_error *error)
{
    struct collection collection = {.query = query, .list = json_array()};
    json_t *all = json_object(), *keys = json_pack("[s s]", "msg_id", "submitted");
    int status = records_find(records, all, keys, add_submitted_id, &collection, error);
    query->reply = json_pack("{s:s s:o}", "status", "ok", "history", collection.list);
    json_decref(all);
    json_decref(keys);
    return status;
}

/* -- db_request */

static const char *const all_keys[] = {
    "msg_id",        "header",         "metadata",        "content",        "submitted",
    "client_uuid",   "engine_uuid",    "started",         "completed",      "resubmitted",
    "received",      "result_header",  "result_metadata", "result_content", "queue",
    "execute_input", "execute_result", "error",           "stdout",         "stderr",
    "label",
};

static bool is_date_key(const char *key)
{
    return !strcmp(key, "submitted") || !strcmp(key, "started") || !strcmp(key, "completed") ||
           !strcmp(key, "received");
}

/* Brings a query's dates into the form that the records have. Returns a new reference. */
static json_t *normal_dates(json_t *test)
{
    char date[CLOCK_DATE_BYTES];
    const char *name;
    json_t *part, *copy;
    size_t index;
    if (json_is_string(test) && clock_normalize(json_string_value(test), date))
        return json_string(date);
    if (json_is_array(test)) {
        copy = json_array();
        json_array_foreach (test, index, part)
            json_array_append_new(copy, normal_dates(part));
        return copy;
    }
    if (!json_is_object(test))
        return json_incref(test);
    copy = json_object();
    json_object_foreach (test, name, part)
        json_object_set_new(copy, name, normal_dates(part));
    return copy;
}

/* The same for a whole query: only what is compared with a date. */
static json_t *normal_query(json_t *query, int depth)
{
    const char *key;
    json_t *test, *part;
    size_t index;
    if (!json_is_object(query) || depth > 64)
        return json_incref(query);
    json_t *copy = json_object();
    json_object_foreach (query, key, test) {
        if (key[0] == '$' && json_is_array(test)) {
            json_t *list = json_array();
            json_array_foreach (test, index, part)
                json_array_append_new(list, normal_query(part, depth + 1));
            json_object_set_new(copy, key, list);
        } else {
            json_object_set_new(copy, key,
                                is_date_key(key) ? normal_dates(test) : json_incref(test));
        }
    }
    return copy;
}

static json_t *count_of(size_t count)
{
    return json_integer((json_int_t)count);
}

static bool add_record(void *context, const struct ipcl_record *record)
{
    struct collection *collection = context;
    json_t *fields = json_object(), *key;
    size_t index;
    json_object_set_new(fields, "msg_id", field_of(record, "msg_id"));
    json_array_foreach (collection->keys, index, key) {
        const char *name = json_string_value(key);
        if (strcmp(name, "buffers") && strcmp(name, "result_buffers"))
            json_object_set_new(fields, name, field_of(record, name));
    }
    json_array_append_new(collection->list, fields);
    if (collection->buffer_counts) {
        json_array_append_new(collection->buffer_counts, count_of(record->buffer_count));
        collection->failed |= add_buffers(collection->query, record->buffers, record->buffer_count);
    }
    if (collection->result_buffer_counts) {
        json_array_append_new(collection->result_buffer_counts,
                              count_of(record->result_buffer_count));
        collection->failed |=
            add_buffers(collection->query, record->result_buffers, record->result_buffer_count);
    }
    return !collection->failed;
}

static bool is_key(const json_t *key)
{
    const char *name = json_string_value(key);
    if (!name)
        return false;
    for (size_t i = 0; i < sizeof(all_keys) / sizeof(*all_keys); i++)
        if (!strcmp(all_keys[i], name))
            return true;
    return !strcmp(name, "buffers") || !strcmp(name, "result_buffers");
}

/* The keys that are asked for, as a new list; if none are, all but the buffers. NULL with `error`
 * set. */
static json_t *wanted_keys(struct records_query *query, struct ipcl_error *error)
{
    json_t *asked = json_object_get(query->content, "keys"), *key;
    size_t index;
    json_t *keys = json_is_string(asked)    ? json_pack("[O]", asked)
                   : json_array_size(asked) ? json_incref(asked)
                                            : json_array();
    if (asked && !json_is_null(asked) && !json_is_array(asked) && !json_is_string(asked)) {
        ipcl_error_set(error, "keys is a list of a record's keys");
        json_decref(keys);
        return NULL;
    }
    json_array_foreach (keys, index, key) {
        if (is_key(key))
            continue;
        query->ename = "KeyError";
        ipcl_error_set(error, "a record has no key '%.64s'",
                       json_is_string(key) ? json_string_value(key) : "that is no text");
        json_decref(keys);
        return NULL;
    }
    for (size_t i = 0; !json_array_size(asked) && !json_is_string(asked) &&
                       i < sizeof(all_keys) / sizeof(*all_keys);
         i++)
        json_array_append_new(keys, json_string(all_keys[i]));
    return keys;
}

/* A list for the numbers of buffers, if the client asked for these buffers. */
static json_t *counts_for(const json_t *keys, const char *name)
{
    return is_listed(keys, name) ? json_array() : NULL;
}

int records_answer_db(struct records *records, struct records_query *query,
                      struct ipcl_error *error)
{
    json_t *asked = json_object_get(query->content, "query");
    json_t *keys = wanted_keys(query, error);
    if (!keys)
        return -1;
    struct collection collection = {
        .query = query,
        .list = json_array(),
        .keys = keys,
        .buffer_counts = counts_for(keys, "buffers"),
        .result_buffer_counts = counts_for(keys, "result_buffers"),
    };
    json_t *match = asked ? normal_query(asked, 0) : json_object();
    int status = records_find(records, match, keys, add_record, &collection, error);
    if (!status && collection.failed)
        status = ipcl_error_set(error, "out of memory");
    query->reply =
        json_pack("{s:s s:o s:o? s:o?}", "status", "ok", "records", collection.list, "buffer_lens",
                  collection.buffer_counts, "result_buffer_lens", collection.result_buffer_counts);
    json_decref(match);
    json_decref(keys);
    return status;
}
