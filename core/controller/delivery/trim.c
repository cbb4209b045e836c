/* Giving memory back. The C library by itself keeps what lies between two pieces that are in use,
 * which after a burst is nearly all. */
#include "controller/delivery/trim.h"

#include <malloc.h>

#include "wire/loop.h"

/* If there were as many tasks and none has been left for a while, their memory and the hub's notes
 * about them are freed. */
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
