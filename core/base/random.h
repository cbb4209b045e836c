/* Random identifiers and keys, from the operating system's generator. */
#ifndef BASE_RANDOM_H
#define BASE_RANDOM_H

#include <stddef.h>

#define RANDOM_UUID_BYTES 37

/* Fills `bytes`. Aborts if the system gives no random numbers: nothing would be safe then. */
void random_bytes(void *bytes, size_t size);
/* A random (version 4) UUID as text with a NUL: 8-4-4-4-12 hexadecimal digits. */
void random_uuid(char text[RANDOM_UUID_BYTES]);
/* `digits` hexadecimal digits and a NUL. */
void random_hex(char *text, size_t digits);

#endif
