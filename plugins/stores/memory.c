/* The store in memory: the newest records, as many as their number and their bytes allow. It is
 * ipyparallel's DictDB.
 *
 * Where room is needed the oldest finished records go first, and unfinished ones only when there
 * are no others. */
#include <ipcluster/store.h>

#include <stdlib.h>
#include <string.h>
#include <uthash.h>
#include <utlist.h>

/* What a record's fields take, roughly, beside its streams and buffers. */
#define FIELDS_BYTES 4096

struct entry {
    struct ipcl_record record;
    size_t bytes;
    bool finished;
    struct entry *prev, *next;                   /* of all, in the order in which they came */
    struct entry *finished_prev, *finished_next; /* of the finished, likewise */
    UT_hash_handle hh;
    char msg_id[];
};

struct store {
    struct entry *by_id;
    struct entry *entries;
    struct entry *finished;
    size_t count;
    size_t bytes;
    size_t count_max;
    size_t bytes_max;
};

static void release_buffers(struct ipcl_buffer *buffers, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (buffers[i].release)
            buffers[i].release(buffers[i].owner);
    free(buffers);
}

/* Copies an array of buffers, whose contents it takes over. Returns 0, or -1 with the contents
 * released. */
static int take_buffers(const struct ipcl_buffer *from, size_t from_count, struct ipcl_buffer **to,
                        size_t *to_count)
{
    struct ipcl_buffer *copy = malloc((from_count + 1) * sizeof(*copy));
    if (!copy) {
        for (size_t i = 0; i < from_count; i++)
            if (from[i].release)
                from[i].release(from[i].owner);
        return -1;
    }
    if (from_count)
        memcpy(copy, from, from_count * sizeof(*copy));
    release_buffers(*to, *to_count);
    *to = copy;
    *to_count = from_count;
    return 0;
}

static struct entry *find_entry(const struct store *store, const char *msg_id)
{
    struct entry *entry;
    HASH_FIND_STR(store->by_id, msg_id, entry);
    return entry;
}

static void forget(struct store *store, struct entry *entry)
{
    HASH_DEL(store->by_id, entry);
    DL_DELETE(store->entries, entry);
    if (entry->finished)
        DL_DELETE2(store->finished, entry, finished_prev, finished_next);
    store->count--;
    store->bytes -= entry->bytes;
    release_buffers(entry->record.buffers, entry->record.buffer_count);
    release_buffers(entry->record.result_buffers, entry->record.result_buffer_count);
    json_decref(entry->record.fields);
    free(entry);
}

static void make_room(struct store *store)
{
    while (store->count > store->count_max || (store->bytes > store->bytes_max && store->count > 1))
        forget(store, store->finished ? store->finished : store->entries);
}

static size_t sum(const struct ipcl_buffer *buffers, size_t count)
{
    size_t bytes = 0;
    for (size_t i = 0; i < count; i++)
        bytes += buffers[i].size;
    return bytes;
}

/* Enters what an entry weighs and whether it is finished, after a change. */
static void account(struct store *store, struct entry *entry)
{
    const struct ipcl_record *record = &entry->record;
    const json_t *completed = json_object_get(record->fields, "completed");
    store->bytes -= entry->bytes;
    entry->bytes = FIELDS_BYTES + sum(record->buffers, record->buffer_count) +
                   sum(record->result_buffers, record->result_buffer_count) +
                   json_string_length(json_object_get(record->fields, "stdout")) +
                   json_string_length(json_object_get(record->fields, "stderr"));
    store->bytes += entry->bytes;
    if (!entry->finished && completed && !json_is_null(completed)) {
        entry->finished = true;
        DL_APPEND2(store->finished, entry, finished_prev, finished_next);
    }
}

/* Puts what a record has into an entry. */
static int take(struct entry *entry, const struct ipcl_record *record, struct ipcl_error *error)
{
    int status = record->fields ? json_object_update(entry->record.fields, record->fields) : 0;
    if (record->buffer_count && take_buffers(record->buffers, record->buffer_count,
                                             &entry->record.buffers, &entry->record.buffer_count))
        status = -1;
    if (record->result_buffer_count &&
        take_buffers(record->result_buffers, record->result_buffer_count,
                     &entry->record.result_buffers, &entry->record.result_buffer_count))
        status = -1;
    return status ? ipcl_error_set(error, "out of memory") : 0;
}

