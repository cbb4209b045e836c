/* What only JSON has: escapes, white space, and a grammar that a scan must not be lenient with. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "unit.h"

static const struct ipcl_serial_operations *json;

static void load(void)
{
    json = unit_serial("json");
}

TestSuite(serial_json, .init = load);

static int find(const char *text, struct ipcl_member *member)
{
    return json->find(text, strlen(text), member, 1);
}

Test(serial_json, text_without_escapes_is_handed_out_as_it_is)
{
    struct ipcl_member member = {.name = "a"};
    cr_assert_eq(find(" { \"b\" : [1,2] , \"a\"\n:\t\"h\xc3\xa9\" }", &member), 0);
    cr_assert_eq(member.state, IPCL_MEMBER_TEXT);
    cr_assert_eq(member.size, 3);
    cr_assert(!memcmp(member.data, "h\xc3\xa9", 3));
}

Test(serial_json, text_with_escapes_is_left_packed)
{
    struct ipcl_member member = {.name = "a"};
    cr_assert_eq(find("{\"a\": \"x\\u0000y\"}", &member), 0);
    cr_assert_eq(member.state, IPCL_MEMBER_OTHER);
    cr_assert_eq(member.size, 10);
    struct ipcl_error error;
    json_t *text = json->unpack(member.data, member.size, &error);
    cr_assert_eq(json_string_length(text), 3);
    json_decref(text);
}

Test(serial_json, a_key_with_escapes_is_the_same_key)
{
    struct ipcl_member member = {.name = "msg_id"};
    cr_assert_eq(find("{\"msg\\u005fid\": \"x\"}", &member), 0);
    cr_assert_eq(member.state, IPCL_MEMBER_TEXT);
}

Test(serial_json, reading_stops_where_all_was_found)
{
    struct ipcl_member member = {.name = "a"};
    cr_assert_eq(find("{\"a\": 1, nonsense", &member), 0);
    cr_assert_eq(member.size, 1);
}

Test(serial_json, what_is_not_json_is_malformed)
{
    static const char *const texts[] = {
        "{",           "{\"a\"",         "{\"a\":",
        "{\"a\":1",    "{\"a\":1,}",     "{a:1}",
        "{\"a\":[1}",  "{\"a\":[1,]}",   "{\"a\":{1:2}}",
        "{\"a\":tru}", "{\"a\":\"\n\"}", "{\"a\":\"\\x\"}",
        "{\"a\":\"",   "{\"a\":\"\\",    "{,}",
        "{\"a\" 1}",   "{\"a\":+1}",     "{\"a\":'x'}",
        "{\"a\":}",    "{\"a\":[}",      "{\"a\":1 2}",
        "{\"\xff\":1", "\xef\xbb\xbf{}",
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct ipcl_member member = {.name = "z"};
        struct ipcl_error error;
        cr_expect_eq(find(texts[i], &member), -1, "%s", texts[i]);
        cr_expect(json->unpack(texts[i], strlen(texts[i]), &error) == NULL, "%s", texts[i]);
    }
}

Test(serial_json, text_that_is_not_utf8_is_left_packed_and_read_with_replacements)
{
    static const char *const texts[] = {"{\"z\":\"\xff\"}", "{\"z\":\"\xc0\x80\"}",
                                        "{\"z\":\"\xed\xa0\x80\"}", "{\"z\":\"\xf4\x90\x80\x80\"}",
                                        "{\"z\":\"\xe2\x82\"}"};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct ipcl_member member = {.name = "z"};
        struct ipcl_error error;
        cr_expect_eq(find(texts[i], &member), 0, "%zu", i);
        cr_expect_eq(member.state, IPCL_MEMBER_OTHER, "%zu", i);
        json_t *value = json->unpack(texts[i], strlen(texts[i]), &error);
        const char *text = json_string_value(json_object_get(value, "z"));
        cr_expect(text && !strncmp(text, "\xef\xbf\xbd", 3), "%zu: %s", i, error.text);
        json_decref(value);
    }
}

Test(serial_json, a_nul_is_never_json)
{
    static const char text[] = "{\"a\":1\0}";
    struct ipcl_member member = {.name = "z"};
    struct ipcl_error error;
    cr_assert_null(json->unpack(text, sizeof(text) - 1, &error));
    cr_assert_eq(json->find(text, sizeof(text) - 1, &member, 1), -1);
}

Test(serial_json, brackets_in_text_do_not_nest)
{
    char text[2048] = "{\"a\": \"";
    size_t head = strlen(text);
    struct ipcl_error error;
    memset(text + head, '[', 1000);
    strcpy(text + head + 1000, "\\\"[\"}");
    json_t *value = json->unpack(text, strlen(text), &error);
    cr_assert(value != NULL, "%s", error.text);
    json_decref(value);
}

Test(serial_json, packing_is_compact_and_takes_any_value)
{
    struct ipcl_error error;
    size_t size;
    json_t *value = json_pack("{s:[i,s]}", "a", 1, "\xc3\xa9");
    char *packed = json->pack(value, &size, &error);
    cr_assert_str_eq(packed, "{\"a\":[1,\"\xc3\xa9\"]}");
    cr_assert_eq(size, strlen(packed));
    free(packed);
    json_decref(value);
    packed = json->pack(json_null(), &size, &error);
    cr_assert_str_eq(packed, "null");
    free(packed);
}

Test(serial_json, a_value_that_holds_itself_is_refused)
{
    struct ipcl_error error;
    size_t size;
    json_t *outer = json_array(), *inner = json_array();
    json_array_append(outer, inner);
    json_array_append(inner, outer);
    cr_assert_null(json->pack(outer, &size, &error));
    json_array_clear(inner);
    json_decref(inner);
    json_decref(outer);
}
