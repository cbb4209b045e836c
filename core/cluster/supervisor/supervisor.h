/* The supervisor: starts a controller and engines through their launchers, waits until all have
 * registered, keeps the state file, and stops everything in order. One event loop, one thread. */
#ifndef CLUSTER_SUPERVISOR_SUPERVISOR_H
#define CLUSTER_SUPERVISOR_SUPERVISOR_H

#include <stdbool.h>

#include "cluster/settings/cluster.h"
#include "cluster/supervisor/daemon.h"
#include "cluster/control/progress.h"
#include "cluster/state/state.h"

/* Starts a cluster (or, with `engines_only`, engines for a controller that runs) and stays until it
 * has ended. Returns the program's exit code. The daemon is told when the cluster is up. */
int supervisor_run(struct cluster *cluster, struct progress *progress, struct daemon *daemon,
                   bool engines_only);
/* Takes over what the state file of a supervisor that has gone names, and stops it. Returns the
 * exit code. */
int supervisor_clean_up(struct cluster *cluster, struct progress *progress,
                        const struct state *state);
/* A word for a state file's cluster: starting, running or stopping; stale if its supervisor was
 * killed and it runs on; stopped if nothing of it runs; elsewhere if it is on another host. */
const char *supervisor_state_word(struct cluster *cluster, const struct state *state);

#endif
