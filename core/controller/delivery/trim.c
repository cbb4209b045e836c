/* Giving memory back. The C library by itself keeps what lies between two pieces that are in use,
 * which after a burst is nearly all. */
#include "controller/delivery/trim.h"

#include <malloc.h>

#include "wire/loop.h"

/* When so many tasks were here and none is left for a while, their memory, and what the hub had
 * noted of them, goes. */
#define MANY_TASKS 100000
#define IDLE_MS    1000

long long trim_tick(struct trim *trim, size_t count, long long now_ms)
{
    if (count > trim->most)
        trim->most = count;
    if (count || trim->most < MANY_TASKS) {
        trim->due_ms = 0;
        return CLOCK_NEVER;
    }
    if (!trim->due_ms)
        trim->due_ms = now_ms + IDLE_MS;
    if (now_ms < trim->due_ms)
        return trim->due_ms;
    malloc_trim(0);
    *trim = (struct trim){0};
    return CLOCK_NEVER;
}
