/* Settings of ipyparallel's ipcluster that have another name here, or no effect. */
#ifndef CLUSTER_SETTINGS_ACCEPTED_H
#define CLUSTER_SETTINGS_ACCEPTED_H

#include "config/settings.h"

/* Adds them; the launchers' tables may come later. Returns 0 or -1 with `error` set. */
int cluster_accepted_add(struct settings *settings, struct ipcl_error *error);

#endif
