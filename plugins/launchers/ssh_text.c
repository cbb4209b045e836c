/* Text that grows, for what goes through a connection. */
#include "ssh_text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Not realloc(), which would leave a copy of keys behind. */
static bool make_room(struct text *text, size_t more)
{
    size_t room = text->room ? text->room : 512;
    if (text->size + more < text->room)
        return true;
    while (room <= text->size + more)
        room *= 2;
    char *bytes = malloc(room);
    if (!bytes) {
        text->failed = true;
        return false;
    }
    if (text->bytes) {
        memcpy(bytes, text->bytes, text->size);
        explicit_bzero(text->bytes, text->room);
        free(text->bytes);
    }
    text->bytes = bytes;
    text->room = room;
    return true;
}

void text_add_bytes(struct text *text, const char *bytes, size_t size)
{
    if (!make_room(text, size))
        return;
    memcpy(text->bytes + text->size, bytes, size);
    text->size += size;
    text->bytes[text->size] = '\0';
}

void text_add(struct text *text, const char *string)
{
    text_add_bytes(text, string, strlen(string));
}

void text_format(struct text *text, const char *format, ...)
{
    va_list values;
    char *made;
    va_start(values, format);
    int size = vasprintf(&made, format, values);
    va_end(values);
    if (size < 0) {
        text->failed = true;
        return;
    }
    text_add_bytes(text, made, (size_t)size);
    free(made);
}

void text_add_quoted(struct text *text, const char *word)
{
    text_add(text, "'");
    for (; *word; word++)
        text_add_bytes(text, *word == '\'' ? "'\\''" : word, *word == '\'' ? 4 : 1);
    text_add(text, "'");
}

void text_add_word(struct text *text, const char *word)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                "_-+=:,./@%";
    if (*word && !word[strspn(word, plain)])
        text_add(text, word);
    else
        text_add_quoted(text, word);
}

void text_clear(struct text *text)
{
    if (text->bytes)
        explicit_bzero(text->bytes, text->room);
    free(text->bytes);
    *text = (struct text){.bytes = NULL};
}
