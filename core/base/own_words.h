/* The words that this process was started with, where Linux wrote them: command line and
 * environment, one behind the other (execve(2)). */
#ifndef BASE_OWN_WORDS_H
#define BASE_OWN_WORDS_H

#include <stdbool.h>

struct own_words {
    char *arguments;   /* of the command line, each with its NUL */
    char *environment; /* behind them */
    char *end;
};
/* Returns whether it is known where they are. */
bool own_words_find(struct own_words *words);

#endif
