/* The MessagePack serializer: msgpack-c packs; reading is done here, as msgpack-c nests to 32
 * levels only and allocates what a length claims before the bytes are there.
 *
 * Values that json_t does not have become what Jupyter's JSON makes of them: a bin becomes its
 * base64 text; NaN and the infinities become "nan", "inf" and "-inf"; bytes in text that are not
 * UTF-8 become U+FFFD. These are errors, which name the member: an integer above int64, a key that
 * is no text or has a NUL, and an extension type. If a key is there twice, find takes the first and
 * unpack the last, as Python does. */
#include <ipcluster/serial.h>

#include <math.h>
#include <msgpack/pack.h>
#include <msgpack/sbuffer.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "utf8.h"

#define DEPTH_MAX  256
#define VALUES_MAX 1000000 /* they take many times the memory of their bytes */
/* How many names an error gives for its place, and how many bytes of each. */
#define PLACE_DEPTH_MAX 8
#define PLACE_NAME_MAX  48

/* What is left to read. */
struct scan {
    const unsigned char *at;
    const unsigned char *end;
    size_t values; /* how many were unpacked */
};

/* One value without what it contains. */
struct item {
    enum {
        ITEM_NULL,
        ITEM_BOOL,
        ITEM_INT,
        ITEM_TOO_BIG, /* an integer above int64 */
        ITEM_REAL,
        ITEM_TEXT,
        ITEM_BYTES,
        ITEM_EXTENSION,
        ITEM_LIST,
        ITEM_MAPPING
    } type;
    int64_t integer;  /* ITEM_INT, and ITEM_BOOL as 0 or 1 */
    double real;      /* ITEM_REAL */
    const char *data; /* ITEM_TEXT and ITEM_BYTES */
    size_t size; /* their bytes, an ITEM_EXTENSION's, or entries of ITEM_LIST and ITEM_MAPPING */
};

/* Reads `bytes` bytes (at most 8), big-endian, as all of MessagePack is. */
static bool take_number(struct scan *scan, size_t bytes, uint64_t *number)
{
    if ((size_t)(scan->end - scan->at) < bytes)
        return false;
    *number = 0;
    while (bytes--)
        *number = *number << 8 | *scan->at++;
    return true;
}

/* Reads a length of `bytes` bytes, and steps over `extra` and that many bytes. */
static bool take_bytes(struct scan *scan, size_t bytes, size_t extra, struct item *item)
{
    uint64_t size = item->size;
    if ((bytes && !take_number(scan, bytes, &size)) ||
        (uint64_t)(scan->end - scan->at) < size + extra)
        return false;
    item->data = (const char *)scan->at;
    item->size = size;
    scan->at += size + extra;
    return true;
}

/* Reads the number of entries. Each takes a byte at least, so that a claim beyond the end is
 * refused here. */
static bool take_count(struct scan *scan, size_t bytes, struct item *item)
{
    uint64_t count = item->size;
    if (bytes && !take_number(scan, bytes, &count))
        return false;
    item->size = count;
    return count <= (uint64_t)(scan->end - scan->at);
}

static bool take_integer(struct scan *scan, unsigned char code, struct item *item)
{
    uint64_t number;
    size_t bytes = (size_t)1 << (code & 3);
    if (!take_number(scan, bytes, &number))
        return false;
    bool has_sign = code >= 0xd0;
    if (!has_sign && number > INT64_MAX) {
        item->type = ITEM_TOO_BIG;
        return true;
    }
    unsigned unused_bits = (unsigned)(64 - 8 * bytes);
    item->integer = has_sign ? (int64_t)(number << unused_bits) >> unused_bits : (int64_t)number;
    item->type = ITEM_INT;
    return true;
}

static bool take_real(struct scan *scan, unsigned char code, struct item *item)
{
    uint64_t number;
    item->type = ITEM_REAL;
    if (!take_number(scan, code == 0xca ? 4 : 8, &number))
        return false;
    if (code == 0xca) {
        uint32_t bits = (uint32_t)number;
        float real;
        memcpy(&real, &bits, sizeof(real));
        item->real = real;
    } else {
        memcpy(&item->real, &number, sizeof(number));
    }
    return true;
}

/* Reads one item whose first byte has its length in it. */
static bool take_short_item(struct scan *scan, unsigned char code, struct item *item)
{
    if (code < 0x80 || code >= 0xe0) {
        item->type = ITEM_INT;
        item->integer = (signed char)code;
        return true;
    }
    item->size = code & 15;
    item->type = code < 0x90 ? ITEM_MAPPING : code < 0xa0 ? ITEM_LIST : ITEM_TEXT;
    if (item->type != ITEM_TEXT)
        return take_count(scan, 0, item);
    item->size = code & 31;
    return take_bytes(scan, 0, 0, item);
}

