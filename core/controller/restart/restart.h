/* What a controller does in addition if there was a previous one. Each of these tables is a hook
 * into one thread, which knows nothing else of this folder. */
#ifndef CONTROLLER_RESTART_RESTART_H
#define CONTROLLER_RESTART_RESTART_H

#include "controller/hub/hub.h"
#include "controller/records/records.h"
#include "controller/schedulers/task_hooks.h"

extern const struct hub_hooks hub_restart_hooks;         /* hub_restore.c */
extern const struct task_hooks task_restart_hooks;       /* task_restore.c */
extern const struct records_hooks records_restart_hooks; /* records_restore.c */

/* Called when it is known whether this controller takes a previous one's place, before its threads
 * are made. */
void restart_attach(struct controller *controller);

#endif
