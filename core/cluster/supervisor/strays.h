/* Processes that a supervisor had started and not yet noted in its state file when it was
 * killed. */
#ifndef CLUSTER_SUPERVISOR_STRAYS_H
#define CLUSTER_SUPERVISOR_STRAYS_H

#include <uv.h>

#include "cluster/launching/children.h"
#include "cluster/control/progress.h"
#include "cluster/state/state.h"

/* Ends those of a state's supervisor, which has gone, and runs the loop until they have: politely,
 * and where that takes too long, not. Call it before anything else is looked after. */
void strays_end(uv_loop_t *loop, struct children *children, struct progress *progress,
                const struct state *state);

#endif
