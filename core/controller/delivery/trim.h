/* Memory that is given back to the system after a burst of tasks. */
#ifndef CONTROLLER_DELIVERY_TRIM_H
#define CONTROLLER_DELIVERY_TRIM_H

#include <stddef.h>

/* Zeroed at first. */
struct trim {
    size_t most;      /* tasks at a time, since memory was given back */
    long long due_ms; /* when to give it back; 0: not now */
};

/* To be told how many tasks are here. Returns when to be called again, or CLOCK_NEVER. */
long long trim_tick(struct trim *trim, size_t count, long long now_ms);

#endif
