/* What shells can offer as values of ipcluster's settings. */
#ifndef CLUSTER_OFFERS_H
#define CLUSTER_OFFERS_H

#include "cluster/cluster.h"

/* Returns 0 or -1 with `error` set. */
int offers_add(struct cluster *cluster, struct ipcl_error *error);

#endif
