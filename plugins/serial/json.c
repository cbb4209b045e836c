/* The JSON serializer: jansson packs and unpacks; members are found by a scan that builds nothing.
 *
 * Bytes that are not UTF-8 are read as U+FFFD. NaN and infinities, lone surrogates, and numbers
 * that json_t cannot hold are errors, which name the member. If a key is there twice, find takes
 * the first and unpack the last, as Python does. */
#include <ipcluster/serial.h>

#include <endian.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "utf8.h"

#define DEPTH_MAX  256
#define VALUES_MAX 1000000
/* How many names an error gives for its place, and how many bytes of each. */
#define PLACE_DEPTH_MAX 8
#define PLACE_NAME_MAX  48

/* What is left to read. */
struct scan {
    const char *at;
    const char *end;
};

static void skip_space(struct scan *scan)
{
    while (scan->at < scan->end &&
           (*scan->at == ' ' || *scan->at == '\n' || *scan->at == '\r' || *scan->at == '\t'))
        scan->at++;
}

/* Eight times a byte. */
#define EIGHT(byte) (0x0101010101010101ULL * (byte))
/* Of eight bytes the highest bit of each that is less than `limit`, at most 128. Of those behind
 * the first such byte some may be set, too. */
#define LESS(word, limit) (((word)-EIGHT(limit)) & ~(word)&EIGHT(0x80))

/* The first of eight characters that does not mean itself is that of the lowest bit. */
static uint64_t not_plain(const char *at)
{
    uint64_t word;
    memcpy(&word, at, sizeof(word));
    word = le64toh(word);
    return LESS(word, ' ') | LESS(word ^ EIGHT('"'), 1) | LESS(word ^ EIGHT('\\'), 1);
}

/* Steps over characters that mean themselves. */
static void skip_plain(struct scan *scan)
{
    const char *at = scan->at, *end = scan->end; /* which, as locals, stay in registers */
    for (; end - at >= 8; at += 8) {
        uint64_t other = not_plain(at);
        if (other) {
            scan->at = at + __builtin_ctzll(other) / 8;
            return;
        }
    }
    while (at < end && *at != '"' && *at != '\\' && (unsigned char)*at >= ' ')
        at++;
    scan->at = at;
}

/* Steps over white space and `expected`. */
static bool take(struct scan *scan, char expected)
{
    skip_space(scan);
    if (scan->at == scan->end || *scan->at != expected)
        return false;
    scan->at++;
    return true;
}

/* Steps over text from its opening quote on. `inside` receives what stands between the quotes. */
static bool take_text(struct scan *scan, struct scan *inside, bool *escaped)
{
    if (!take(scan, '"'))
        return false;
    *escaped = false;
    inside->at = scan->at;
    for (skip_plain(scan); scan->at < scan->end && *scan->at == '\\'; skip_plain(scan)) {
        *escaped = true;
        scan->at++;
        if (scan->at == scan->end || !memchr("\"\\/bfnrtu", *scan->at, 9))
            return false;
        scan->at++;
    }
    if (scan->at == scan->end || *scan->at != '"')
        return false;
    inside->end = scan->at++;
    return true;
}

/* Steps over a number, true, false or null. The reader of a number checks its grammar. */
static bool take_word(struct scan *scan)
{
    const char *start = scan->at;
    const char *word = *start == 't' ? "true" : *start == 'f' ? "false" : "null";
    if (*start == *word) {
        size_t length = strlen(word);
        if ((size_t)(scan->end - start) < length || memcmp(start, word, length))
            return false;
        scan->at += length;
        return true;
    }
    while (scan->at < scan->end && memchr("0123456789+-.eE", *scan->at, 15))
        scan->at++;
    return scan->at > start && (*start == '-' || (*start >= '0' && *start <= '9'));
}

static bool take_value(struct scan *scan, int depth);

/* Steps over the rest of a mapping or list, after its opening bracket. */
static bool take_container(struct scan *scan, bool mapping, int depth)
{
    struct scan inside;
    bool escaped;
    char closing = mapping ? '}' : ']';
    if (take(scan, closing))
        return true;
    do {
        if (mapping && !(take_text(scan, &inside, &escaped) && take(scan, ':')))
            return false;
        if (!take_value(scan, depth))
            return false;
    } while (take(scan, ','));
    return take(scan, closing);
}

