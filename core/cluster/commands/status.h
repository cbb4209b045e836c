/* What is known of a cluster that runs. */
#ifndef CLUSTER_COMMANDS_STATUS_H
#define CLUSTER_COMMANDS_STATUS_H

#include <jansson.h>

#include "cluster/settings/cluster.h"

/* Asks all that know of the cluster that the settings name: what ipcluster status --json writes, a
 * new reference. Whatever does not answer is told to the user. */
json_t *status_gather(struct cluster *cluster);
/* A text of an object, "" where it has none of that name. */
const char *status_text(const json_t *object, const char *name);

#endif
