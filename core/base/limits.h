/* Limits of the system for this process. libzmq ends the whole process if it gets fewer threads,
 * fewer descriptors or less memory than it asks for. So code that makes a context checks first. */
#ifndef BASE_LIMITS_H
#define BASE_LIMITS_H

#include <stddef.h>

#include <ipcluster/error.h>

struct limits_need {
    const char *who; /* for the error: "ipcontroller" */
    size_t descriptors;
    size_t threads;
};
/* Whether a process may have this much in addition to what it has. Returns 0, or -1 with `error`
 * set, which names the limit. */
int limits_check(const struct limits_need *need, struct ipcl_error *error);

/* How many more bytes of memory this process may have: what its limits (ulimit -v, -d) and its
 * control group's leave of this host's memory. */
size_t limits_memory(void);
/* How many file descriptors this process may have (ulimit -n). All their numbers are lower. */
long limits_descriptors(void);
/* How many of the descriptor numbers below `end` are free; stops counting at `enough`. Begins with
 * the highest, which the system gives last: so it takes long only if few are free. Any thread. */
size_t limits_free_descriptors(long end, size_t enough);

#endif
