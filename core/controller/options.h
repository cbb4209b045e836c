/* The settings of ipcontroller, named as ipyparallel's are, and how they set up the controller. */
#ifndef CONTROLLER_OPTIONS_H
#define CONTROLLER_OPTIONS_H

#include "config/profile.h"
#include "config/settings.h"
#include "controller/exchange/controller.h"
#include "plugin/registry.h"
#include "plugin/services.h"

/* The value of Session.key that means a new random key. */
#define RANDOM_KEY SETTINGS_RANDOM_KEY

extern const struct settings_program options_program;

/* Adds the controller's tables. Returns 0 or -1 with `error` set. */
int options_add(struct settings *settings, struct ipcl_error *error);

/* Fills the controller from loaded settings: where to listen, keys, limits. Loads the serializer,
 * and the store that is asked for, with the services in `store_host`. Calls settings_finish().
 * Returns 0 or -1 with `error` set. */
int options_apply(struct settings *settings, const struct profile *profile,
                  struct registry *registry, struct services_host *store_host,
                  struct controller *controller, struct ipcl_error *error);

#endif
