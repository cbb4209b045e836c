/* What only MessagePack has: every code of its specification, and values that JSON cannot
 * express. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "unit.h"

static const struct ipcl_serial_operations *msgpack;

static void load(void)
{
    msgpack = unit_serial("msgpack");
}

TestSuite(serial_msgpack, .init = load);

/* A literal with NULs in it, and its size. */
#define BYTES(text) text, sizeof(text) - 1

/* Whether the bytes unpack to what the JSON text says. */
static bool is(const char *bytes, size_t size, const char *expected)
{
    struct ipcl_error error;
    json_t *value = msgpack->unpack(bytes, size, &error);
    json_t *wanted = json_loads(expected, JSON_DECODE_ANY, NULL);
    bool same = value && wanted && json_equal(value, wanted);
    json_decref(value);
    json_decref(wanted);
    return same;
}

Test(serial_msgpack, integers_of_every_width)
{
    cr_expect(is(BYTES("\x00"), "0"));
    cr_expect(is(BYTES("\x7f"), "127"));
    cr_expect(is(BYTES("\xff"), "-1"));
    cr_expect(is(BYTES("\xe0"), "-32"));
    cr_expect(is(BYTES("\xcc\xff"), "255"));
    cr_expect(is(BYTES("\xcd\xff\xff"), "65535"));
    cr_expect(is(BYTES("\xce\xff\xff\xff\xff"), "4294967295"));
    cr_expect(is(BYTES("\xcf\x7f\xff\xff\xff\xff\xff\xff\xff"), "9223372036854775807"));
    cr_expect(is(BYTES("\xd0\x80"), "-128"));
    cr_expect(is(BYTES("\xd1\x80\x00"), "-32768"));
    cr_expect(is(BYTES("\xd2\x80\x00\x00\x00"), "-2147483648"));
    cr_expect(is(BYTES("\xd3\xff\xff\xff\xff\xff\xff\xff\xfe"), "-2"));
}

Test(serial_msgpack, reals_and_what_json_has_no_word_for)
{
    cr_expect(is(BYTES("\xca\x3f\x00\x00\x00"), "0.5"));
    cr_expect(is(BYTES("\xcb\x3f\xe0\x00\x00\x00\x00\x00\x00"), "0.5"));
    cr_expect(is(BYTES("\xcb\x7f\xf8\x00\x00\x00\x00\x00\x00"), "\"nan\""), "NaN");
    cr_expect(is(BYTES("\xcb\xff\xf0\x00\x00\x00\x00\x00\x00"), "\"-inf\""), "minus infinity");
    cr_expect(is(BYTES("\xca\x7f\x80\x00\x00"), "\"inf\""), "infinity");
}

Test(serial_msgpack, text_and_bytes_as_base64)
{
    cr_expect(is(BYTES("\xa2hi"), "\"hi\""));
    cr_expect(is(BYTES("\xd9\x02hi"), "\"hi\""));
    cr_expect(is(BYTES("\xda\x00\x02hi"), "\"hi\""));
    cr_expect(is(BYTES("\xdb\x00\x00\x00\x02hi"), "\"hi\""));
    cr_expect(is(BYTES("\xc4\x00"), "\"\""));
    cr_expect(is(BYTES("\xc4\x01\xff"), "\"/w==\""));
    cr_expect(is(BYTES("\xc5\x00\x02hi"), "\"aGk=\""));
    cr_expect(is(BYTES("\xc6\x00\x00\x00\x03\x00\xff\xfb"), "\"AP/7\""));
    cr_expect(is(BYTES("\xc4\x04\x00\xff\xfb\x10"), "\"AP/7EA==\""));
    cr_expect(is(BYTES("\xc0"), "null"));
    cr_expect(is(BYTES("\xc2"), "false"));
    cr_expect(is(BYTES("\xc3"), "true"));
}

Test(serial_msgpack, containers_of_every_width)
{
    cr_expect(is(BYTES("\x92\x01\x02"), "[1, 2]"));
    cr_expect(is(BYTES("\xdc\x00\x02\x01\x02"), "[1, 2]"));
    cr_expect(is(BYTES("\xdd\x00\x00\x00\x02\x01\x02"), "[1, 2]"));
    cr_expect(is(BYTES("\x81\xa1"
                       "a\x90"),
                 "{\"a\": []}"));
    cr_expect(is(BYTES("\xde\x00\x01\xa1"
                       "a\x80"),
                 "{\"a\": {}}"));
    cr_expect(is(BYTES("\xdf\x00\x00\x00\x01\xa1"
                       "a\x80"),
                 "{\"a\": {}}"));
}

static void expect_error(const char *bytes, size_t size, const char *reason)
{
    struct ipcl_error error = {""};
    json_t *value = msgpack->unpack(bytes, size, &error);
    cr_expect(value == NULL && strstr(error.text, reason), "expected '%s': %s", reason, error.text);
    json_decref(value);
}

Test(serial_msgpack, what_has_no_meaning_is_an_error)
{
    expect_error(BYTES("\x81\x01\x02"), "key");
    expect_error(BYTES("\x81\xc4\x01\x61\x02"), "key");
    expect_error(BYTES("\x81\xa1\x00\x02"), "key");
    expect_error(BYTES("\xd4\x01\x00"), "extension");
    expect_error(BYTES("\xc7\x01\x05\x00"), "extension");
    expect_error(BYTES("\xc1"), "no meaning");
}

Test(serial_msgpack, a_length_beyond_the_end_costs_nothing)
{
    expect_error(BYTES("\xdd\xff\xff\xff\xff\x01"), "truncated");
    expect_error(BYTES("\xdf\xff\xff\xff\xff\xa1"
                       "a"),
                 "truncated");
    expect_error(BYTES("\xdb\xff\xff\xff\xff"
                       "a"),
                 "truncated");
    expect_error(BYTES("\xc6\xff\xff\xff\xff"
                       "a"),
                 "truncated");
    expect_error(BYTES("\xc9\xff\xff\xff\xff"
                       "a"),
                 "truncated");
}

Test(serial_msgpack, extensions_are_stepped_over_by_find)
{
    struct ipcl_member members[] = {{.name = "a"}, {.name = "e"}};
    cr_assert_eq(msgpack->find(BYTES("\x84\xa1"
                                     "e\xd5\x01xy\x07\x08\xa1"
                                     "f\xc7\x03\x01xyz\xa1"
                                     "a\xa1"
                                     "b"),
                               members, 2),
                 0);
    cr_expect_eq(members[0].state, IPCL_MEMBER_TEXT);
    cr_expect_eq(members[1].state, IPCL_MEMBER_OTHER);
    cr_expect_eq(members[1].size, 4);
}

Test(serial_msgpack, text_with_a_nul_is_left_packed)
{
    struct ipcl_member member = {.name = "a"};
    cr_assert_eq(msgpack->find(BYTES("\x81\xa1"
                                     "a\xa3x\x00y"),
                               &member, 1),
                 0);
    cr_expect_eq(member.state, IPCL_MEMBER_OTHER);
    cr_expect_eq(member.size, 4);
}

Test(serial_msgpack, a_value_too_deep_is_not_packed)
{
    struct ipcl_error error;
    size_t size;
    json_t *value = json_array();
    for (int i = 0; i < 300; i++) {
        json_t *outer = json_array();
        json_array_append_new(outer, value);
        value = outer;
    }
    cr_assert_null(msgpack->pack(value, &size, &error));
    cr_expect(strstr(error.text, "256"), "%s", error.text);
    json_decref(value);
}
