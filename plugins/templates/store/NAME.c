/* The store "@NAME@": what the controller remembers of tasks. This one keeps records in memory, in
 * the order in which they came, without buffers, and understands queries that name values. */
#include <stdlib.h>
#include <string.h>

#include <ipcluster/store.h>

struct store {
    json_t *records; /* by msg_id */
};

static void *create(const struct ipcl_services *services, const char *folder,
                    const char *cluster_id, struct ipcl_error *error)
{
    struct store *store = calloc(1, sizeof(*store));
    (void)services, (void)folder, (void)cluster_id;
    if (store && (store->records = json_object()))
        return store;
    free(store);
    ipcl_error_set(error, "no memory for records");
    return NULL;
}

/* All output of a task is kept, in its order. */
static json_t *joined(json_t *before, json_t *after)
{
    return json_sprintf("%s%s", json_is_string(before) ? json_string_value(before) : "",
                        json_string_value(after));
}

static void release(struct ipcl_buffer *buffers, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (buffers[i].release)
            buffers[i].release(buffers[i].owner);
}

static int put(void *self, const char *msg_id, const struct ipcl_record *record,
               struct ipcl_error *error)
{
    struct store *store = self;
    json_t *known = json_object_get(store->records, msg_id), *value;
    const char *key;
    int status = 0;
    release(record->buffers, record->buffer_count);
    release(record->result_buffers, record->result_buffer_count);
    if (!known) {
        known = json_pack("{s:s}", "msg_id", msg_id);
        status = json_object_set_new(store->records, msg_id, known);
    }
    json_object_foreach (record->fields, key, value) {
        int output = json_is_string(value) && (!strcmp(key, "stdout") || !strcmp(key, "stderr"));
        if (status == 0)
            status =
                output ? json_object_set_new(known, key, joined(json_object_get(known, key), value))
                       : json_object_set(known, key, value);
    }
    return status < 0 ? ipcl_error_set(error, "no memory for the record %s", msg_id) : 0;
}

/* Returns 1 where a record has all values that a query names, 0 where not, -1 with `error` set. */
static int matches(json_t *record, const json_t *query, struct ipcl_error *error)
{
    const char *key;
    json_t *wanted;
    json_object_foreach ((json_t *)query, key, wanted) {
        json_t *value = json_object_get(record, key);
        if (*key == '$' || json_is_object(wanted))
            return ipcl_error_set(error, "the store @NAME@ knows no operators: %s", key);
        if (!(json_is_null(wanted) ? !value || json_is_null(value)
                                   : value && json_equal(value, wanted)))
            return 0;
    }
    return 1;
}

static int find(void *self, const json_t *query, const json_t *keys,
                bool (*found)(void *context, const struct ipcl_record *record), void *context,
                struct ipcl_error *error)
{
    struct store *store = self;
    const char *msg_id;
    json_t *fields;
    (void)keys;
    json_object_foreach (store->records, msg_id, fields) {
        const struct ipcl_record record = {.fields = fields};
        int match = matches(fields, query, error);
        if (match < 0)
            return -1;
        if (match && !found(context, &record))
            break;
    }
    return 0;
}

static int64_t drop(void *self, const json_t *query, struct ipcl_error *error)
{
    struct store *store = self;
    const char *msg_id;
    json_t *fields;
    void *next;
    int64_t count = 0;
    json_object_foreach_safe(store->records, next, msg_id, fields)
    {
        int match = matches(fields, query, error);
        if (match < 0)
            return -1;
        if (match)
            json_object_del(store->records, msg_id);
        count += match;
    }
    return count;
}

static void destroy(void *self)
{
    struct store *store = self;
    if (store)
        json_decref(store->records);
    free(store);
}

static const struct ipcl_store_operations operations = {
    .create = create, .put = put, .find = find, .drop = drop, .destroy = destroy};

extern const struct ipcl_plugin ipcl_plugin;
IPCL_EXPORT const struct ipcl_plugin ipcl_plugin = {
    IPCL_PLUGIN_HEAD,
    .kind = "store",
    .name = "@NAME@",
    .version = "0.1",
    .summary = "keeps records in memory",
    .license = "BSD-2-Clause",
    .author = "@AUTHOR@",
    .operations = &operations,
};
