/* What the system lets this process have. libzmq ends the whole process where it gets fewer
 * threads, descriptors or less memory than it asks for: so whoever makes a context asks first. */
#ifndef BASE_LIMITS_H
#define BASE_LIMITS_H

#include <stddef.h>

#include <ipcluster/error.h>

struct limits_need {
    const char *who; /* for the error: "ipcontroller" */
    size_t descriptors;
    size_t threads;
};
/* Whether a process may have as much beside what it has. Returns 0, or -1 with `error` set, which
 * names the limit. */
int limits_check(const struct limits_need *need, struct ipcl_error *error);

/* How many bytes of memory this process may still have: what its limits (ulimit -v, -d) and that of
 * its control group leave of this host's. */
size_t limits_memory(void);
/* How many file descriptors this process may have (ulimit -n): their numbers are lower than
 * that. */
long limits_descriptors(void);
/* How many of the numbers below `end` are free, counted until there are `enough`. Counts from the
 * highest, which are taken last: so it takes long only where few are free. Any thread. */
size_t limits_free_descriptors(long end, size_t enough);

#endif