/* Reads one item; the MessagePack specification lists the codes. */
static bool take_item(struct scan *scan, struct item *item)
{
    if (scan->at == scan->end)
        return false;
    unsigned char code = *scan->at++;
    *item = (struct item){.type = ITEM_NULL};
    if (code < 0xc0 || code >= 0xe0)
        return take_short_item(scan, code, item);
    switch (code) {
    case 0xc0:
        return true;
    case 0xc2:
    case 0xc3:
        item->type = ITEM_BOOL;
        item->integer = code & 1;
        return true;
    case 0xc4: /* bin */
    case 0xc5:
    case 0xc6:
        item->type = ITEM_BYTES;
        return take_bytes(scan, (size_t)1 << (code - 0xc4), 0, item);
    case 0xc7: /* ext */
    case 0xc8:
    case 0xc9:
        item->type = ITEM_EXTENSION;
        return take_bytes(scan, (size_t)1 << (code - 0xc7), 1, item);
    case 0xca:
    case 0xcb:
        return take_real(scan, code, item);
    case 0xd4: /* fixext */
    case 0xd5:
    case 0xd6:
    case 0xd7:
    case 0xd8:
        item->type = ITEM_EXTENSION;
        item->size = (size_t)1 << (code - 0xd4);
        return take_bytes(scan, 0, 1, item);
    case 0xd9: /* str */
    case 0xda:
    case 0xdb:
        item->type = ITEM_TEXT;
        return take_bytes(scan, (size_t)1 << (code - 0xd9), 0, item);
    case 0xdc:
    case 0xdd:
        item->type = ITEM_LIST;
        return take_count(scan, code == 0xdc ? 2 : 4, item);
    case 0xde:
    case 0xdf:
        item->type = ITEM_MAPPING;
        return take_count(scan, code == 0xde ? 2 : 4, item);
    case 0xc1: /* never used */
        return false;
    default: /* 0xcc to 0xd3 */
        return take_integer(scan, code, item);
    }
}

/* Steps over one value. */
static bool skip_value(struct scan *scan, int depth)
{
    struct item item;
    if (!take_item(scan, &item))
        return false;
    if (item.type != ITEM_LIST && item.type != ITEM_MAPPING)
        return true;
    if (depth == DEPTH_MAX)
        return false;
    for (size_t i = 0; i < item.size; i++)
        if ((item.type == ITEM_MAPPING && !skip_value(scan, depth + 1)) ||
            !skip_value(scan, depth + 1))
            return false;
    return true;
}

static struct ipcl_member *find_member(struct ipcl_member *members, size_t count,
                                       const struct item *key)
{
    if (key->type != ITEM_TEXT)
        return NULL;
    for (size_t i = 0; i < count; i++)
        if (members[i].state == IPCL_MEMBER_ABSENT && key->size == strlen(members[i].name) &&
            !memcmp(key->data, members[i].name, key->size))
            return &members[i];
    return NULL;
}

/* Steps over a value and notes where it is. Text with a NUL is left packed, so that it is not cut
 * there, and so is text that has to be repaired. */
static bool take_member(struct scan *scan, struct ipcl_member *member)
{
    const unsigned char *start = scan->at;
    struct item item;
    if (!take_item(scan, &item))
        return false;
    if (item.type == ITEM_TEXT && utf8_valid(item.data, item.size) &&
        !memchr(item.data, 0, item.size)) {
        member->state = IPCL_MEMBER_TEXT;
        member->data = item.data;
        member->size = item.size;
        return true;
    }
    scan->at = start;
    if (!skip_value(scan, 1))
        return false;
    member->state = IPCL_MEMBER_OTHER;
    member->data = (const char *)start;
    member->size = (size_t)(scan->at - start);
    return true;
}

static int find(const char *data, size_t size, struct ipcl_member *members, size_t count)
{
    struct scan scan = {(const unsigned char *)data, (const unsigned char *)data + size, 0};
    struct item mapping, key;
    size_t missing = count;
    for (size_t i = 0; i < count; i++) {
        members[i].state = IPCL_MEMBER_ABSENT;
        members[i].data = NULL;
        members[i].size = 0;
    }
    if (!size || !take_item(&scan, &mapping) || mapping.type != ITEM_MAPPING)
        return -1;
    for (size_t i = 0; i < mapping.size && missing; i++) {
        const unsigned char *start = scan.at;
        if (!take_item(&scan, &key))
            return -1;
        struct ipcl_member *member = find_member(members, count, &key);
        scan.at = start;
        if (!skip_value(&scan, 1) || (member ? !take_member(&scan, member) : !skip_value(&scan, 1)))
            return -1;
        missing -= !!member;
    }
    return 0;
}

