/* The MessagePack serializer: msgpack-c packs; reading is done here, as msgpack-c nests to 32
 * levels only and allocates what a length claims before the bytes are there.
 *
 * What MessagePack knows and json_t does not: a bin is text where it is valid UTF-8 and an error
 * otherwise; an integer above int64 becomes a real; NaN and the infinities become null; keys are
 * text without NUL; an extension type is an error. Of a key that is there twice, find takes the
 * first and unpack the last, as Python does. */
#include <ipcluster/serial.h>

#include <math.h>
#include <msgpack/pack.h>
#include <msgpack/sbuffer.h>
#include <stdlib.h>
#include <string.h>

#include "utf8.h"

#define DEPTH_MAX 256

/* What is left to read. */
struct scan {
    const unsigned char *at;
    const unsigned char *end;
};

/* One value without what it contains. */
struct item {
    enum {
        ITEM_NULL,
        ITEM_BOOL,
        ITEM_INT,
        ITEM_REAL,
        ITEM_TEXT,
        ITEM_EXTENSION,
        ITEM_LIST,
        ITEM_MAPPING
    } type;
    int64_t integer;  /* ITEM_INT, and ITEM_BOOL as 0 or 1 */
    double real;      /* ITEM_REAL */
    const char *data; /* ITEM_TEXT */
    size_t size; /* bytes of ITEM_TEXT and ITEM_EXTENSION, entries of ITEM_LIST and ITEM_MAPPING */
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
        item->type = ITEM_REAL;
        item->real = (double)number;
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
        item->type = ITEM_TEXT;
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

/* Steps over a value and notes where it is. Text with a NUL is left packed, so that nobody cuts it
 * there. */
static bool take_member(struct scan *scan, struct ipcl_member *member)
{
    const unsigned char *start = scan->at;
    struct item item;
    if (!take_item(scan, &item))
        return false;
    if (item.type == ITEM_TEXT) {
        if (!utf8_valid(item.data, item.size))
            return false;
        if (!memchr(item.data, 0, item.size)) {
            member->state = IPCL_MEMBER_TEXT;
            member->data = item.data;
            member->size = item.size;
            return true;
        }
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
    struct scan scan = {(const unsigned char *)data, (const unsigned char *)data + size};
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
    json_object_foreach((json_t *)value, key, member)
    {
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

/* Returns 0, or not 0 where memory is short or `value` nests too deep. */
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

static json_t *fail(struct ipcl_error *error, const char *reason)
{
    ipcl_error_set(error, "not MessagePack that this program reads: %s", reason);
    return NULL;
}

static json_t *unpack_value(struct scan *scan, int depth, struct ipcl_error *error);

static json_t *unpack_list(struct scan *scan, size_t count, int depth, struct ipcl_error *error)
{
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++) {
        json_t *value = unpack_value(scan, depth, error);
        if (!value || json_array_append_new(list, value)) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}

/* Adds one key and its value. Returns 0 or -1 with `error` set. */
static int unpack_member(struct scan *scan, json_t *mapping, int depth, struct ipcl_error *error)
{
    struct item item;
    if (!take_item(scan, &item) || item.type != ITEM_TEXT || memchr(item.data, 0, item.size) ||
        !utf8_valid(item.data, item.size)) {
        fail(error, "a key is not text");
        return -1;
    }
    char *key = strndup(item.data, item.size);
    json_t *value = key ? unpack_value(scan, depth, error) : NULL;
    int status = value ? json_object_set_new_nocheck(mapping, key, value) : -1;
    free(key);
    return status;
}

static json_t *unpack_mapping(struct scan *scan, size_t count, int depth, struct ipcl_error *error)
{
    json_t *mapping = json_object();
    for (size_t i = 0; i < count; i++) {
        if (unpack_member(scan, mapping, depth, error)) {
            json_decref(mapping);
            return NULL;
        }
    }
    return mapping;
}

static json_t *unpack_value(struct scan *scan, int depth, struct ipcl_error *error)
{
    struct item item;
    if (!take_item(scan, &item))
        return fail(error, "it is truncated, or a byte has no meaning");
    if ((item.type == ITEM_LIST || item.type == ITEM_MAPPING) && depth == DEPTH_MAX)
        return fail(error, "it nests deeper than 256");
    switch (item.type) {
    case ITEM_NULL:
        return json_null();
    case ITEM_BOOL:
        return json_boolean(item.integer);
    case ITEM_INT:
        return json_integer(item.integer);
    case ITEM_REAL:
        return isfinite(item.real) ? json_real(item.real) : json_null();
    case ITEM_TEXT:
        return utf8_valid(item.data, item.size) ? json_stringn_nocheck(item.data, item.size)
                                                : fail(error, "bytes are not UTF-8 text");
    case ITEM_LIST:
        return unpack_list(scan, item.size, depth + 1, error);
    case ITEM_MAPPING:
        return unpack_mapping(scan, item.size, depth + 1, error);
    default:
        return fail(error, "it has an extension type");
    }
}

static json_t *unpack(const char *data, size_t size, struct ipcl_error *error)
{
    struct scan scan = {(const unsigned char *)data, (const unsigned char *)data + size};
    ipcl_error_set(error, "out of memory"); /* where nothing below says more */
    if (!size)
        return fail(error, "there are no bytes");
    json_t *value = unpack_value(&scan, 0, error);
    if (value && scan.at != scan.end) {
        json_decref(value);
        return fail(error, "bytes follow the value");
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
