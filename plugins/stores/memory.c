/* The store in memory: the newest records, as many as their number and their bytes allow. It is
 * ipyparallel's DictDB.
 *
 * If room is needed, the oldest finished records go first, and unfinished ones only if there are no
 * others. */
#include <ipcluster/store.h>

#include <stdlib.h>
#include <string.h>
#include <uthash.h>
#include <utlist.h>

#include "query.h"

/* Roughly what a record takes in addition to its fields' bytes, its streams and its buffers. */
#define RECORD_BYTES 4096

enum stream { OUT, ERR, STREAMS };
static const char *const stream_names[STREAMS] = {"stdout", "stderr"};

/* Text that grows at its end. */
struct text {
    char *bytes;
    size_t size;
    size_t capacity;
};

struct entry {
    struct ipcl_record record; /* its fields without the streams */
    struct text streams[STREAMS];
    size_t bytes;
    size_t number; /* counts up */
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
    size_t number;
    size_t count_max;
    size_t bytes_max;
    double cull_fraction;
};

static void release_contents(const struct ipcl_buffer *buffers, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (buffers[i].release)
            buffers[i].release(buffers[i].owner);
}

/* Puts a copy of an array of buffers, whose contents it takes over, in place of another. Returns 0,
 * or -1 with the contents released. */
static int take_buffers(const struct ipcl_buffer *from, size_t from_count, struct ipcl_buffer **to,
                        size_t *to_count)
{
    struct ipcl_buffer *copy = malloc(from_count * sizeof(*copy));
    if (!copy) {
        release_contents(from, from_count);
        return -1;
    }
    memcpy(copy, from, from_count * sizeof(*copy));
    release_contents(*to, *to_count);
    free(*to);
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
    release_contents(entry->record.buffers, entry->record.buffer_count);
    release_contents(entry->record.result_buffers, entry->record.result_buffer_count);
    free(entry->record.buffers);
    free(entry->record.result_buffers);
    for (int i = 0; i < STREAMS; i++)
        free(entry->streams[i].bytes);
    json_decref(entry->record.fields);
    free(entry);
}

/* Where a limit is passed, goes below it by the fraction that ipyparallel's does. The newest record
 * stays, however large. */
static void make_room(struct store *store)
{
    size_t count = store->count_max, bytes = store->bytes_max;
    size_t culled = (size_t)(store->cull_fraction * (double)count);
    if (store->count > count && culled)
        count = count + 1 - culled;
    if (store->bytes > bytes)
        bytes -= (size_t)(store->cull_fraction * (double)bytes);
    while (store->count > 1 && (store->count > count || store->bytes > bytes)) {
        struct entry *newest = store->entries->prev;
        struct entry *oldest = store->finished ? store->finished : store->entries;
        if (oldest == newest)
            oldest = store->entries;
        forget(store, oldest);
    }
}

static size_t sum(const struct ipcl_buffer *buffers, size_t count)
{
    size_t bytes = 0;
    for (size_t i = 0; i < count; i++)
        bytes += buffers[i].size;
    return bytes;
}

/* Enters that an entry has grown, or shrunk, and whether it is finished. */
static void account(struct store *store, struct entry *entry, size_t before, size_t after)
{
    entry->bytes += after - before;
    store->bytes += after - before;
    const json_t *completed = json_object_get(entry->record.fields, "completed");
    if (!entry->finished && completed && !json_is_null(completed)) {
        entry->finished = true;
        DL_APPEND2(store->finished, entry, finished_prev, finished_next);
    }
}

/* Adds to a stream, if there is room for all of it. */
static int append(struct text *text, const json_t *more)
{
    size_t size = json_string_length(more);
    if (!size || text->size + size > IPCL_STORE_STREAM_BYTES)
        return 0;
    if (text->size + size > text->capacity) {
        size_t capacity = 2 * (text->size + size);
        char *grown = realloc(text->bytes, capacity);
        if (!grown)
            return -1;
        text->bytes = grown;
        text->capacity = capacity;
    }
    memcpy(text->bytes + text->size, json_string_value(more), size);
    text->size += size;
    return 0;
}