static int pack_value(msgpack_packer *packer, const json_t *value, int depth);

static int pack_text(msgpack_packer *packer, const char *text, size_t size)
{
    return msgpack_pack_str(packer, size) || msgpack_pack_str_body(packer, text, size);
}

static int pack_mapping(msgpack_packer *packer, const json_t *value, int depth)
{
    const char *key;
    json_t *member;
    if (msgpack_pack_map(packer, json_object_size(value)))
        return -1;
    /* json_object_foreach() asks for a json_t that is not const, though it only reads. */
    json_object_foreach ((json_t *)value, key, member) {
        if (pack_text(packer, key, strlen(key)) || pack_value(packer, member, depth))
            return -1;
    }
    return 0;
}

static int pack_list(msgpack_packer *packer, const json_t *value, int depth)
{
    if (msgpack_pack_array(packer, json_array_size(value)))
        return -1;
    for (size_t i = 0; i < json_array_size(value); i++)
        if (pack_value(packer, json_array_get(value, i), depth))
            return -1;
    return 0;
}

/* Returns 0, or not 0 if memory is short or `value` nests too deep. */
static int pack_value(msgpack_packer *packer, const json_t *value, int depth)
{
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        return depth == DEPTH_MAX ? -1 : pack_mapping(packer, value, depth + 1);
    case JSON_ARRAY:
        return depth == DEPTH_MAX ? -1 : pack_list(packer, value, depth + 1);
    case JSON_STRING:
        return pack_text(packer, json_string_value(value), json_string_length(value));
    case JSON_INTEGER:
        return msgpack_pack_int64(packer, json_integer_value(value));
    case JSON_REAL:
        return msgpack_pack_double(packer, json_real_value(value));
    case JSON_TRUE:
        return msgpack_pack_true(packer);
    case JSON_FALSE:
        return msgpack_pack_false(packer);
    default:
        return msgpack_pack_nil(packer);
    }
}

static char *pack(const json_t *value, size_t *size, struct ipcl_error *error)
{
    msgpack_sbuffer buffer;
    msgpack_packer packer;
    msgpack_sbuffer_init(&buffer);
    msgpack_packer_init(&packer, &buffer, msgpack_sbuffer_write);
    if (pack_value(&packer, value, 0)) {
        msgpack_sbuffer_destroy(&buffer);
        ipcl_error_set(
            error,
            "a value cannot be packed as MessagePack: it nests deeper than %d, or memory is short",
            DEPTH_MAX);
        return NULL;
    }
    *size = buffer.size;
    return msgpack_sbuffer_release(&buffer);
}

/* Where a value stands: the names of members that lead to it, the innermost first. */
struct place {
    const struct place *outer;
    const char *name; /* NULL in a list */
    size_t size;
    int depth;
};

/* Writes "a.b" and returns its length. */
static size_t write_place(const struct place *place, char *text, size_t room)
{
    if (!place || place->depth > PLACE_DEPTH_MAX)
        return place ? write_place(place->outer, text, room) : 0;
    size_t used = write_place(place->outer, text, room);
    if (place->name && place->size <= PLACE_NAME_MAX && utf8_valid(place->name, place->size))
        used += (size_t)snprintf(text + used, room - used, "%s%.*s", used ? "." : "",
                                 (int)place->size, place->name);
    return used;
}

static json_t *fail(struct ipcl_error *error, const struct place *place, const char *reason)
{
    char text[PLACE_DEPTH_MAX * (PLACE_NAME_MAX + 1) + 1];
    bool named = write_place(place, text, sizeof(text)) > 0;
    ipcl_error_set(error, "not MessagePack that this program reads: %s%s%s%s",
                   named ? "in member " : "", named ? text : "", named ? ": " : "", reason);
    return NULL;
}

static json_t *unpack_value(struct scan *scan, const struct place *place, struct ipcl_error *error);

static json_t *unpack_list(struct scan *scan, size_t count, const struct place *place,
                           struct ipcl_error *error)
{
    struct place inside = {.outer = place, .depth = place->depth + 1};
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++) {
        json_t *value = unpack_value(scan, &inside, error);
        if (!value || json_array_append_new(list, value)) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}

static json_t *unpack_text(const struct item *item)
{
    if (utf8_valid(item->data, item->size))
        return json_stringn_nocheck(item->data, item->size);
    size_t size;
    char *repaired = utf8_repair(item->data, item->size, &size);
    json_t *value = repaired ? json_stringn_nocheck(repaired, size) : NULL;
    free(repaired);
    return value;
}

