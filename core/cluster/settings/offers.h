/* What shells can offer as values of ipcluster's settings. */
#ifndef CLUSTER_SETTINGS_OFFERS_H
#define CLUSTER_SETTINGS_OFFERS_H

#include "cluster/launching/launchers.h"
#include "config/settings.h"

/* Adds these offers. The launchers are those at `*launchers` when they are asked for, NULL while
 * there are none. Returns 0 or -1 with `error` set. */
int offers_add(struct settings *settings, struct launchers *const *launchers,
               struct ipcl_error *error);

#endif
