/* The stores: each keeps the same promises, and both answer every query alike. */
#include <criterion/criterion.h>
#include <ipcluster/store.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "plugin/registry.h"
#include "unit.h"

struct kind {
    const char *plugin;
    const char *class_name;
};
static const struct kind kinds[] = {
    {"memory", "DictDB"},
    {"sqlite", "SQLiteDB"},
};
#define KINDS (sizeof(kinds) / sizeof(*kinds))

/* One open store, and its settings. */
struct open_store {
    const struct kind *kind;
    const struct ipcl_store_operations *store;
    void *self;
    int64_t record_limit, size_limit;
    double cull_fraction;
    char folder[PATH_BYTES];
};

static int released;

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

static void reopen(struct open_store *open)
{
    struct ipcl_error error;
    struct ipcl_services services = {.host = open,
                                     .log = log_line,
                                     .option_int = option_int,
                                     .option_real = option_real,
                                     .option_string = option_string};
    open->self = open->store->create(&services, open->folder, "", &error);
    cr_assert(open->self, "%s: %s", open->kind->plugin, error.text);
}

static struct open_store open_kind(const struct kind *kind, int64_t records, int64_t bytes,
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

static void commit(struct open_store *open)
{
    struct ipcl_error error;
    if (open->store->commit)
        cr_assert_eq(open->store->commit(open->self, &error), 0, "%s", error.text);
}

static void close_store(struct open_store *open)
{
    open->store->destroy(open->self);
    unit_remove_folder(open->folder);
}

static void count_release(void *owner)
{
    released++;
    free(owner);
}

static struct ipcl_buffer buffer_of(const char *byte, size_t size)
{
    char *data = malloc(size + 1);
    memset(data, *byte, size);
    return (struct ipcl_buffer){
        .data = data, .size = size, .owner = data, .release = count_release};
}

/* Puts fields, given as JSON, and a buffer of so many bytes (-1: none). */
static void put(struct open_store *open, const char *msg_id, const char *fields, int bytes)
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

static const char *found(struct open_store *open, const char *query)
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

static int64_t drop(struct open_store *open, const char *query)
{
    json_t *parsed = json_loads(query, 0, NULL);
    int64_t dropped = open->store->drop(open->self, parsed, NULL);
    json_decref(parsed);
    return dropped;
}

Test(stores, answer_queries)
{
    static const struct {
        const char *query, *found;
    } cases[] = {
        {"{}", "abcd"},
        {"{\"msg_id\": \"b\"}", "b"},
        {"{\"msg_id\": \"B\"}", ""},
        {"{\"msg_id\": null}", ""},
        {"{\"msg_id\": {\"$eq\": \"b\"}}", "b"},
        {"{\"msg_id\": {\"$ne\": null}}", "abcd"},
        {"{\"msg_id\": {\"$ne\": \"a\"}}", "bcd"},
        {"{\"msg_id\": {\"$ne\": 5}}", "abcd"},
        {"{\"msg_id\": {}}", "abcd"},
        {"{\"msg_id\": {\"$in\": [\"a\", \"c\", \"x\", 5, null]}}", "ac"},
        {"{\"msg_id\": {\"$in\": []}}", ""},
        {"{\"msg_id\": {\"$nin\": [\"a\", 7]}}", "bcd"},
        {"{\"msg_id\": {\"$nin\": []}}", "abcd"},
        {"{\"msg_id\": {\"$all\": [[\"a\", \"b\"], [\"b\", \"c\"], \"abc\"]}}", "b"},
        {"{\"msg_id\": {\"$mod\": [2, 0]}}", ""},
        {"{\"msg_id\": 5}", ""},
        {"{\"completed\": null}", "bd"},
        {"{\"completed\": {\"$ne\": null}}", "ac"},
        {"{\"completed\": {\"$ne\": \"2026-01-01\"}}", "bcd"},
        {"{\"completed\": {\"$in\": [null]}}", "bd"},
        {"{\"completed\": {\"$in\": [null, \"2026-01-03\"]}}", "bcd"},
        {"{\"completed\": {\"$nin\": [null, \"2026-01-03\"]}}", "a"},
        {"{\"completed\": {\"$exists\": true}}", "ac"},
        {"{\"completed\": {\"$exists\": 1}}", "ac"},
        {"{\"completed\": {\"$exists\": false}}", "bd"},
        {"{\"completed\": {\"$exists\": null}}", "bd"},
        {"{\"completed\": {\"$gt\": \"2026-01-01\"}}", "c"},
        {"{\"completed\": {\"$gt\": null}}", ""},
        {"{\"completed\": {\"$lt\": 5}}", ""},
        {"{\"completed\": {\"$gte\": \"2026-01-01\", \"$lt\": \"2026-01-03\"}}", "a"},
        {"{\"completed\": {\"$lte\": \"2026-01-03\"}, \"msg_id\": {\"$ne\": \"a\"}}", "c"},
        {"{\"absent\": {\"$lte\": 5}}", ""},
        {"{\"absent\": null, \"msg_id\": \"a\"}", "a"},
        {"{\"content\": {\"$exists\": true}}", "ac"},
        {"{\"content\": {\"$eq\": {\"n\": 1}}}", "a"},
        {"{\"content\": {\"n\": 1}}", "a"},
        {"{\"content\": {\"$ne\": {\"n\": 1}}}", "bcd"},
        {"{\"execute_input\": {\"$mod\": [4, 3]}}", "c"},
        {"{\"execute_input\": {\"$mod\": [-4, -1]}}", "c"},
        {"{\"execute_input\": 7}", "c"},
        {"{\"execute_input\": 7.0}", "c"},
        {"{\"execute_input\": {\"$gt\": 6.5, \"$lt\": 8}}", "c"},
        {"{\"stdout\": \"out\"}", "d"},
        {"{\"stdout\": {\"$ne\": \"\"}}", "d"},
        {"{\"stdout\": {\"$exists\": true}}", "abcd"},
        {"{\"queue\": \"mux\", \"$or\": [{\"msg_id\": \"a\"}, {\"completed\": null}]}", "ab"},
        {"{\"$and\": [{\"queue\": \"mux\"}, {\"completed\": null}]}", "b"},
        {"{\"$or\": [{\"absent\": 5}, {\"content\": {\"n\": 1}}, {\"msg_id\": \"d\"}]}", "ad"},
        {"{\"$and\": [{\"$or\": [{\"msg_id\": \"c\"}]}]}", "c"},
        {"{\"a\": {\"$near\": 1}}", "refused"},
        {"{\"msg_id\": {\"$in\": 1}}", "refused"},
        {"{\"msg_id\": {\"$eq\": 1, \"x\": 2}}", "refused"},
        {"{\"msg_id\": {\"$mod\": [0, 1]}}", "refused"},
        {"{\"$or\": []}", "refused"},
        {"{\"$or\": [5]}", "refused"},
        {"{\"$not\": {}}", "refused"},
        {"[]", "refused"},
    };
    for (size_t k = 0; k < KINDS; k++) {
        struct open_store open = open_kind(&kinds[k], 100, 1 << 30, 0);
        put(&open, "a",
            "{\"completed\": \"2026-01-01\", \"content\": {\"n\": 1}, \"queue\": \"mux\"}", 1);
        put(&open, "b", "{\"queue\": \"mux\"}", 1);
        put(&open, "c",
            "{\"completed\": \"2026-01-03\", \"content\": {}, \"execute_input\": 7, \"queue\": "
            "\"task\"}",
            1);
        put(&open, "d", "{\"stdout\": \"out\", \"content\": null}", 1);
        for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
            cr_expect_str_eq(found(&open, cases[i].query), cases[i].found, "%s: %s",
                             kinds[k].plugin, cases[i].query);
        close_store(&open);
    }
}

Test(stores, give_the_oldest_submission_first)
{
    for (size_t k = 0; k < KINDS; k++) {
        struct open_store open = open_kind(&kinds[k], 100, 1 << 30, 0);
        put(&open, "c", "{\"submitted\": \"2026-03\"}", -1);
        put(&open, "a", "{\"submitted\": \"2026-01\"}", -1);
        put(&open, "x", "{}", -1);
        put(&open, "d", "{\"submitted\": \"2026-03\"}", -1);
        put(&open, "b", "{\"submitted\": \"2026-02\"}", -1);
        cr_expect_str_eq(found(&open, "{}"), "xabcd");
        put(&open, "x", "{\"submitted\": \"2026-04\"}", -1);
        cr_expect_str_eq(found(&open, "{}"), "abcdx");
        close_store(&open);
    }
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

static const char *described(struct open_store *open, const char *query, const char *keys)
{
    static char text[65536];
    json_t *parsed = json_loads(query, 0, NULL), *wanted = keys ? json_loads(keys, 0, NULL) : NULL;
    *text = '\0';
    cr_assert_eq(open->store->find(open->self, parsed, wanted, describe, text, NULL), 0);
    json_decref(parsed);
    json_decref(wanted);
    return text;
}

Test(stores, change_what_is_new_and_add_to_output)
{
    static const char all[] = "[\"header\", \"content\", \"completed\", \"stdout\", \"stderr\", "
                              "\"buffers\", \"result_buffers\"]";
    for (size_t k = 0; k < KINDS; k++) {
        struct open_store open = open_kind(&kinds[k], 100, 1 << 30, 0);
        put(&open, "a", "{\"stdout\": \"one \", \"header\": {\"x\": [1, \"\\u00e4\"]}}", 10);
        put(&open, "a", "{\"stdout\": \"two\", \"content\": 5, \"completed\": \"now\"}", -1);
        put(&open, "a", "{\"stderr\": \"oops\", \"content\": null}", -1);
        cr_expect_str_eq(described(&open, "{}", all),
                         "{\"completed\":\"now\",\"header\":{\"x\":[1,\"\u00e4\"]},\"msg_id\":"
                         "\"a\",\"stderr\":\"oops\",\"stdout\":\"one two\"} 10a\n");
        put(&open, "a", "{\"header\": null}", 0);
        struct ipcl_buffer results[] = {buffer_of("x", 3), buffer_of("y", 100000)};
        struct ipcl_record record = {
            .fields = json_object(), .result_buffers = results, .result_buffer_count = 2};
        cr_assert_eq(open.store->put(open.self, "a", &record, NULL), 0);
        json_decref(record.fields);
        cr_expect_str_eq(described(&open, "{\"msg_id\": \"a\"}", all),
                         "{\"completed\":\"now\",\"msg_id\":\"a\",\"stderr\":\"oops\",\"stdout\":"
                         "\"one two\"} 0- r3x r100000y\n");
        cr_expect(strstr(described(&open, "{}", NULL), "\"stdout\":\"one two\""));
        close_store(&open);
    }
}

Test(stores, release_each_buffer_once)
{
    for (size_t k = 0; k < KINDS; k++) {
        struct open_store open = open_kind(&kinds[k], 100, 1 << 30, 0);
        released = 0;
        put(&open, "a", "{}", 10);
        put(&open, "a", "{}", 20);
        put(&open, "b", "{\"completed\": \"now\"}", 10);
        put(&open, "c", "{}", 10);
        cr_expect_eq(drop(&open, "{\"completed\": {\"$ne\": null}}"), 1);
        cr_expect_eq(drop(&open, "{\"msg_id\": {\"$in\": [\"a\", \"b\"]}}"), 1);
        cr_expect_eq(drop(&open, "[]"), -1);
        cr_expect_str_eq(found(&open, "{}"), "c");
        close_store(&open);
        cr_expect_eq(released, 4);
    }
}

Test(stores, the_oldest_finished_make_room)
{
    for (size_t k = 0; k < KINDS; k++) {
        struct open_store open = open_kind(&kinds[k], 3, 1 << 30, 0);
        put(&open, "a", "{}", 1);
        put(&open, "b", "{\"completed\": \"2026\"}", 1);
        put(&open, "c", "{\"completed\": \"2027\"}", 1);
        put(&open, "d", "{}", 1);
        commit(&open);
        cr_expect_str_eq(found(&open, "{}"), "acd", "%s", kinds[k].plugin);
        put(&open, "e", "{}", 1);
        commit(&open);
        cr_expect_str_eq(found(&open, "{}"), "ade");
        put(&open, "f", "{}", 1);
        commit(&open);
        cr_expect_str_eq(found(&open, "{}"), "def");
        close_store(&open);
    }
}

Test(stores, bytes_are_bounded_and_the_newest_stays)
{
    for (size_t k = 0; k < KINDS; k++) {
        struct open_store open = open_kind(&kinds[k], 1000, 1000000, 0);
        put(&open, "a", "{\"completed\": \"2026\"}", 400000);
        put(&open, "b", "{\"completed\": \"2027\"}", 400000);
        put(&open, "c", "{\"completed\": \"2028\"}", 400000);
        commit(&open);
        cr_expect_str_eq(found(&open, "{}"), "bc", "%s", kinds[k].plugin);
        put(&open, "d", "{\"completed\": \"2029\"}", 4000000);
        commit(&open);
        cr_expect_str_eq(found(&open, "{}"), "d");
        close_store(&open);
    }
}

Test(memory_store, goes_below_its_limits_as_ipyparallels)
{
    struct open_store open = open_kind(&kinds[0], 20, 1 << 30, 0.2);
    char id[16];
    for (int i = 0; i < 21; i++) {
        snprintf(id, sizeof(id), "%c", 'a' + i);
        put(&open, id, "{\"completed\": \"now\"}", 1);
        if (i == 19)
            cr_expect_eq(strlen(found(&open, "{}")), 20);
    }
    cr_expect_eq(strlen(found(&open, "{}")), 17);
    close_store(&open);
}

static const char *pick(const char *const *of, size_t count)
{
    return of[(size_t)rand() % count];
}

/* Puts the same random change into both stores. */
static void change_both(struct open_store *both)
{
    static const char *const changes[] = {
        "{\"submitted\": \"2026-01\", \"content\": {\"a\": [1, 2.5, null, \"x\"]}}",
        "{\"submitted\": \"2026-02\", \"engine_uuid\": \"e1\", \"queue\": \"mux\"}",
        "{\"completed\": \"2026-03\", \"engine_uuid\": \"e2\", \"stdout\": \"a line\\n\"}",
        "{\"completed\": null, \"content\": 5, \"stderr\": \"\\u00e4\\u0000b\"}",
        "{\"error\": {\"ename\": \"E\"}, \"engine_uuid\": null}",
        "{\"header\": {\"msg_type\": \"apply_request\"}, \"stdout\": \"more\"}",
        "{}",
    };
    static const char *const drops[] = {
        "{\"msg_id\": \"m3\"}",
        "{\"completed\": {\"$ne\": null}, \"engine_uuid\": \"e2\"}",
        "{\"msg_id\": {\"$in\": [\"m1\", \"m7\", \"none\"]}}",
    };
    char msg_id[8];
    const char *change = pick(changes, sizeof(changes) / sizeof(*changes));
    int bytes = rand() % 3 ? -1 : rand() % 5000;
    snprintf(msg_id, sizeof(msg_id), "m%d", rand() % 12);
    if (rand() % 25 == 0) {
        const char *match = pick(drops, sizeof(drops) / sizeof(*drops));
        cr_assert_eq(drop(&both[0], match), drop(&both[1], match));
        return;
    }
    put(&both[0], msg_id, change, bytes);
    put(&both[1], msg_id, change, bytes);
}

/* A random test of a random key, as JSON. */
static void random_test(char *text, size_t size)
{
    static const char *const keys[] = {"msg_id",  "submitted", "completed", "engine_uuid", "queue",
                                       "content", "error",     "stdout",    "header",      "nokey"};
    static const char *const values[] = {"null",        "5",      "\"m5\"", "\"2026-01\"",
                                         "\"2026-02\"", "\"e1\"", "\"\"",   "{\"ename\": \"E\"}",
                                         "true"};
    static const char *const operators[] = {"$eq", "$ne", "$lt", "$lte", "$gt", "$gte", "$exists"};
    static const char *const lists[] = {"$in", "$nin", "$all"};
    const char *key = pick(keys, 10), *value = pick(values, 9), *other = pick(values, 9);
    switch (rand() % 3) {
    case 0:
        snprintf(text, size, "\"%s\": {\"$eq\": %s}", key, value);
        break;
    case 1:
        snprintf(text, size, "\"%s\": {\"%s\": %s}", key, pick(operators, 7), value);
        break;
    default:
        snprintf(text, size, "\"%s\": {\"%s\": [%s, %s]}", key, pick(lists, 3), value, other);
    }
}

Test(stores, find_the_same_whatever_is_asked)
{
    static const char keys[] = "[\"header\", \"content\", \"completed\", \"submitted\", \"error\", "
                               "\"engine_uuid\", \"stdout\", \"stderr\", \"buffers\"]";
    struct open_store both[] = {open_kind(&kinds[0], 1000, 1 << 30, 0),
                                open_kind(&kinds[1], 1000, 1 << 30, 0)};
    char one[256], two[256], query[1024];
    char *first = malloc(65536);
    srand(1);
    for (int i = 0; i < 2000; i++) {
        change_both(both);
        if (i % 100 == 0)
            commit(&both[1]);
        random_test(one, sizeof(one));
        random_test(two, sizeof(two));
        switch (rand() % 4) {
        case 0:
            snprintf(query, sizeof(query), "{%s}", one);
            break;
        case 1:
            snprintf(query, sizeof(query), "{%s, %s}", one, two);
            break;
        case 2:
            snprintf(query, sizeof(query), "{\"$or\": [{%s}, {%s}]}", one, two);
            break;
        default:
            snprintf(query, sizeof(query), "{%s, \"$and\": [{%s}]}", one, two);
        }
        strcpy(first, described(&both[0], query, keys));
        cr_assert_str_eq(described(&both[1], query, keys), first, "%s", query);
    }
    free(first);
    close_store(&both[0]);
    close_store(&both[1]);
}

Test(sqlite_store, keeps_what_was_committed)
{
    struct open_store open = open_kind(&kinds[1], 100, 1 << 30, 0);
    put(&open, "a", "{\"submitted\": \"2026-01\", \"stdout\": \"text\"}", 5);
    put(&open, "b", "{\"submitted\": \"2026-02\", \"completed\": \"2026\"}", -1);
    commit(&open);
    put(&open, "c", "{}", 5);
    open.store->destroy(open.self);
    reopen(&open);
    cr_expect_str_eq(
        described(&open, "{}", "[\"submitted\", \"completed\", \"stdout\", \"buffers\"]"),
        "{\"msg_id\":\"a\",\"stdout\":\"text\",\"submitted\":\"2026-01\"} 5a\n"
        "{\"completed\":\"2026\",\"msg_id\":\"b\",\"submitted\":\"2026-02\"}\n");
    open.record_limit = 2;
    open.store->destroy(open.self);
    reopen(&open);
    put(&open, "d", "{\"submitted\": \"2026-03\"}", 5);
    commit(&open);
    cr_expect_str_eq(found(&open, "{}"), "ad");
    close_store(&open);
}

Test(sqlite_store, belongs_to_one_at_a_time)
{
    struct open_store open = open_kind(&kinds[1], 100, 1 << 30, 0);
    struct ipcl_error error = {""};
    struct ipcl_services services = {.host = &open,
                                     .log = log_line,
                                     .option_int = option_int,
                                     .option_real = option_real,
                                     .option_string = option_string};
    pid_t child = fork();
    if (!child) {
        bool refused =
            !open.store->create(&services, open.folder, "", &error) && strstr(error.text, "in use");
        _exit(refused ? 0 : 1);
    }
    int status;
    waitpid(child, &status, 0);
    cr_expect(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    /* Another cluster of the profile has another file. */
    void *other = open.store->create(&services, open.folder, "other", &error);
    cr_assert(other, "%s", error.text);
    open.store->destroy(other);
    close_store(&open);
}

Test(sqlite_store, leaves_other_tables_of_its_name_alone)
{
    struct open_store open = open_kind(&kinds[1], 100, 1 << 30, 0);
    char path[PATH_BYTES];
    sqlite3 *db;
    open.store->destroy(open.self);
    cr_assert_eq(path_format(path, NULL, "%s/tasks.db", open.folder), 0);
    cr_assert_eq(sqlite3_open(path, &db), SQLITE_OK);
    cr_assert_eq(sqlite3_exec(db,
                              "DROP TABLE \"ipython-tasks\"; "
                              "CREATE TABLE \"ipython-tasks\" (msg_id text, header text)",
                              NULL, NULL, NULL),
                 SQLITE_OK);
    sqlite3_close(db);
    reopen(&open);
    put(&open, "a", "{}", 5);
    commit(&open);
    open.store->destroy(open.self);
    reopen(&open);
    cr_expect_str_eq(found(&open, "{}"), "a");
    close_store(&open);
}

/* -- a store whose records outlive the controller */

static void collect_outcome(void *context, const char *msg_id, const char *engine, bool success)
{
    char *text = context;
    sprintf(text + strlen(text), "%s%s%s ", msg_id, success ? "+" : "-", engine);
}

/* All outcomes, so many at a time. */
static const char *outcomes(struct open_store *open, size_t max, size_t at_once)
{
    static char text[256];
    struct ipcl_error error;
    int64_t place = 0;
    int status;
    *text = '\0';
    do
        status =
            open->store->outcomes(open->self, &place, max, at_once, collect_outcome, text, &error);
    while (status > 0);
    cr_assert_eq(status, 0, "%s", error.text);
    return text;
}

Test(sqlite_store, tells_how_the_newest_tasks_ended)
{
    struct open_store open = open_kind(&kinds[1], 100, 1 << 30, 0);
    put(&open, "a", "{\"queue\": \"task\", \"engine_uuid\": \"e\"}", -1);
    put(&open, "b", "{\"queue\": \"task\"}", -1);
    put(&open, "c", "{\"queue\": \"mux\", \"completed\": \"2026\"}", -1);
    put(&open, "d", "{\"completed\": \"2026\", \"result_metadata\": {\"status\": \"aborted\"}}",
        -1);
    put(&open, "e", "{\"queue\": \"task\", \"completed\": \"2026\", \"result_metadata\": {}}", -1);
    put(&open, "a", "{\"completed\": \"2025\", \"result_metadata\": {\"status\": \"ok\"}}", -1);
    for (size_t at_once = 1; at_once < 5; at_once++) {
        cr_assert_str_eq(outcomes(&open, 100, at_once), "a+e d- e+ ");
        cr_assert_str_eq(outcomes(&open, 2, at_once), "d- e+ ");
        cr_assert_str_eq(outcomes(&open, 0, at_once), "");
    }
    close_store(&open);
}

Test(sqlite_store, knows_which_controller_had_it_before)
{
    struct open_store open = open_kind(&kinds[1], 100, 1 << 30, 0);
    for (int64_t session = 1; session < 4; session++) {
        int64_t before = -1;
        struct ipcl_error error;
        cr_assert_eq(open.store->begin(open.self, session, &before, &error), 0, "%s", error.text);
        cr_assert_eq(before, session - 1);
        open.store->destroy(open.self);
        reopen(&open);
    }
    close_store(&open);
}

Test(sqlite_store, shrinks_when_most_of_it_is_free)
{
    struct open_store open = open_kind(&kinds[1], 10000, 1 << 30, 0);
    char id[16], file[2 * PATH_BYTES];
    struct stat status;
    for (int i = 0; i < 200; i++) {
        snprintf(id, sizeof(id), "%d", i);
        put(&open, id, "{\"completed\": \"2026\"}", 100000);
    }
    commit(&open);
    snprintf(file, sizeof(file), "%s/tasks.db", open.folder);
    cr_assert(!stat(file, &status) && status.st_size > 15000000, "%lld", (long long)status.st_size);
    cr_assert_not(open.store->tidy(open.self), "it is full");
    cr_assert_eq(drop(&open, "{\"msg_id\": {\"$ne\": \"5\"}}"), 199);
    cr_assert_not(open.store->tidy(open.self), "it is not committed");
    commit(&open);
    int steps = 0;
    while (open.store->tidy(open.self))
        steps++;
    cr_assert(steps > 10, "a little at a time");
    cr_assert_str_eq(found(&open, "{}"), "5");
    put(&open, "6", "{}", 1);
    commit(&open);
    open.store->destroy(open.self);
    cr_assert(!stat(file, &status) && status.st_size < 6000000, "%lld", (long long)status.st_size);
    reopen(&open);
    cr_assert_str_eq(found(&open, "{}"), "56");
    close_store(&open);
}
