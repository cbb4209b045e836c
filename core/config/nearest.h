/* The known name that is nearest to a mistyped one, by edit distance. */
#ifndef CONFIG_NEAREST_H
#define CONFIG_NEAREST_H

#include <stddef.h>

#define NEAREST_BYTES 128 /* longer names are compared as far as this */

struct nearest {
    const char *wanted;
    char best[NEAREST_BYTES]; /* "" as long as nothing was offered */
    size_t distance;
};

void nearest_begin(struct nearest *nearest, const char *wanted);
/* Offers a candidate; it is copied if it is nearer than the earlier ones. */
void nearest_offer(struct nearest *nearest, const char *candidate);

#endif
