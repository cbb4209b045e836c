/* The answer to a usage_request. */
#ifndef ENGINE_USAGE_H
#define ENGINE_USAGE_H

#include <jansson.h>
#include <stdbool.h>

/* When it was last asked for, and the processor time until then. */
struct usage {
    long long asked_ms;
    unsigned long long ticks;
};

/* A new reference, or NULL where memory is short. */
json_t *usage_content(struct usage *usage);

#endif
