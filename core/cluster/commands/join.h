/* Adding a set of engines to a cluster that an ipcluster of this machine supervises. */
#ifndef CLUSTER_COMMANDS_JOIN_H
#define CLUSTER_COMMANDS_JOIN_H

#include <stdbool.h>

#include "cluster/settings/cluster.h"
#include "cluster/control/progress.h"

/* Whether such an ipcluster runs and is not stopping it; `path` is then where it is asked. */
bool join_find(const struct cluster *cluster, char path[PATH_BYTES]);
/* Has it start the set that `argv` says, the words of ipcluster engines, and shows what becomes of
 * it: with --daemonize until it is up, otherwise until it has ended, which interrupts make it do.
 * Returns the exit code. */
int join_set(const struct cluster *cluster, const char *path, struct progress *progress,
             char **argv);
/* Has it stop the set of that name, and waits until it has. Returns the exit code. */
int join_stop(const char *path, struct progress *progress, const char *name);

#endif
