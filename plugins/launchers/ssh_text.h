/* Text that grows, for what goes through a connection. */
#ifndef LAUNCHERS_SSH_TEXT_H
#define LAUNCHERS_SSH_TEXT_H

#include <stdbool.h>
#include <stddef.h>

/* Begins as zeros. */
struct text {
    char *bytes; /* ended by a NUL; NULL: none */
    size_t size;
    size_t room;
    bool failed; /* memory was short: the text is not whole */
};

void text_add_bytes(struct text *text, const char *bytes, size_t size);
void text_add(struct text *text, const char *string);
void text_format(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Adds `word` quoted as one word for a shell. */
void text_add_quoted(struct text *text, const char *word);
/* The same, but without quotes if none are needed. */
void text_add_word(struct text *text, const char *word);
/* Wipes it: there may be keys in it. */
void text_clear(struct text *text);

#endif
