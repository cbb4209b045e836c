/* Which Python engines run in, for the files that start them. */
#ifndef CLUSTER_SUPERVISOR_PYTHONS_H
#define CLUSTER_SUPERVISOR_PYTHONS_H

#include "cluster/watch/hub_watch.h"
#include "cluster/control/progress.h"

/* Shows it for the registered engines of a set, each Python once. */
void pythons_say(struct progress *progress, const struct hub_watch *hub, const char *engine_set);

#endif
