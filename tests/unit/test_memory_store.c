/* The memory store: what was added is found by ipyparallel's queries, and the oldest finished
 * records make room. */
#include <criterion/criterion.h>
#include <ipcluster/store.h>
#include <string.h>

#include "plugin/registry.h"

static int64_t record_limit, size_limit;
static int released;

static int64_t option_int(void *host, const char *class_name, const char *name)
{
    (void)host;
    cr_assert_str_eq(class_name, "DictDB");
    return strcmp(name, "record_limit") ? size_limit : record_limit;
}

static const struct ipcl_store_operations *load(void)
{
    struct ipcl_error error;
    struct registry *registry = registry_create(NULL, &error);
    cr_assert(registry, "%s", error.text);
    const struct ipcl_plugin *plugin = registry_load(registry, "store", "memory", &error);
    cr_assert(plugin, "%s", error.text);
    registry_destroy(registry);
    return plugin->operations;
}

static void *open_store(const struct ipcl_store_operations *store, int64_t records, int64_t bytes)
{
    struct ipcl_error error;
    struct ipcl_services services = {.option_int = option_int};
    record_limit = records;
    size_limit = bytes;
    void *self = store->create(&services, &error);
    cr_assert(self, "%s", error.text);
    return self;
}

static void count_release(void *owner)
{
    (void)owner;
    released++;
}

static void put(const struct ipcl_store_operations *store, void *self, const char *msg_id,
                const char *completed, size_t bytes)
{
    struct ipcl_buffer buffer = {.data = "", .size = bytes, .release = count_release};
    struct ipcl_record record = {.buffers = &buffer, .buffer_count = 1};
    record.fields = json_pack("{s:s s:s?}", "msg_id", msg_id, "completed", completed);
    cr_assert_eq(store->add(self, msg_id, &record, NULL), 0);
    json_decref(record.fields);
}

static bool collect(void *context, const struct ipcl_record *record)
{
    strcat(context, json_string_value(json_object_get(record->fields, "msg_id")));
    return true;
}

static const char *found(const struct ipcl_store_operations *store, void *self, const char *query)
{
    static char text[256];
    struct ipcl_error error;
    json_t *parsed = json_loads(query, 0, NULL);
    *text = '\0';
    int status = store->find(self, parsed, collect, text, &error);
    json_decref(parsed);
    return status ? NULL : text;
}

Test(memory_store, answers_queries)
{
    const struct ipcl_store_operations *store = load();
    void *self = open_store(store, 100, 1 << 30);
    put(store, self, "a", "2026-01-01", 1);
    put(store, self, "b", NULL, 1);
    put(store, self, "c", "2026-01-03", 1);
    cr_assert_str_eq(found(store, self, "{}"), "abc");
    cr_assert_str_eq(found(store, self, "{\"msg_id\": \"b\"}"), "b");
    cr_assert_str_eq(found(store, self, "{\"msg_id\": {\"$in\": [\"a\", \"c\", \"x\"]}}"), "ac");
    cr_assert_str_eq(found(store, self, "{\"msg_id\": {\"$nin\": [\"a\"]}}"), "bc");
    cr_assert_str_eq(found(store, self, "{\"completed\": {\"$ne\": null}}"), "ac");
    cr_assert_str_eq(found(store, self, "{\"completed\": null}"), "b");
    cr_assert_str_eq(found(store, self, "{\"completed\": {\"$exists\": true}}"), "ac");
    cr_assert_str_eq(found(store, self, "{\"completed\": {\"$exists\": false}}"), "b");
    cr_assert_str_eq(found(store, self, "{\"completed\": {\"$gt\": \"2026-01-01\"}}"), "c");
    cr_assert_str_eq(
        found(store, self, "{\"completed\": {\"$gte\": \"2026-01-01\", \"$lt\": \"2026-01-03\"}}"),
        "a");
    cr_assert_str_eq(found(store, self, "{\"absent\": {\"$lte\": 5}}"), "");
    cr_assert_null(found(store, self, "{\"a\": {\"$near\": 1}}"));
    cr_assert_null(found(store, self, "{\"a\": {\"$in\": 1}}"));
    cr_assert_null(found(store, self, "[]"));
    store->destroy(self);
}

Test(memory_store, changes_and_forgets)
{
    const struct ipcl_store_operations *store = load();
    void *self = open_store(store, 100, 1 << 30);
    struct ipcl_record change = {.fields = json_pack("{s:s}", "completed", "now")};
    struct ipcl_error error = {""};
    put(store, self, "a", NULL, 10);
    cr_assert_eq(store->update(self, "a", &change, NULL), 0);
    const struct ipcl_record *record = store->get(self, "a");
    cr_assert_str_eq(json_string_value(json_object_get(record->fields, "completed")), "now");
    cr_assert_eq(record->buffer_count, 1);
    cr_assert_eq(record->buffers[0].size, 10);
    cr_assert_eq(store->update(self, "b", &change, &error), -1);
    cr_assert(*error.text);
    cr_assert_eq(store->add(self, "a", &change, &error), -1);
    json_decref(change.fields);
    json_t *all = json_object();
    cr_assert_eq(store->drop(self, all, NULL), 1);
    json_decref(all);
    cr_assert_eq(released, 1);
    cr_assert_null(store->get(self, "a"));
    store->destroy(self);
}

Test(memory_store, the_oldest_finished_make_room)
{
    const struct ipcl_store_operations *store = load();
    void *self = open_store(store, 3, 1 << 30);
    put(store, self, "a", NULL, 1);
    put(store, self, "b", "now", 1);
    put(store, self, "c", "now", 1);
    put(store, self, "d", NULL, 1);
    cr_assert_str_eq(found(store, self, "{}"), "acd");
    put(store, self, "e", NULL, 1);
    cr_assert_str_eq(found(store, self, "{}"), "ade");
    put(store, self, "f", NULL, 1);
    cr_assert_str_eq(found(store, self, "{}"), "def");
    store->destroy(self);
    cr_assert_eq(released, 6);
}

Test(memory_store, bytes_are_bounded_and_the_newest_stays)
{
    const struct ipcl_store_operations *store = load();
    void *self = open_store(store, 1000, 1000000);
    put(store, self, "a", "now", 400000);
    put(store, self, "b", "now", 400000);
    put(store, self, "c", "now", 400000);
    cr_assert_str_eq(found(store, self, "{}"), "bc");
    put(store, self, "d", "now", 4000000);
    cr_assert_str_eq(found(store, self, "{}"), "d");
    store->destroy(self);
}
