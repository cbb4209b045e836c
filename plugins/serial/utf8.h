/* Checks whether bytes are UTF-8 as RFC 3629 defines it, and makes UTF-8 of bytes that are not. */
#ifndef SERIAL_UTF8_H
#define SERIAL_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* How many bytes the character at `at` has; 0 if they are no character. RFC 3629, section 4. */
static inline size_t utf8_character(const unsigned char *at, const unsigned char *end)
{
    static const struct {
        unsigned char first, last, second_first, second_last, length;
    } rows[] = {
        {0xc2, 0xdf, 0x80, 0xbf, 2}, {0xe0, 0xe0, 0xa0, 0xbf, 3}, {0xe1, 0xec, 0x80, 0xbf, 3},
        {0xed, 0xed, 0x80, 0x9f, 3}, {0xee, 0xef, 0x80, 0xbf, 3}, {0xf0, 0xf0, 0x90, 0xbf, 4},
        {0xf1, 0xf3, 0x80, 0xbf, 4}, {0xf4, 0xf4, 0x80, 0x8f, 4},
    };
    if (*at < 0x80)
        return 1;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (*at < rows[i].first || *at > rows[i].last)
            continue;
        if (end - at < rows[i].length || at[1] < rows[i].second_first ||
            at[1] > rows[i].second_last)
            return 0;
        for (size_t j = 2; j < rows[i].length; j++)
            if ((at[j] & 0xc0) != 0x80)
                return 0;
        return rows[i].length;
    }
    return 0;
}

/* A malloc'ed copy in which each byte that is not part of valid UTF-8 is U+FFFD, as ipyparallel's
 * JSON reads such bytes; *repaired is its size. NULL if memory is short. */
static inline char *utf8_repair(const char *data, size_t size, size_t *repaired)
{
    static const char replacement[] = "\xef\xbf\xbd";
    const unsigned char *at = (const unsigned char *)data, *end = at + size;
    char *copy = size < SIZE_MAX / 3 ? malloc(3 * size + 1) : NULL;
    *repaired = 0;
    while (copy && at < end) {
        size_t length = utf8_character(at, end);
        memcpy(copy + *repaired, length ? (const char *)at : replacement, length ? length : 3);
        *repaired += length ? length : 3;
        at += length ? length : 1;
    }
    return copy;
}

static inline bool utf8_valid(const char *data, size_t size)
{
    const unsigned char *at = (const unsigned char *)data, *end = at + size;
    uint64_t eight;
    while (at < end) {
        /* Most text is ASCII: eight bytes at a time. */
        if (end - at >= 8 && !(memcpy(&eight, at, 8), eight & 0x8080808080808080)) {
            at += 8;
            continue;
        }
        size_t length = utf8_character(at, end);
        if (!length)
            return false;
        at += length;
    }
    return true;
}

#endif
