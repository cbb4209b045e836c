/* A set that the supervisor starts for an `ipcluster engines`, with the settings, environment and
 * folder of that command. */
#ifndef CLUSTER_SUPERVISOR_SUPERVISOR_JOINED_H
#define CLUSTER_SUPERVISOR_SUPERVISOR_JOINED_H

#include "cluster/supervisor/supervisor_private.h"

struct joined {
    struct engine_set *set;
    char **argv; /* the cluster's settings point into it */
    struct cluster cluster;
    struct workplace place;
    struct progress progress;
    struct caller *caller; /* whoever asked for it; NULL: it has gone */
    char label[ENGINE_SET_BYTES];
};

/* Messages about the set go to that caller from now on, until the set has ended or the caller has
 * gone. */
void supervisor_tell_caller(struct joined *joined, struct caller *caller);

#endif
