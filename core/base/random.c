/* Random identifiers and keys, from getrandom(2). */
#include "base/random.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

void random_bytes(void *bytes, size_t size)
{
    unsigned char *at = bytes;
    while (size) {
        ssize_t got = getrandom(at, size, 0);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0) {
            perror("getrandom");
            abort();
        }
        at += got;
        size -= (size_t)got;
    }
}

void random_hex(char *text, size_t digits)
{
    static const char alphabet[] = "0123456789abcdef";
    random_bytes(text, digits);
    for (size_t i = 0; i < digits; i++)
        text[i] = alphabet[text[i] & 15];
    text[digits] = '\0';
}

void random_uuid(char text[RANDOM_UUID_BYTES])
{
    unsigned char bytes[16];
    random_bytes(bytes, sizeof(bytes));
    bytes[6] = (unsigned char)((bytes[6] & 0x0f) | 0x40); /* version 4 (RFC 4122) */
    bytes[8] = (unsigned char)((bytes[8] & 0x3f) | 0x80);
    size_t at = 0;
    for (size_t i = 0; i < sizeof(bytes); i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            text[at++] = '-';
        snprintf(text + at, 3, "%02x", bytes[i]);
        at += 2;
    }
}
