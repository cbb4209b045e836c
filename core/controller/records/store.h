/* The store that records are kept in: a plugin, chosen by IPController.db_class. */
#ifndef CONTROLLER_RECORDS_STORE_H
#define CONTROLLER_RECORDS_STORE_H

#include "config/profile.h"
#include "config/settings.h"
#include "controller/exchange/controller.h"
#include "plugin/registry.h"
#include "plugin/services.h"

/* Finds the plugin, adds its options, and finishes the settings. Sets the controller's `store`,
 * which stays NULL if nothing is to be recorded. Returns 0, or -1 with `error` set. */
int store_choose(struct settings *settings, struct registry *registry, struct services_host *host,
                 struct controller *controller, struct ipcl_error *error);
/* Opens the store, if there is one. Returns 0, or -1 with `error` set. */
int store_open(const struct settings *settings, const struct profile *profile,
               struct services_host *host, struct controller *controller, struct ipcl_error *error);
void store_close(struct controller *controller);
/* Whether there is a store that can give the task scheduler the previous controller's tasks. */
bool store_restores(const struct controller *controller);

#endif
