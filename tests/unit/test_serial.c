/* What both serializers promise: packed and unpacked is the same, members are found without
 * unpacking, depth is bounded. */
#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "unit.h"

#define DEPTH_MAX  256
#define VALUES_MAX 1000000

static char names[][8] = {"json", "msgpack"};

#define BOTH(test)                                                                                 \
    ParameterizedTestParameters(serial, test)                                                      \
    {                                                                                              \
        return cr_make_param_array(char[8], names, 2, NULL);                                       \
    }

static const char header[] =
    "{\"msg_id\": \"a-1_000\", \"msg_type\": \"apply_request\", \"n\": -70000, \"big\": "
    "9007199254740993,"
    " \"real\": 0.1, \"none\": null, \"yes\": true, \"list\": [1, [2, {\"msg_id\": \"inner\"}]],"
    " \"text\": \"h\\u00e9 \\\"quoted\\\"\\n\", \"session\": \"s\"}";

BOTH(round_trip)
ParameterizedTest(char name[8], serial, round_trip)
{
    const struct ipcl_serial_operations *serial = unit_serial(name);
    struct ipcl_error error;
    size_t size;
    json_t *value = json_loads(header, 0, NULL);
    char *packed = serial->pack(value, &size, &error);
    cr_assert(packed != NULL, "%s", error.text);
    json_t *unpacked = serial->unpack(packed, size, &error);
    cr_assert(unpacked != NULL, "%s", error.text);
    cr_assert(json_equal(value, unpacked));
    json_decref(value);
    json_decref(unpacked);
    free(packed);
}

static bool member_is(const struct ipcl_member *member, const char *text)
{
    return member->state == IPCL_MEMBER_TEXT && member->size == strlen(text) &&
           !memcmp(member->data, text, member->size);
}

BOTH(members_are_found_at_the_top_only)
ParameterizedTest(char name[8], serial, members_are_found_at_the_top_only)
{
    const struct ipcl_serial_operations *serial = unit_serial(name);
    struct ipcl_error error;
    size_t size;
    json_t *value = json_loads(header, 0, NULL);
    char *packed = serial->pack(value, &size, &error);
    struct ipcl_member members[] = {{.name = "session"},
                                    {.name = "absent"},
                                    {.name = "msg_id"},
                                    {.name = "list"},
                                    {.name = "n"}};
    cr_assert_eq(serial->find(packed, size, members, 5), 0);
    cr_assert(member_is(&members[0], "s"));
    cr_assert_eq(members[1].state, IPCL_MEMBER_ABSENT);
    cr_assert(member_is(&members[2], "a-1_000"));
    cr_assert_eq(members[3].state, IPCL_MEMBER_OTHER);
    json_t *list = serial->unpack(members[3].data, members[3].size, &error);
    cr_assert(json_equal(list, json_object_get(value, "list")));
    json_t *number = serial->unpack(members[4].data, members[4].size, &error);
    cr_assert_eq(json_integer_value(number), -70000);
    json_decref(list);
    json_decref(number);
    json_decref(value);
    free(packed);
}

BOTH(nothing_but_a_mapping_has_members)
ParameterizedTest(char name[8], serial, nothing_but_a_mapping_has_members)
{
    const struct ipcl_serial_operations *serial = unit_serial(name);
    static const char *const texts[] = {"[]", "\"msg_id\"", "12", "null", "true", "1.5"};
    struct ipcl_member member = {.name = "msg_id"};
    struct ipcl_error error;
    size_t size;
    cr_assert_eq(serial->find("", 0, &member, 1), -1);
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        json_t *value = json_loads(texts[i], JSON_DECODE_ANY, NULL);
        char *packed = serial->pack(value, &size, &error);
        cr_assert_eq(serial->find(packed, size, &member, 1), -1, "%s", texts[i]);
        json_decref(value);
        free(packed);
    }
}

/* Lists in lists, `depth` of them. */
static json_t *nested(int depth)
{
    json_t *value = json_array();
    while (--depth) {
        json_t *outer = json_array();
        json_array_append_new(outer, value);
        value = outer;
    }
    return value;
}

/* The same packed by hand, as a packer may refuse it. */
static char *packed_nested(const char *name, int depth, size_t *size)
{
    bool json = !strcmp(name, "json");
    *size = json ? 2 * (size_t)depth : (size_t)depth;
    char *packed = malloc(*size);
    memset(packed, json ? '[' : '\x91', (size_t)depth);
    if (json)
        memset(packed + depth, ']', (size_t)depth);
    else
        packed[depth - 1] = '\x90';
    return packed;
}

BOTH(depth_is_bounded)
ParameterizedTest(char name[8], serial, depth_is_bounded)
{
    const struct ipcl_serial_operations *serial = unit_serial(name);
    struct ipcl_error error;
    size_t size;
    json_t *expected = nested(DEPTH_MAX);
    char *packed = packed_nested(name, DEPTH_MAX, &size);
    json_t *value = serial->unpack(packed, size, &error);
    cr_assert(value != NULL, "%s", error.text);
    cr_assert(json_equal(value, expected));
    json_decref(value);
    json_decref(expected);
    free(packed);
    for (int depth = DEPTH_MAX + 1; depth < 1000000; depth *= 9) {
        packed = packed_nested(name, depth, &size);
        cr_assert_null(serial->unpack(packed, size, &error));
        cr_assert(strstr(error.text, "deeper"), "%s", error.text);
        free(packed);
    }
}

