/* Processes that a supervisor had started and not yet noted in its state file when it was
 * killed. */
#ifndef CLUSTER_SUPERVISOR_STRAYS_H
#define CLUSTER_SUPERVISOR_STRAYS_H

#include <uv.h>

#include "cluster/launching/children.h"
#include "cluster/control/progress.h"
#include "cluster/state/state.h"

/* Ends those of a state's supervisor, which has gone, and runs the loop until they have ended. It
 * asks them to end, and kills them if that takes too long. Call it before the loop has any other
 * work. */
void strays_end(uv_loop_t *loop, struct children *children, struct progress *progress,
                const struct state *state);

#endif
