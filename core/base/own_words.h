/* The words that this process was started with, in the memory where Linux wrote them: command line,
 * then environment (execve(2)). */
#ifndef BASE_OWN_WORDS_H
#define BASE_OWN_WORDS_H

#include <stdbool.h>

struct own_words {
    char *arguments;   /* of the command line, each with its NUL */
    char *environment; /* the environment's, behind them */
    char *end;
};
/* Finds them. Returns whether it could. */
bool own_words_find(struct own_words *words);

#endif