static void discard(const struct ipcl_record *record)
{
    for (size_t i = 0; i < record->buffer_count; i++)
        if (record->buffers[i].release)
            record->buffers[i].release(record->buffers[i].owner);
    for (size_t i = 0; i < record->result_buffer_count; i++)
        if (record->result_buffers[i].release)
            record->result_buffers[i].release(record->result_buffers[i].owner);
}

static int add(void *self, const char *msg_id, const struct ipcl_record *record,
               struct ipcl_error *error)
{
    struct store *store = self;
    if (find_entry(store, msg_id)) {
        discard(record);
        return ipcl_error_set(error, "there is a record of %s already", msg_id);
    }
    struct entry *entry = calloc(1, sizeof(*entry) + strlen(msg_id) + 1);
    if (entry)
        entry->record.fields = json_object();
    if (!entry || !entry->record.fields) {
        free(entry);
        discard(record);
        return ipcl_error_set(error, "out of memory");
    }
    memcpy(entry->msg_id, msg_id, strlen(msg_id) + 1);
    HASH_ADD_KEYPTR(hh, store->by_id, entry->msg_id, strlen(entry->msg_id), entry);
    DL_APPEND(store->entries, entry);
    store->count++;
    int status = take(entry, record, error);
    account(store, entry);
    make_room(store);
    return status;
}

static int update(void *self, const char *msg_id, const struct ipcl_record *record,
                  struct ipcl_error *error)
{
    struct store *store = self;
    struct entry *entry = find_entry(store, msg_id);
    if (!entry) {
        discard(record);
        return ipcl_error_set(error, "there is no record of %s", msg_id);
    }
    int status = take(entry, record, error);
    account(store, entry);
    make_room(store);
    return status;
}

static const struct ipcl_record *get(void *self, const char *msg_id)
{
    struct entry *entry = find_entry(self, msg_id);
    return entry ? &entry->record : NULL;
}

/* Orders two values: -1, 0 or 1; 2 where they have no order. Dates are ISO 8601 text, whose order
 * is that of its characters. */
static int order(const json_t *a, const json_t *b)
{
    if (json_is_string(a) && json_is_string(b)) {
        int difference = strcmp(json_string_value(a), json_string_value(b));
        return (difference > 0) - (difference < 0);
    }
    if (json_is_number(a) && json_is_number(b)) {
        double x = json_number_value(a), y = json_number_value(b);
        return (x > y) - (x < y);
    }
    return 2;
}

static bool is_in(const json_t *value, const json_t *list)
{
    for (size_t i = 0; i < json_array_size(list); i++)
        if (json_equal(value, json_array_get(list, i)))
            return true;
    return false;
}

enum operator{
    IN,
    NOT_IN,
    NOT_EQUAL,
    EQUAL,
    GREATER,
    GREATER_EQUAL,
    LESS,
    LESS_EQUAL,
    EXISTS,
    OPERATORS
};

static enum operator operator_of(const char *name)
{
    static const char *const names[OPERATORS] = {"$in",  "$nin", "$ne",  "$eq",    "$gt",
                                                 "$gte", "$lt",  "$lte", "$exists"};
    int found = 0;
    while (found < OPERATORS && strcmp(names[found], name))
        found++;
    return (enum operator)found;
}

static bool holds(const json_t *value, enum operator operator, const json_t * operand)
{
    int difference = order(value, operand);
    switch (operator) {
    case IN:
        return is_in(value, operand);
    case NOT_IN:
        return !is_in(value, operand);
    case NOT_EQUAL:
        return !json_equal(value, operand);
    case EQUAL:
        return json_equal(value, operand);
    case GREATER:
        return difference == 1;
    case GREATER_EQUAL:
        return difference == 0 || difference == 1;
    case LESS:
        return difference == -1;
    case LESS_EQUAL:
        return difference == 0 || difference == -1;
    case EXISTS:
        return json_is_null(value) != json_is_true(operand);
    default:
        return false;
    }
}