/* A list of so many zeros, or of empty lists, packed by hand. */
static char *packed_list(const char *name, bool lists, uint32_t count, size_t *size)
{
    bool json = !strcmp(name, "json");
    const char *entry = !json ? lists ? "\x90" : "\0" : lists ? "[]," : "0,";
    size_t each = json ? strlen(entry) : 1, head = json ? 1 : 5;
    char *packed = malloc(head + count * each + 1);
    memcpy(packed, json ? "[" : "\xdd", 1);
    for (size_t i = 0; !json && i < 4; i++)
        packed[1 + i] = (char)(count >> (24 - 8 * i));
    for (size_t i = 0; i < count; i++)
        memcpy(packed + head + i * each, entry, each);
    *size = head + count * each;
    if (json)
        packed[*size - 1] = ']';
    return packed;
}

BOTH(the_number_of_values_is_bounded)
ParameterizedTest(char name[8], serial, the_number_of_values_is_bounded)
{
    const struct ipcl_serial_operations *serial = unit_serial(name);
    struct ipcl_error error;
    size_t size;
    for (int lists = 0; lists < 2; lists++) {
        for (uint32_t count = VALUES_MAX; count < 30000000; count *= 5) {
            char *packed = packed_list(name, lists, count, &size);
            cr_assert_null(serial->unpack(packed, size, &error));
            cr_assert(strstr(error.text, "more than 1000000 values"), "%s", error.text);
            free(packed);
        }
    }
    char *packed = packed_list(name, false, VALUES_MAX - 1, &size);
    json_t *value = serial->unpack(packed, size, &error);
    cr_assert(value != NULL, "%s", error.text);
    cr_assert_eq(json_array_size(value), VALUES_MAX - 1);
    json_decref(value);
    free(packed);
}

BOTH(a_deep_member_is_refused)
ParameterizedTest(char name[8], serial, a_deep_member_is_refused)
{
    const struct ipcl_serial_operations *serial = unit_serial(name);
    struct ipcl_member member = {.name = "z"};
    size_t size;
    char *deep = packed_nested(name, 100000, &size);
    char *packed = malloc(size + 16);
    bool json = !strcmp(name, "json");
    size_t head = (size_t)sprintf(packed, "%s",
                                  json ? "{\"a\":"
                                       : "\x81\xa1"
                                         "a");
    memcpy(packed + head, deep, size);
    if (json)
        packed[head + size] = '}';
    cr_assert_eq(serial->find(packed, head + size + json, &member, 1), -1);
    free(packed);
    free(deep);
}

BOTH(nothing_may_follow_the_value)
ParameterizedTest(char name[8], serial, nothing_may_follow_the_value)
{
    const struct ipcl_serial_operations *serial = unit_serial(name);
    struct ipcl_error error;
    bool json = !strcmp(name, "json");
    cr_assert_null(serial->unpack(json ? "1 2" : "\1\2", json ? 3 : 2, &error));
    cr_assert_null(serial->unpack("", 0, &error));
    cr_assert_null(serial->unpack(NULL, 0, &error));
}

/* What a person needs to find the value that cannot be read. */
BOTH(what_cannot_be_read_is_named)
ParameterizedTest(char name[8], serial, what_cannot_be_read_is_named)
{
    static const char json[] = "{\"a\": 1, \"list\": [{\"x\": {}, \"big\": 9223372036854775808}]}";
    static const char msgpack[] = "\x82\xa1"
                                  "a\x01\xa4list\x91\x82\xa1x\x80\xa3"
                                  "big\xcf\x80\x00\x00\x00\x00\x00\x00\x00";
    const struct ipcl_serial_operations *serial = unit_serial(name);
    struct ipcl_error error;
    bool is_json = !strcmp(name, "json");
    cr_assert_null(serial->unpack(is_json ? json : msgpack,
                                  is_json ? sizeof(json) - 1 : sizeof(msgpack) - 1, &error));
    cr_expect(strstr(error.text, "in member list.big: too big integer"), "%s", error.text);
}

BOTH(bytes_that_are_not_utf8_are_replaced)
ParameterizedTest(char name[8], serial, bytes_that_are_not_utf8_are_replaced)
{
    const struct ipcl_serial_operations *serial = unit_serial(name);
    struct ipcl_error error;
    bool json = !strcmp(name, "json");
    json_t *value = serial->unpack(json ? "[\"a\xff\xc3\xa9\xe2\x82\"]"
                                        : "\x91\xa6"
                                          "a\xff\xc3\xa9\xe2\x82",
                                   json ? 10 : 8, &error);
    cr_assert(value != NULL, "%s", error.text);
    cr_expect_str_eq(json_string_value(json_array_get(value, 0)),
                     "a\xef\xbf\xbd\xc3\xa9\xef\xbf\xbd\xef\xbf\xbd");
    json_decref(value);
}

BOTH(text_with_a_nul_is_kept_whole)
ParameterizedTest(char name[8], serial, text_with_a_nul_is_kept_whole)
{
    const struct ipcl_serial_operations *serial = unit_serial(name);
    struct ipcl_error error;
    size_t size;
    json_t *text = json_pack("[s#]", "a\0b", 3);
    char *packed = serial->pack(text, &size, &error);
    json_t *value = packed ? serial->unpack(packed, size, &error) : NULL;
    cr_assert(value != NULL, "%s", error.text);
    cr_expect(json_equal(value, text));
    json_decref(value);
    json_decref(text);
    free(packed);
}
