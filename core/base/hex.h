/* Bytes as hexadecimal text. */
#ifndef BASE_HEX_H
#define BASE_HEX_H

#include <stddef.h>

/* Writes 2 * `count` lower-case digits, without a NUL. */
void hex_write(const unsigned char *bytes, size_t count, char *text);
/* Reads 2 * `count` digits. Returns 0, or -1 if another character is among them. */
int hex_read(const char *text, unsigned char *bytes, size_t count);

#endif