/* Whether a query can be answered at all. Returns 0 or -1 with `error` set. */
static int check_query(const json_t *query, struct ipcl_error *error)
{
    const char *key, *name;
    json_t *test, *operand;
    if (!json_is_object(query))
        return ipcl_error_set(error, "a query is a mapping of keys to values or to operators");
    json_object_foreach ((json_t *)query, key, test) {
        json_object_foreach (test, name, operand) {
            enum operator operator= operator_of(name);
            if (operator== OPERATORS)
                return ipcl_error_set(
                    error, "the query's operator '%.64s' for '%.64s' is not known", name, key);
            if ((operator== IN || operator== NOT_IN) && !json_is_array(operand))
                return ipcl_error_set(error, "the query's %s for '%.64s' needs a list", name, key);
        }
    }
    return 0;
}

static bool matches(const struct entry *entry, const json_t *query)
{
    const char *key, *name;
    json_t *test, *operand;
    json_object_foreach ((json_t *)query, key, test) {
        const json_t *value = json_object_get(entry->record.fields, key);
        if (!value)
            value = json_null();
        if (!json_is_object(test) && !json_equal(value, test))
            return false;
        json_object_foreach (test, name, operand)
            if (!holds(value, operator_of(name), operand))
                return false;
    }
    return true;
}

static int find(void *self, const json_t *query,
                bool (*found)(void *context, const struct ipcl_record *record), void *context,
                struct ipcl_error *error)
{
    struct store *store = self;
    struct entry *entry;
    if (check_query(query, error))
        return -1;
    DL_FOREACH (store->entries, entry)
        if (matches(entry, query) && !found(context, &entry->record))
            break;
    return 0;
}

static int64_t drop(void *self, const json_t *query, struct ipcl_error *error)
{
    struct store *store = self;
    struct entry *entry, *next;
    int64_t dropped = 0;
    if (check_query(query, error))
        return -1;
    DL_FOREACH_SAFE (store->entries, entry, next) {
        if (matches(entry, query)) {
            forget(store, entry);
            dropped++;
        }
    }
    return dropped;
}

static void destroy(void *self)
{
    struct store *store = self;
    if (!store)
        return;
    while (store->entries)
        forget(store, store->entries);
    free(store);
}

static void *create(const struct ipcl_services *services, struct ipcl_error *error)
{
    int64_t count = services->option_int(services->host, "DictDB", "record_limit");
    int64_t bytes = services->option_int(services->host, "DictDB", "size_limit");
    struct store *store = NULL;
    if (count < 1)
        ipcl_error_set(error, "DictDB.record_limit is 1 or more");
    else if (bytes < 1)
        ipcl_error_set(error, "DictDB.size_limit is a number of bytes, 1 or more");
    else if (!(store = calloc(1, sizeof(*store))))
        ipcl_error_set(error, "out of memory");
    if (store) {
        store->count_max = (size_t)count;
        store->bytes_max = (size_t)bytes;
    }
    return store;
}

static const struct ipcl_option options[] = {
    {"record_limit", IPCL_INT, "1024", NULL, NULL,
     "How many records to keep. Beyond that the oldest finished ones are forgotten."},
    {"size_limit", IPCL_INT, "1073741824", NULL, NULL,
     "How many bytes the records' buffers and output may take in all."},
};
static const struct ipcl_option_table tables[] = {
    {"DictDB", options, sizeof(options) / sizeof(*options)}};

static const struct ipcl_store_operations operations = {
    .create = create,
    .add = add,
    .update = update,
    .get = get,
    .find = find,
    .drop = drop,
    .destroy = destroy,
};

extern const struct ipcl_plugin ipcl_plugin;
IPCL_EXPORT const struct ipcl_plugin ipcl_plugin = {
    IPCL_PLUGIN_HEAD,
    .kind = "store",
    .name = "memory",
    .version = "1.0",
    .summary = "the newest records of requests, in memory",
    .license = "BSD-2-Clause",
    .author = "the ipcluster developers",
    .tables = tables,
    .table_count = 1,
    .operations = &operations,
};