static json_t *unpack_bytes(const struct item *item)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    char *text = item->size < SIZE_MAX / 2 ? malloc(item->size / 3 * 4 + 5) : NULL, *to = text;
    const unsigned char *at = (const unsigned char *)item->data, *end = at + item->size;
    for (; text && at < end; at += 3) {
        size_t left = (size_t)(end - at);
        unsigned group =
            (unsigned)at[0] << 16 | (left > 1 ? (unsigned)at[1] << 8 : 0) | (left > 2 ? at[2] : 0);
        *to++ = digits[group >> 18];
        *to++ = digits[group >> 12 & 63];
        *to++ = left > 1 ? digits[group >> 6 & 63] : '=';
        *to++ = left > 2 ? digits[group & 63] : '=';
    }
    json_t *value = text ? json_stringn_nocheck(text, (size_t)(to - text)) : NULL;
    free(text);
    return value;
}

static json_t *unpack_real(double real)
{
    if (isfinite(real))
        return json_real(real);
    return json_string(isnan(real) ? "nan" : real > 0 ? "inf" : "-inf");
}

/* Adds one key and its value. Returns 0 or -1 with `error` set. */
static int unpack_member(struct scan *scan, json_t *mapping, const struct place *place,
                         struct ipcl_error *error)
{
    struct item item;
    if (!take_item(scan, &item) || item.type != ITEM_TEXT || memchr(item.data, 0, item.size)) {
        fail(error, place, "a key is not text");
        return -1;
    }
    struct place inside = {place, item.data, item.size, place->depth + 1};
    json_t *text = unpack_text(&item);
    json_t *value = text ? unpack_value(scan, &inside, error) : NULL;
    int status = value ? json_object_set_new_nocheck(mapping, json_string_value(text), value) : -1;
    json_decref(text);
    return status;
}

static json_t *unpack_mapping(struct scan *scan, size_t count, const struct place *place,
                              struct ipcl_error *error)
{
    json_t *mapping = json_object();
    for (size_t i = 0; i < count; i++) {
        if (unpack_member(scan, mapping, place, error)) {
            json_decref(mapping);
            return NULL;
        }
    }
    return mapping;
}

static json_t *unpack_value(struct scan *scan, const struct place *place, struct ipcl_error *error)
{
    struct item item;
    if (!take_item(scan, &item))
        return fail(error, place, "it is truncated, or a byte has no meaning");
    if ((item.type == ITEM_LIST || item.type == ITEM_MAPPING) && place->depth == DEPTH_MAX)
        return fail(error, place, "it nests deeper than 256");
    if (++scan->values > VALUES_MAX)
        return fail(error, place,
                    "it has more than 1000000 values: send them as a buffer, or in several "
                    "messages");
    switch (item.type) {
    case ITEM_NULL:
        return json_null();
    case ITEM_BOOL:
        return json_boolean(item.integer);
    case ITEM_INT:
        return json_integer(item.integer);
    case ITEM_TOO_BIG:
        return fail(error, place, "too big integer, beyond 64 bits with a sign");
    case ITEM_REAL:
        return unpack_real(item.real);
    case ITEM_TEXT:
        return unpack_text(&item);
    case ITEM_BYTES:
        return unpack_bytes(&item);
    case ITEM_LIST:
        return unpack_list(scan, item.size, place, error);
    case ITEM_MAPPING:
        return unpack_mapping(scan, item.size, place, error);
    default:
        return fail(error, place, "it has an extension type");
    }
}

static json_t *unpack(const char *data, size_t size, struct ipcl_error *error)
{
    struct scan scan = {(const unsigned char *)data, (const unsigned char *)data + size, 0};
    struct place top = {0};
    ipcl_error_set(error, "out of memory"); /* unless the code below says more */
    if (!size)
        return fail(error, &top, "there are no bytes");
    json_t *value = unpack_value(&scan, &top, error);
    if (value && scan.at != scan.end) {
        json_decref(value);
        return fail(error, &top, "bytes follow the value");
    }
    return value;
}

static const struct ipcl_serial_operations operations = {
    .traits_name = "msgpack.packb",
    .unpack_name = "msgpack.unpackb",
    .pack = pack,
    .unpack = unpack,
    .find = find,
};

extern const struct ipcl_plugin ipcl_plugin;
IPCL_EXPORT const struct ipcl_plugin ipcl_plugin = {
    IPCL_PLUGIN_HEAD,
    .kind = "serial",
    .name = "msgpack",
    .version = "1.0",
    .summary = "message parts as MessagePack, smaller than JSON",
    .license = "BSD-2-Clause",
    .author = "the ipcluster developers",
    .operations = &operations,
};
