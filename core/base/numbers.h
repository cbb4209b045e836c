/* Numbers as people list them: "3", "5-7", "3, 5-7". */
#ifndef BASE_NUMBERS_H
#define BASE_NUMBERS_H

#include <stddef.h>

#define NUMBERS_MAX 1000000

struct numbers {
    int *list; /* freed with free() */
    size_t count;
};

/* Adds the numbers that `text` lists, in their order; "" lists none. Returns 0, or -1 if it is
 * anything else, a number is not between `least` and `most`, there would be more than NUMBERS_MAX
 * in all, or memory is short. */
int numbers_add(struct numbers *numbers, const char *text, int least, int most);

#endif