static bool take_value(struct scan *scan, int depth)
{
    struct scan inside;
    bool escaped;
    skip_space(scan);
    if (scan->at == scan->end)
        return false;
    if (*scan->at == '"')
        return take_text(scan, &inside, &escaped);
    if (*scan->at != '{' && *scan->at != '[')
        return take_word(scan);
    if (depth == DEPTH_MAX)
        return false;
    return take_container(scan, *scan->at++ == '{', depth + 1);
}

/* Whether the text between two quotes is `name`. */
static bool is_name(const struct scan *inside, bool escaped, const char *name)
{
    size_t size = (size_t)(inside->end - inside->at), same_bytes = 0;
    if (!escaped) {
        while (same_bytes < size && inside->at[same_bytes] == name[same_bytes])
            same_bytes++;
        return same_bytes == size && !name[size];
    }
    json_t *text = json_loadb(inside->at - 1, size + 2, JSON_DECODE_ANY, NULL);
    bool same = text && !strcmp(json_string_value(text), name);
    json_decref(text);
    return same;
}

static struct ipcl_member *find_member(struct ipcl_member *members, size_t count,
                                       const struct scan *key, bool escaped)
{
    for (size_t i = 0; i < count; i++)
        if (members[i].state == IPCL_MEMBER_ABSENT && is_name(key, escaped, members[i].name))
            return &members[i];
    return NULL;
}

/* Steps over a value and notes where it is. */
static bool take_member(struct scan *scan, struct ipcl_member *member)
{
    struct scan inside;
    bool escaped;
    skip_space(scan);
    const char *start = scan->at;
    if (start < scan->end && *start == '"') {
        if (!take_text(scan, &inside, &escaped))
            return false;
        if (!escaped && utf8_valid(inside.at, (size_t)(inside.end - inside.at))) {
            member->state = IPCL_MEMBER_TEXT;
            member->data = inside.at;
            member->size = (size_t)(inside.end - inside.at);
            return true;
        }
    } else if (!take_value(scan, 1)) {
        return false;
    }
    member->state = IPCL_MEMBER_OTHER;
    member->data = start;
    member->size = (size_t)(scan->at - start);
    return true;
}

static int find(const char *data, size_t size, struct ipcl_member *members, size_t count)
{
    struct scan scan = {data, data + size}, key;
    size_t missing = count;
    bool escaped;
    for (size_t i = 0; i < count; i++) {
        members[i].state = IPCL_MEMBER_ABSENT;
        members[i].data = NULL;
        members[i].size = 0;
    }
    if (!size || !take(&scan, '{'))
        return -1;
    if (take(&scan, '}'))
        return 0;
    do {
        if (!take_text(&scan, &key, &escaped) || !take(&scan, ':'))
            return -1;
        struct ipcl_member *member = find_member(members, count, &key, escaped);
        if (member ? !take_member(&scan, member) : !take_value(&scan, 1))
            return -1;
        if (member && !--missing)
            return 0;
    } while (take(&scan, ','));
    return take(&scan, '}') ? 0 : -1;
}

static char *pack(const json_t *value, size_t *size, struct ipcl_error *error)
{
    char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
    if (!text) {
        ipcl_error_set(error,
                       "a value cannot be packed as JSON: it contains itself, or memory is short");
        return NULL;
    }
    *size = strlen(text);
    return text;
}

/* Refuses too deep nesting, for which jansson's bound is far higher, and too many values, which
 * take many times the memory of their bytes. Returns 0 or -1 with `error` set. */
static int check_bounds(const char *data, size_t size, struct ipcl_error *error)
{
    const char *end = data + size;
    bool text = false;
    int depth = 0, values = 1;
    for (const char *at = data; at < end; at++) {
        bool opens = !text && (*at == '{' || *at == '[');
        if (*at == '"')
            text = !text;
        else if (text && *at == '\\')
            at++;
        else if (opens && ++depth > DEPTH_MAX)
            return ipcl_error_set(error, "JSON nests deeper than %d", DEPTH_MAX);
        else if (!text && (*at == '}' || *at == ']'))
            depth--;
        /* A bracket counts for the first entry, also if there is none. */
        if ((opens || (!text && *at == ',')) && ++values > VALUES_MAX)
            return ipcl_error_set(error,
                                  "JSON of more than %d values: send them as a buffer, or in "
                                  "several messages",
                                  VALUES_MAX);
    }
    return 0;
}

