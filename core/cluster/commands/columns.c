/* Tables that people read. Each column is as wide as its longest text, because names may have any
 * length; on a terminal no line is wider than the terminal. */
#include "cluster/commands/columns.h"

#include <limits.h>
#include <stdbool.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define GAP 2

/* Bytes that continue a character of UTF-8. */
static bool continues(char byte)
{
    return ((unsigned char)byte & 0xC0) == 0x80;
}

static int width(const json_t *text)
{
    int count = 0;
    for (const char *at = json_string_value(text); at && *at; at++)
        count += !continues(*at);
    return count;
}

/* Writes up to `room` characters, with "..." at the end if there were more. Control characters,
 * which names may have, become question marks. Returns how many characters it wrote. */
static int write_cell(const json_t *text, int room, FILE *stream)
{
    int wide = width(text), shown = 0;
    bool cut = wide > room;
    for (const char *at = json_string_value(text); at && *at; at++) {
        bool next = !continues(*at);
        if (next && cut && shown + (int)strlen("...") >= room)
            break;
        shown += next;
        fputc((unsigned char)*at < ' ' || *at == 0x7F ? '?' : *at, stream);
    }
    return cut ? shown + fprintf(stream, "%.*s", room - shown, "...") : shown;
}

static int terminal_width(FILE *stream)
{
    struct winsize size;
    return isatty(fileno(stream)) && ioctl(fileno(stream), TIOCGWINSZ, &size) == 0 && size.ws_col
               ? size.ws_col
               : INT_MAX;
}

void columns_write(const json_t *rows, FILE *stream)
{
    int widths[COLUMNS_MAX] = {0}, whole = terminal_width(stream);
    size_t i, column;
    const json_t *row, *text;
    json_array_foreach (rows, i, row)
        json_array_foreach (row, column, text)
            if (column < COLUMNS_MAX && width(text) > widths[column])
                widths[column] = width(text);
    json_array_foreach (rows, i, row) {
        int room = whole;
        json_array_foreach (row, column, text) {
            bool last = column + 1 == json_array_size(row);
            int gap = last ? 0 : widths[column] - width(text) + GAP;
            room -= write_cell(text, room, stream);
            gap = gap < room ? gap : room;
            fprintf(stream, "%*s", gap, "");
            room -= gap;
        }
        fputc('\n', stream);
    }
}
