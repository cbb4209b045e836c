/* An open store of either kind, for tests. */
#include "open_store.h"

#include "plugin/registry.h"

const struct kind memory_kind = {"memory", "DictDB"}, sqlite_kind = {"sqlite", "SQLiteDB"};

int buffers_released;

static int64_t option_int(void *host, const char *class_name, const char *name)
{
    const struct open_store *open = host;
    cr_assert_str_eq(class_name, open->kind->class_name);
    return strcmp(name, "record_limit") ? open->size_limit : open->record_limit;
}

static double option_real(void *host, const char *class_name, const char *name)
{
    cr_assert_str_eq(class_name, "DictDB");
    cr_assert_str_eq(name, "cull_fraction");
    return ((const struct open_store *)host)->cull_fraction;
}

static const char *option_string(void *host, const char *class_name, const char *name)
{
    (void)host;
    cr_assert_str_eq(class_name, "SQLiteDB");
    return strcmp(name, "table") ? "" : "ipython-tasks";
}

static void log_line(void *host, enum ipcl_log_level level, const char *text)
{
    (void)host, (void)level, (void)text;
}

void *open_again(struct open_store *open, const char *cluster_id, struct ipcl_error *error)
{
    struct ipcl_services services = {.host = open,
                                     .log = log_line,
                                     .option_int = option_int,
                                     .option_real = option_real,
                                     .option_string = option_string};
    return open->store->create(&services, open->folder, cluster_id, error);
}

void reopen(struct open_store *open)
{
    struct ipcl_error error;
    open->self = open_again(open, "", &error);
    cr_assert(open->self, "%s: %s", open->kind->plugin, error.text);
}

struct open_store open_kind(const struct kind *kind, int64_t records, int64_t bytes,
                            double fraction)
{
    struct open_store open = {
        .kind = kind, .record_limit = records, .size_limit = bytes, .cull_fraction = fraction};
    struct ipcl_error error;
    struct registry *registry = registry_create(NULL, &error);
    cr_assert(registry, "%s", error.text);
    const struct ipcl_plugin *plugin = registry_load(registry, "store", kind->plugin, &error);
    cr_assert(plugin, "%s", error.text);
    registry_destroy(registry);
    open.store = plugin->operations;
    unit_make_folder(open.folder);
    reopen(&open);
    return open;
}

void commit(struct open_store *open)
{
    struct ipcl_error error;
    if (open->store->commit)
        cr_assert_eq(open->store->commit(open->self, &error), 0, "%s", error.text);
}

void close_store(struct open_store *open)
{
    open->store->destroy(open->self);
    unit_remove_folder(open->folder);
}

static void count_release(void *owner)
{
    buffers_released++;
    free(owner);
}

struct ipcl_buffer buffer_of(const char *byte, size_t size)
{
    char *data = malloc(size + 1);
    memset(data, *byte, size);
    return (struct ipcl_buffer){
        .data = data, .size = size, .owner = data, .release = count_release};
}

void put(struct open_store *open, const char *msg_id, const char *fields, int bytes)
{
    struct ipcl_error error;
    struct ipcl_buffer buffer = buffer_of(msg_id, bytes < 0 ? 0 : (size_t)bytes);
    struct ipcl_record record = {.fields = json_loads(fields, JSON_ALLOW_NUL, NULL),
                                 .buffers = &buffer};
    cr_assert(record.fields, "%s", fields);
    record.buffer_count = bytes >= 0;
    if (bytes < 0)
        free(buffer.owner);
    cr_assert_eq(open->store->put(open->self, msg_id, &record, &error), 0, "%s", error.text);
    json_decref(record.fields);
}

static bool collect_id(void *context, const struct ipcl_record *record)
{
    strcat(context, json_string_value(json_object_get(record->fields, "msg_id")));
    return true;
}

const char *found(struct open_store *open, const char *query)
{
    static char text[256];
    struct ipcl_error error = {""};
    json_t *parsed = json_loads(query, 0, NULL), *keys = json_pack("[s]", "msg_id");
    *text = '\0';
    cr_assert(parsed, "%s", query);
    int status = open->store->find(open->self, parsed, keys, collect_id, text, &error);
    cr_assert(!status || *error.text);
    json_decref(parsed);
    json_decref(keys);
    return status ? "refused" : text;
}

int64_t drop(struct open_store *open, const char *query)
{
    json_t *parsed = json_loads(query, 0, NULL);
    int64_t dropped = open->store->drop(open->self, parsed, NULL);
    json_decref(parsed);
    return dropped;
}

/* A record as text: its fields and the first byte and size of each buffer. */
static bool describe(void *context, const struct ipcl_record *record)
{
    static const char *const keys[] = {"header",    "content", "completed", "engine_uuid",
                                       "submitted", "error",   "stdout",    "stderr"};
    char *text = context;
    json_t *fields = json_pack("{s:O}", "msg_id", json_object_get(record->fields, "msg_id"));
    for (size_t i = 0; i < sizeof(keys) / sizeof(*keys); i++) {
        json_t *value = json_object_get(record->fields, keys[i]);
        if (value && !json_is_null(value) && (!json_is_string(value) || json_string_length(value)))
            json_object_set(fields, keys[i], value);
    }
    char *dump = json_dumps(fields, JSON_SORT_KEYS | JSON_COMPACT);
    strcat(text, dump);
    free(dump);
    json_decref(fields);
    for (size_t i = 0; i < record->buffer_count + record->result_buffer_count; i++) {
        const struct ipcl_buffer *buffer = i < record->buffer_count
                                               ? &record->buffers[i]
                                               : &record->result_buffers[i - record->buffer_count];
        sprintf(text + strlen(text), " %s%zu%c", i < record->buffer_count ? "" : "r", buffer->size,
                buffer->size ? *(const char *)buffer->data : '-');
    }
    strcat(text, "\n");
    return true;
}

const char *described(struct open_store *open, const char *query, const char *keys)
{
    static char text[65536];
    json_t *parsed = json_loads(query, 0, NULL), *wanted = keys ? json_loads(keys, 0, NULL) : NULL;
    *text = '\0';
    cr_assert_eq(open->store->find(open->self, parsed, wanted, describe, text, NULL), 0);
    json_decref(parsed);
    json_decref(wanted);
    return text;
}