/* What an entry holds in buffers and streams. */
static size_t weight(const struct entry *entry)
{
    return sum(entry->record.buffers, entry->record.buffer_count) +
           sum(entry->record.result_buffers, entry->record.result_buffer_count) +
           entry->streams[OUT].capacity + entry->streams[ERR].capacity;
}

/* Puts what a record has into an entry. Takes over the buffers' contents. */
static int take(struct entry *entry, const struct ipcl_record *record)
{
    const char *key;
    json_t *value;
    int failed = 0;
    json_object_foreach (record->fields, key, value) {
        if (!strcmp(key, stream_names[OUT]))
            failed |= append(&entry->streams[OUT], value);
        else if (!strcmp(key, stream_names[ERR]))
            failed |= append(&entry->streams[ERR], value);
        else
            failed |= json_object_set(entry->record.fields, key, value);
    }
    if (record->buffer_count)
        failed |= take_buffers(record->buffers, record->buffer_count, &entry->record.buffers,
                               &entry->record.buffer_count);
    if (record->result_buffer_count)
        failed |= take_buffers(record->result_buffers, record->result_buffer_count,
                               &entry->record.result_buffers, &entry->record.result_buffer_count);
    return failed ? -1 : 0;
}

static struct entry *new_entry(struct store *store, const char *msg_id)
{
    struct entry *entry = calloc(1, sizeof(*entry) + strlen(msg_id) + 1);
    if (entry)
        entry->record.fields = json_pack("{s:s}", "msg_id", msg_id);
    if (!entry || !entry->record.fields) {
        free(entry);
        return NULL;
    }
    memcpy(entry->msg_id, msg_id, strlen(msg_id) + 1);
    entry->number = store->number++;
    HASH_ADD_KEYPTR(hh, store->by_id, entry->msg_id, strlen(entry->msg_id), entry);
    DL_APPEND(store->entries, entry);
    store->count++;
    account(store, entry, 0, RECORD_BYTES);
    return entry;
}

static int put(void *self, const char *msg_id, const struct ipcl_record *record,
               struct ipcl_error *error)
{
    struct store *store = self;
    struct entry *entry = find_entry(store, msg_id);
    if (!entry && !(entry = new_entry(store, msg_id))) {
        release_contents(record->buffers, record->buffer_count);
        release_contents(record->result_buffers, record->result_buffer_count);
        return ipcl_error_set(error, "out of memory");
    }
    size_t before = weight(entry);
    int status = take(entry, record);
    account(store, entry, before, weight(entry) + record->field_bytes);
    make_room(store);
    return status ? ipcl_error_set(error, "out of memory") : 0;
}

static int by_submission(const void *a, const void *b)
{
    const struct entry *x = *(struct entry *const *)a, *y = *(struct entry *const *)b;
    const char *first = json_string_value(json_object_get(x->record.fields, "submitted"));
    const char *second = json_string_value(json_object_get(y->record.fields, "submitted"));
    int difference = first && second ? strcmp(first, second) : (first != NULL) - (second != NULL);
    return difference ? difference : (x->number > y->number) - (x->number < y->number);
}

/* Makes the streams members of the fields. They are taken away again: they may grow. */
static void show_streams(struct entry *entry)
{
    for (int i = 0; i < STREAMS; i++) {
        const struct text *text = &entry->streams[i];
        json_object_set_new(entry->record.fields, stream_names[i],
                            json_stringn(text->size ? text->bytes : "", text->size));
    }
}

static void hide_streams(struct entry *entry)
{
    for (int i = 0; i < STREAMS; i++)
        json_object_del(entry->record.fields, stream_names[i]);
}

static bool matches(struct entry *entry, const json_t *query, bool with_streams)
{
    if (with_streams)
        show_streams(entry);
    bool match = query_matches(query, entry->record.fields);
    if (with_streams)
        hide_streams(entry);
    return match;
}

/* The entries that match, `max` of them at most and from the one of number `first` on: a malloc'ed
 * array; NULL with `error` set. */
