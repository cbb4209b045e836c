/* What a controller takes from the connection files of the previous one, and what it does not. */
#ifndef CONTROLLER_REUSE_H
#define CONTROLLER_REUSE_H

#include "config/settings.h"
#include "controller/exchange/controller.h"
#include "controller/files.h"

/* Takes ports and keys from the files, and the secret keys from theirs. Present settings replace
 * what the files say. If reconnecting clients and engines could not follow, that is an error which
 * names both. Returns 0 or -1 with `error` set. */
int reuse_take(const struct files *files, const struct settings *settings,
               struct controller *controller, struct ipcl_error *error);

#endif
