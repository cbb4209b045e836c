/* The decoders under noise: headers and contents are cut, changed and joined at random, with the
 * same random numbers each time. Decoders do not crash or read out of bounds, which the sanitizer
 * builds check, and what they accept makes sense. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "unit.h"

#define ROUNDS    20000
#define BYTES_MAX 1024

static const char *const seeds[] = {
    "{\"msg_id\": \"a_1\", \"msg_type\": \"apply_request\", \"username\": \"u\", \"session\": "
    "\"s\", \"date\": \"2026\", \"version\": \"5.3\"}",
    "{\"after\": [\"x\", \"y\"], \"follow\": [], \"retries\": 3, \"timeout\": 1.5e3, \"targets\": "
    "null, \"nested\": {\"a\": [{\"b\": -1}]}}",
    "{\"code\": \"print(1)\\n\\u00e9\\ud83d\\ude00\", \"silent\": false, \"user_expressions\": "
    "{\"x\": \"y\"}, \"n\": 9223372036854775807}",
    "[[[[[[1, 2.0, \"three\", null, true, {}]]]]], -128, 65536, 4294967296]",
    "{\"metadata\": {\"scale\": [1e308, -9223372036854775808], \"ab\": \"\\u0000\"}, \"msg_id\": "
    "\"\\ufffd\"}",
};
#define SEED_COUNT (sizeof(seeds) / sizeof(seeds[0]))

/* xorshift64 (Marsaglia, 2003): the same numbers on every machine. */
static uint64_t state = 0x9e3779b97f4a7c15;

static size_t below(size_t limit)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (size_t)(state % limit);
}

/* A packed value. */
struct packed {
    char *data;
    size_t size;
};

static void change(char *data, size_t *size, const struct packed *other)
{
    static const char telling[] =
        "{}[]\",:\\u0e-.\x00\x7f\x80\x81\x91\xa1\xc1\xc4\xc7\xcf\xd9\xdb\xdd\xdf\xff";
    size_t at = below(*size), count = below(8) + 1;
    switch (below(6)) {
    case 0:
        data[at] = (char)below(256);
        break;
    case 1:
        data[at] = telling[below(sizeof(telling))];
        break;
    case 2: /* cut off */
        *size = at ? at : 1;
        break;
    case 3: /* leave some out */
        count = count < *size - at ? count : *size - at - 1;
        memmove(data + at, data + at + count, *size - at - count);
        *size -= count;
        break;
    case 4: /* double some */
        if (*size + count > BYTES_MAX || at + count > *size)
            break;
        memmove(data + at + count, data + at, *size - at);
        *size += count;
        break;
    case 5: /* joined with the end of another */
        count = below(other->size) + 1;
        if (at + count > BYTES_MAX)
            break;
        memcpy(data + at, other->data + other->size - count, count);
        *size = at + count;
        break;
    }
}

/* The bytes are in a block of exactly their size, so that AddressSanitizer sees a read beyond
 * them. */
static void decode(const struct ipcl_serial_operations *serial, const char *data, size_t size)
{
    struct ipcl_member members[] = {
        {.name = "msg_id"}, {.name = "msg_type"}, {.name = "after"}, {.name = "zz"}};
    struct ipcl_error error = {""};
    char *block = malloc(size);
    memcpy(block, data, size);
    if (!serial->find(block, size, members, 4))
        for (size_t i = 0; i < 4; i++)
            cr_assert(
                members[i].state == IPCL_MEMBER_ABSENT ||
                (members[i].data >= block && members[i].data + members[i].size <= block + size));
    json_t *value = serial->unpack(block, size, &error);
    cr_assert(value || *error.text, "refused without a reason");
    /* find() finds the members of everything that unpack() takes as a mapping. */
    if (json_is_object(value)) {
        cr_assert_eq(serial->find(block, size, members, 4), 0);
        for (size_t i = 0; i < 4; i++)
            cr_assert_eq(members[i].state == IPCL_MEMBER_ABSENT,
                         !json_object_get(value, members[i].name));
    }
    json_decref(value);
    free(block);
}

static void shower(const char *name)
{
    const struct ipcl_serial_operations *serial = unit_serial(name);
    struct packed packed[SEED_COUNT];
    struct ipcl_error error;
    for (size_t i = 0; i < SEED_COUNT; i++) {
        json_t *value = json_loads(seeds[i], JSON_ALLOW_NUL, NULL);
        packed[i].data = serial->pack(value, &packed[i].size, &error);
        cr_assert(packed[i].data != NULL, "%s", error.text);
        json_decref(value);
    }
    for (size_t round = 0; round < ROUNDS; round++) {
        char data[BYTES_MAX];
        const struct packed *from = &packed[round % SEED_COUNT];
        size_t size = from->size;
        memcpy(data, from->data, size);
        for (size_t changes = below(4) + 1; changes; changes--)
            change(data, &size, &packed[below(SEED_COUNT)]);
        decode(serial, data, size);
    }
    for (size_t i = 0; i < SEED_COUNT; i++)
        free(packed[i].data);
}

Test(decoder_noise, json)
{
    shower("json");
}

Test(decoder_noise, msgpack)
{
    shower("msgpack");
}

static void cut_everywhere(const char *name)
{
    const struct ipcl_serial_operations *serial = unit_serial(name);
    struct ipcl_error error;
    for (size_t i = 0; i < SEED_COUNT; i++) {
        size_t size;
        json_t *value = json_loads(seeds[i], JSON_ALLOW_NUL, NULL);
        char *data = serial->pack(value, &size, &error);
        for (size_t kept = 1; kept < size; kept++) {
            cr_assert_null(serial->unpack(data, kept, &error));
            decode(serial, data, kept);
        }
        free(data);
        json_decref(value);
    }
}

Test(decoder_noise, truncated_json_is_never_accepted)
{
    cut_everywhere("json");
}

Test(decoder_noise, truncated_msgpack_is_never_accepted)
{
    cut_everywhere("msgpack");
}
