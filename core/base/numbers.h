/* Numbers as people list them: "3", "5-7", "3, 5-7". */
#ifndef BASE_NUMBERS_H
#define BASE_NUMBERS_H

#include <stddef.h>

#define NUMBERS_MAX 1000000

struct numbers {
    int *list; /* freed with free() */
    size_t count;
};

/* Adds what `text` lists, in its order; "" lists nothing. Returns 0, or -1 where it is anything
 * else, or has a number that is not between `least` and `most`, or there would be more than
 * NUMBERS_MAX in all, or memory is short. */
int numbers_add(struct numbers *numbers, const char *text, int least, int most);

#endif
