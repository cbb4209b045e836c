/* The stores: each keeps the same promises, and both answer every query alike. */
#include "open_store.h"

static const struct kind *const kinds[] = {&memory_kind, &sqlite_kind};
#define KINDS (sizeof(kinds) / sizeof(*kinds))

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
        struct open_store open = open_kind(kinds[k], 100, 1 << 30, 0);
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
                             kinds[k]->plugin, cases[i].query);
        close_store(&open);
    }
}

Test(stores, give_the_oldest_submission_first)
{
    for (size_t k = 0; k < KINDS; k++) {
        struct open_store open = open_kind(kinds[k], 100, 1 << 30, 0);
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

Test(stores, change_what_is_new_and_add_to_output)
{
    static const char all[] = "[\"header\", \"content\", \"completed\", \"stdout\", \"stderr\", "
                              "\"buffers\", \"result_buffers\"]";
    for (size_t k = 0; k < KINDS; k++) {
        struct open_store open = open_kind(kinds[k], 100, 1 << 30, 0);
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
        struct open_store open = open_kind(kinds[k], 100, 1 << 30, 0);
        buffers_released = 0;
        put(&open, "a", "{}", 10);
        put(&open, "a", "{}", 20);
        put(&open, "b", "{\"completed\": \"now\"}", 10);
        put(&open, "c", "{}", 10);
        cr_expect_eq(drop(&open, "{\"completed\": {\"$ne\": null}}"), 1);
        cr_expect_eq(drop(&open, "{\"msg_id\": {\"$in\": [\"a\", \"b\"]}}"), 1);
        cr_expect_eq(drop(&open, "[]"), -1);
        cr_expect_str_eq(found(&open, "{}"), "c");
        close_store(&open);
        cr_expect_eq(buffers_released, 4);
    }
}

Test(stores, forget_a_piece_at_a_time)
{
    for (size_t k = 0; k < KINDS; k++) {
        struct open_store open = open_kind(kinds[k], 100, 1 << 30, 0);
        static const char *const ids[] = {"a", "b", "c", "d", "e", "f", "g"};
        for (size_t i = 0; i < 7; i++)
            put(&open, ids[i], i % 3 ? "{\"completed\": \"2026\"}" : "{}", 10);
        json_t *query = json_pack("{s:{s:n}}", "completed", "$ne");
        int64_t place = 0;
        static const int64_t dropped[] = {3, 1, 0, 0};
        static const char *const left[] = {"adfg", "adg", "adg", "adg"};
        for (size_t i = 0; i < 4; i++) {
            cr_expect_eq(open.store->drop_some(open.self, query, &place, 3, NULL), dropped[i]);
            cr_expect_str_eq(found(&open, "{}"), left[i], "%s", kinds[k]->plugin);
        }
        json_decref(query);
        close_store(&open);
    }
}

Test(stores, the_oldest_finished_make_room)
{
    for (size_t k = 0; k < KINDS; k++) {
        struct open_store open = open_kind(kinds[k], 3, 1 << 30, 0);
        put(&open, "a", "{}", 1);
        put(&open, "b", "{\"completed\": \"2026\"}", 1);
        put(&open, "c", "{\"completed\": \"2027\"}", 1);
        put(&open, "d", "{}", 1);
        commit(&open);
        cr_expect_str_eq(found(&open, "{}"), "acd", "%s", kinds[k]->plugin);
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
        struct open_store open = open_kind(kinds[k], 1000, 1000000, 0);
        put(&open, "a", "{\"completed\": \"2026\"}", 400000);
        put(&open, "b", "{\"completed\": \"2027\"}", 400000);
        put(&open, "c", "{\"completed\": \"2028\"}", 400000);
        commit(&open);
        cr_expect_str_eq(found(&open, "{}"), "bc", "%s", kinds[k]->plugin);
        put(&open, "d", "{\"completed\": \"2029\"}", 4000000);
        commit(&open);
        cr_expect_str_eq(found(&open, "{}"), "d");
        close_store(&open);
    }
}

Test(memory_store, goes_below_its_limits_as_ipyparallels)
{
    struct open_store open = open_kind(kinds[0], 20, 1 << 30, 0.2);
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
    struct open_store both[] = {open_kind(kinds[0], 1000, 1 << 30, 0),
                                open_kind(kinds[1], 1000, 1 << 30, 0)};
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
