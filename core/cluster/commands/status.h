/* What is known about a running cluster. */
#ifndef CLUSTER_COMMANDS_STATUS_H
#define CLUSTER_COMMANDS_STATUS_H

#include <jansson.h>

#include "cluster/settings/cluster.h"

/* Collects what ipcluster status --json writes about the cluster that the settings name: a new
 * reference. Tells the user what does not answer. */
json_t *status_gather(struct cluster *cluster);
/* A text of an object; "" if it has none with that name. */
const char *status_text(const json_t *object, const char *name);

#endif
