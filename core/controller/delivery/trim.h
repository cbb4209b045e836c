/* Gives memory back to the system after a burst of tasks. */
#ifndef CONTROLLER_DELIVERY_TRIM_H
#define CONTROLLER_DELIVERY_TRIM_H

#include <stddef.h>

/* Zeroed at first. */
struct trim {
    size_t most;      /* the most tasks at one time since memory was given back last */
    long long due_ms; /* when to give it back; 0: not now */
};

/* Call with the present number of tasks. Returns the time of the next call, or CLOCK_NEVER. */
long long trim_tick(struct trim *trim, size_t count, long long now_ms);

#endif
