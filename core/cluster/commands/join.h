/* Adding a set of engines to a cluster that an ipcluster of this host supervises. */
#ifndef CLUSTER_COMMANDS_JOIN_H
#define CLUSTER_COMMANDS_JOIN_H

#include <stdbool.h>

#include "cluster/settings/cluster.h"
#include "cluster/control/progress.h"

/* Whether such an ipcluster runs and is not stopping the cluster; `path` is then its control
 * socket. */
bool join_find(const struct cluster *cluster, char path[PATH_BYTES]);
/* Has it start the set that `argv` describes, the words of ipcluster engines, and shows its
 * progress: with --daemonize until the set is up, otherwise until it has ended. Interrupts end it.
 * Returns the exit code. */
int join_set(const struct cluster *cluster, const char *path, struct progress *progress,
             char **argv);
/* Has it stop the set of that name, and waits until the set has ended. Returns the exit code. */
int join_stop(const char *path, struct progress *progress, const char *name);

#endif