/* The names that lead to a byte. */
struct place {
    struct scan names[PLACE_DEPTH_MAX];
    size_t depth;
};

/* Follows brackets and names up to a byte; what stands there need not be JSON. */
static void find_place(const char *data, size_t position, struct place *place)
{
    struct scan scan = {data, data + position}, text, colon;
    bool escaped;
    place->depth = 0;
    while (scan.at < scan.end) {
        char byte = *scan.at;
        if (byte == '"') {
            if (!take_text(&scan, &text, &escaped))
                return;
            colon = scan;
            if (place->depth && place->depth <= PLACE_DEPTH_MAX && take(&colon, ':'))
                place->names[place->depth - 1] = text;
            continue;
        }
        if ((byte == '{' || byte == '[') && place->depth++ < PLACE_DEPTH_MAX)
            place->names[place->depth - 1] = (struct scan){0};
        else if ((byte == '}' || byte == ']') && place->depth)
            place->depth--;
        scan.at++;
    }
}

/* "in member a.b: ", or nothing. */
static void describe_place(const char *data, size_t position, char *text, size_t room)
{
    struct place place;
    size_t used = 0;
    find_place(data, position, &place);
    *text = '\0';
    for (size_t i = 0; i < place.depth && i < PLACE_DEPTH_MAX && used + PLACE_NAME_MAX + 16 < room;
         i++) {
        const struct scan *name = &place.names[i];
        size_t size = (size_t)(name->end - name->at);
        if (name->at && size <= PLACE_NAME_MAX && utf8_valid(name->at, size))
            used += (size_t)snprintf(text + used, room - used, "%s%.*s", used ? "." : "in member ",
                                     (int)size, name->at);
    }
    if (used)
        snprintf(text + used, room - used, ": ");
}

static json_t *fail(const char *data, size_t size, const json_error_t *reason,
                    struct ipcl_error *error)
{
    char place[PLACE_DEPTH_MAX * (PLACE_NAME_MAX + 1) + 32];
    size_t position = reason->position > 0 ? (size_t)reason->position : 0;
    describe_place(data, position < size ? position : size, place, sizeof(place));
    bool readable = utf8_valid(reason->text, strlen(reason->text));
    ipcl_error_set(error, "not JSON: %s%s at byte %zu", place,
                   readable ? reason->text : "bytes that have no meaning", position);
    return NULL;
}

static json_t *unpack(const char *data, size_t size, struct ipcl_error *error)
{
    json_error_t reason;
    if (!size) {
        ipcl_error_set(error, "not JSON: there are no bytes");
        return NULL;
    }
    /* Jansson passes over a NUL that follows a number. */
    if (memchr(data, '\0', size)) {
        ipcl_error_set(error, "not JSON: there is a NUL byte");
        return NULL;
    }
    if (check_bounds(data, size, error))
        return NULL;
    json_t *value = json_loadb(data, size, JSON_DECODE_ANY | JSON_ALLOW_NUL, &reason);
    if (value || utf8_valid(data, size))
        return value ? value : fail(data, size, &reason, error);
    char *repaired = utf8_repair(data, size, &size);
    if (!repaired) {
        ipcl_error_set(error, "out of memory");
        return NULL;
    }
    value = json_loadb(repaired, size, JSON_DECODE_ANY | JSON_ALLOW_NUL, &reason);
    if (!value)
        fail(repaired, size, &reason, error);
    free(repaired);
    return value;
}

static const struct ipcl_serial_operations operations = {
    .traits_name = "json",
    .unpack_name = "json",
    .pack = pack,
    .unpack = unpack,
    .find = find,
};

extern const struct ipcl_plugin ipcl_plugin;
IPCL_EXPORT const struct ipcl_plugin ipcl_plugin = {
    IPCL_PLUGIN_HEAD,
    .kind = "serial",
    .name = "json",
    .version = "1.0",
    .summary = "message parts as JSON, ipyparallel's default",
    .license = "BSD-2-Clause",
    .author = "the ipcluster developers",
    .operations = &operations,
};
