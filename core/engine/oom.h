/* How many processes Linux has killed for lack of memory, in this process's control group or on
 * this host. */
#ifndef ENGINE_OOM_H
#define ENGINE_OOM_H

#include <stddef.h>

#include "base/path.h"

/* Processes that have been killed so far; -1: not known. */
struct oom {
    char events[PATH_BYTES]; /* the file of the control group that counts them; "": there is none */
    long long group, host;
};

void oom_look(struct oom *oom);
/* Says how many were killed since then, as the rest of a sentence; "" if none was. */
void oom_describe(const struct oom *since, char *text, size_t size);

#endif
