/* Pickles written and read by hand (the opcodes are those of Python's pickletools). */
#include "client/value_private.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* Opcodes of protocol 2, which every Python 3 reads. */
#define PROTO       "\x80\x02"
#define EMPTY_TUPLE ")"
#define NEWOBJ      "\x81"
#define BUILD       "b"
#define STOP        "."

void bytes_add(struct bytes *bytes, const void *data, size_t size)
{
    if (bytes->failed || !size)
        return;
    if (bytes->size + size > bytes->capacity) {
        size_t capacity = (bytes->size + size) * 2;
        char *grown = realloc(bytes->data, capacity);
        if (!grown) {
            bytes->failed = true;
            return;
        }
        bytes->data = grown;
        bytes->capacity = capacity;
    }
    memcpy(bytes->data + bytes->size, data, size);
    bytes->size += size;
}

void bytes_add_text(struct bytes *bytes, const char *text)
{
    bytes_add(bytes, text, strlen(text));
}

void bytes_free(struct bytes *bytes)
{
    free(bytes->data);
    *bytes = (struct bytes){0};
}

static void add_uint32(struct bytes *bytes, size_t value)
{
    unsigned char little[] = {value & 255, value >> 8 & 255, value >> 16 & 255, value >> 24 & 255};
    bytes_add(bytes, little, sizeof(little));
}

/* BINUNICODE, whose length has four bytes. */
static void add_unicode(struct bytes *bytes, const char *text)
{
    bytes->failed = bytes->failed || strlen(text) > UINT32_MAX;
    bytes_add_text(bytes, "X");
    add_uint32(bytes, strlen(text));
    bytes_add_text(bytes, text);
}

/* BININT */
static void add_integer(struct bytes *bytes, size_t value)
{
    bytes_add_text(bytes, "J");
    add_uint32(bytes, value);
}

void value_pickle_text(struct bytes *bytes, const char *text)
{
    bytes_add_text(bytes, PROTO);
    add_unicode(bytes, text);
    bytes_add_text(bytes, STOP);
}

void value_pickle_reference(struct bytes *bytes, const char *expression)
{
    bytes_add_text(bytes,
                   PROTO "cipyparallel.serialize.canning\nReference\n" EMPTY_TUPLE NEWOBJ "}(");
    add_unicode(bytes, "name");
    add_unicode(bytes, expression);
    add_unicode(bytes, "buffers");
    bytes_add_text(bytes, "]u" BUILD STOP);
}

void value_pickle_bytes_to_come(struct bytes *bytes)
{
    bytes_add_text(bytes,
                   PROTO "cipyparallel.serialize.canning\nCannedBytes\n" EMPTY_TUPLE NEWOBJ "}");
    add_unicode(bytes, "buffers");
    bytes_add_text(bytes, "]Nas" BUILD STOP);
}

void value_pickle_apply_info(struct bytes *bytes, size_t arguments, size_t buffers)
{
    bytes_add_text(bytes, PROTO "}(");
    add_unicode(bytes, "nargs");
    add_integer(bytes, arguments);
    add_unicode(bytes, "narg_bufs");
    add_integer(bytes, buffers);
    add_unicode(bytes, "kw_keys");
    bytes_add_text(bytes, "]u" STOP);
}

/* A little-endian number of `size` bytes. */
static uint64_t read_number(const unsigned char *bytes, size_t size)
{
    uint64_t value = 0;
    for (size_t i = size; i > 0; i--)
        value = value << 8 | bytes[i - 1];
    return value;
}

/* The bytes of length behind a str's opcode, 0 for another opcode. */
static size_t length_bytes(unsigned char opcode)
{
    switch (opcode) {
    case 0x8c: /* SHORT_BINUNICODE */
        return 1;
    case 'X': /* BINUNICODE */
        return 4;
    case 0x8d: /* BINUNICODE8 */
        return 8;
    default:
        return 0;
    }
}

static int copy_text(const unsigned char *at, const unsigned char *end, char **text)
{
    size_t width = length_bytes(*at);
    if (!width || (size_t)(end - at) <= width)
        return -1;
    uint64_t size = read_number(at + 1, width);
    if (size > (uint64_t)(end - at) - 1 - width)
        return -1;
    *text = malloc(size + 1);
    if (!*text)
        return -1;
    memcpy(*text, at + 1 + width, size);
    (*text)[size] = '\0';
    return 0;
}

int value_unpickle_text(const void *data, size_t size, char **text)
{
    const unsigned char *at = data, *end = at + size;
    *text = NULL;
    if (size < 4 || at[0] != 0x80)
        return -1;
    at += 2;
    if (*at == 0x95 && end - at > 9) /* FRAME, with its length in eight bytes */
        at += 9;
    if (end - at == 2 && at[0] == 'N' && at[1] == '.')
        return 0;
    return copy_text(at, end, text);
}
