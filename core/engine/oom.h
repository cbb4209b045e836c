/* What the kernel has killed for memory, where this process is. */
#ifndef ENGINE_OOM_H
#define ENGINE_OOM_H

#include <stddef.h>

#include "base/path.h"

/* Processes that have been killed so far; -1: the kernel does not say. */
struct oom {
    char events[PATH_BYTES]; /* the file of the control group that counts them; "": there is none */
    long long group, host;
};

void oom_look(struct oom *oom);
/* Says how many since then, as what follows in a sentence; "" where there are none. */
void oom_describe(const struct oom *since, char *text, size_t size);

#endif
