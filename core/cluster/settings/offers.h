/* What shells can offer as values of ipcluster's settings. */
#ifndef CLUSTER_SETTINGS_OFFERS_H
#define CLUSTER_SETTINGS_OFFERS_H

#include "cluster/launching/launchers.h"
#include "config/settings.h"

/* Adds these offers. `*launchers` is read when a shell asks; NULL: there are none yet. Returns 0 or
 * -1 with `error` set. */
int offers_add(struct settings *settings, struct launchers *const *launchers,
               struct ipcl_error *error);

#endif
