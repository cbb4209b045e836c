/* Sets the keys of a controller's connections, and where its counters begin. Main thread. */
#ifndef CONTROLLER_KEYS_H
#define CONTROLLER_KEYS_H

#include "config/settings.h"
#include "controller/exchange/controller.h"
#include "controller/files.h"

/* Makes new CurveZMQ keys if the controller encrypts; or, if files are to be reused and exist,
 * takes ports and keys from them (reuse.h). Under the lock. Returns 0 or -1 with `error` set. */
int keys_take(const struct files *files, const struct settings *settings,
              struct controller *controller, struct ipcl_error *error);

#endif
