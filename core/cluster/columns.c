/* Tables that people read: each column is as wide as what stands in it, as names may be of any
 * length. */
#include "cluster/columns.h"

#include <stdbool.h>

#define GAP 2

/* Characters of UTF-8 text: bytes that continue one are not counted. */
static int width(const json_t *text)
{
    int count = 0;
    for (const char *at = json_string_value(text); at && *at; at++)
        count += ((unsigned char)*at & 0xC0) != 0x80;
    return count;
}

void columns_write(const json_t *rows, FILE *stream)
{
    int widths[COLUMNS_MAX] = {0};
    size_t i, column;
    const json_t *row, *text;
    json_array_foreach (rows, i, row)
        json_array_foreach (row, column, text)
            if (column < COLUMNS_MAX && width(text) > widths[column])
                widths[column] = width(text);
    json_array_foreach (rows, i, row) {
        json_array_foreach (row, column, text) {
            bool last = column + 1 == json_array_size(row);
            fprintf(stream, "%s%*s", json_string_value(text),
                    last ? 0 : widths[column] - width(text) + GAP, "");
        }
        fputc('\n', stream);
    }
}
