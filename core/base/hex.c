/* Hexadecimal text. */
#include "base/hex.h"

#include <limits.h>
#include <string.h>

#define ROW(digit)                                                                                 \
    digit "0" digit "1" digit "2" digit "3" digit "4" digit "5" digit "6" digit "7" digit          \
          "8" digit "9" digit "a" digit "b" digit "c" digit "d" digit "e" digit "f"
/* Each byte's two digits. */
static const char pairs[] = ROW("0") ROW("1") ROW("2") ROW("3") ROW("4") ROW("5") ROW("6") ROW("7")
    ROW("8") ROW("9") ROW("a") ROW("b") ROW("c") ROW("d") ROW("e") ROW("f");

void hex_write(const unsigned char *bytes, size_t count, char *text)
{
    for (size_t i = 0; i < count; i++)
        memcpy(text + 2 * i, pairs + 2 * bytes[i], 2);
}

/* One more than a digit's value; 0 of what is none. */
static const unsigned char values[UCHAR_MAX + 1] = {
    ['0'] = 1, ['1'] = 2,  ['2'] = 3,  ['3'] = 4,  ['4'] = 5,  ['5'] = 6,  ['6'] = 7,  ['7'] = 8,
    ['8'] = 9, ['9'] = 10, ['a'] = 11, ['b'] = 12, ['c'] = 13, ['d'] = 14, ['e'] = 15, ['f'] = 16};

int hex_read(const char *text, unsigned char *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        int high = values[(unsigned char)text[2 * i]], low = values[(unsigned char)text[2 * i + 1]];
        if (!high || !low)
            return -1;
        bytes[i] = (unsigned char)((high - 1) << 4 | (low - 1));
    }
    return 0;
}