static struct entry **select_entries(struct store *store, const json_t *query, size_t first,
                                     size_t max, size_t *count, struct ipcl_error *error)
{
    struct entry *entry, **selected;
    *count = 0;
    if (query_check(query, error))
        return NULL;
    selected = malloc((store->count + 1) * sizeof(struct entry *));
    if (!selected) {
        ipcl_error_set(error, "out of memory");
        return NULL;
    }
    bool with_streams = query_mentions(query, "stdout") || query_mentions(query, "stderr");
    const char *one = json_string_value(json_object_get(query, "msg_id"));
    if (one) {
        entry = find_entry(store, one);
        if (entry && matches(entry, query, with_streams))
            selected[(*count)++] = entry;
        return selected;
    }
    DL_FOREACH (store->entries, entry) {
        if (*count == max)
            break;
        if (entry->number >= first && matches(entry, query, with_streams))
            selected[(*count)++] = entry;
    }
    return selected;
}

static bool wants(const json_t *keys, const char *name)
{
    for (size_t i = 0; i < json_array_size(keys); i++) {
        const char *key = json_string_value(json_array_get(keys, i));
        if (key && !strcmp(key, name))
            return true;
    }
    return false;
}

static int find(void *self, const json_t *query, const json_t *keys,
                bool (*found)(void *context, const struct ipcl_record *record), void *context,
                struct ipcl_error *error)
{
    size_t count;
    struct entry **selected = select_entries(self, query, 0, SIZE_MAX, &count, error);
    bool with_streams = !keys || wants(keys, "stdout") || wants(keys, "stderr"), more = true;
    if (!selected)
        return -1;
    qsort(selected, count, sizeof(*selected), by_submission);
    for (size_t i = 0; i < count && more; i++) {
        if (with_streams)
            show_streams(selected[i]);
        more = found(context, &selected[i]->record);
        if (with_streams)
            hide_streams(selected[i]);
    }
    free(selected);
    return 0;
}

static int64_t drop_some(void *self, const json_t *query, int64_t *place, size_t max,
                         struct ipcl_error *error)
{
    size_t count;
    struct entry **selected = select_entries(self, query, (size_t)*place, max, &count, error);
    if (!selected)
        return -1;
    if (count)
        *place = (int64_t)selected[count - 1]->number + 1;
    for (size_t i = 0; i < count; i++)
        forget(self, selected[i]);
    free(selected);
    return (int64_t)count;
}

static int64_t drop(void *self, const json_t *query, struct ipcl_error *error)
{
    int64_t place = 0;
    return drop_some(self, query, &place, SIZE_MAX, error);
}

static void memory_destroy(void *self)
{
    struct store *store = self;
    if (!store)
        return;
    while (store->entries)
        forget(store, store->entries);
    free(store);
}

static void *memory_create(const struct ipcl_services *services, const char *folder,
                           const char *cluster_id, struct ipcl_error *error)
{
    int64_t count = services->option_int(services->host, "DictDB", "record_limit");
    int64_t bytes = services->option_int(services->host, "DictDB", "size_limit");
    double fraction = services->option_real(services->host, "DictDB", "cull_fraction");
    struct store *store = NULL;
    (void)folder;
    (void)cluster_id;
    if (count < 1)
        ipcl_error_set(error, "DictDB.record_limit is 1 or more");
    else if (bytes < 1)
        ipcl_error_set(error, "DictDB.size_limit is a number of bytes, 1 or more");
    else if (!(fraction >= 0 && fraction <= 1))
        ipcl_error_set(error, "DictDB.cull_fraction is a number from 0 to 1");
    else if (!(store = calloc(1, sizeof(*store))))
        ipcl_error_set(error, "out of memory");
    if (store) {
        store->count_max = (size_t)count;
        store->bytes_max = (size_t)bytes;
        store->cull_fraction = fraction;
    }
    return store;
}

static const struct ipcl_option options[] = {
    {"record_limit", IPCL_INT, "1024", NULL, NULL,
     "How many records to keep. Beyond that the oldest finished ones are forgotten."},
    {"size_limit", IPCL_INT, "1073741824", NULL, NULL,
     "How many bytes the records may take in all: requests, results and output."},
    {"cull_fraction", IPCL_REAL, "0.1", NULL, NULL,
     "If a limit is exceeded, which fraction of it to free."},
};
static const struct ipcl_option_table tables[] = {
    {"DictDB", options, sizeof(options) / sizeof(*options)}};

static const struct ipcl_store_operations operations = {
    .create = memory_create,
    .put = put,
    .find = find,
    .drop = drop,
    .destroy = memory_destroy,
    .drop_some = drop_some,
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
