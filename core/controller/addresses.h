/* Where the controller listens: interfaces, and pools of ports. */
#ifndef CONTROLLER_ADDRESSES_H
#define CONTROLLER_ADDRESSES_H

#include "config/profile.h"
#include "config/settings.h"
#include "controller/exchange/controller.h"

/* Fills the controller's interfaces, its pools, and whether it encrypts. Returns 0 or -1 with
 * `error` set. */
int addresses_read(const struct settings *settings, const struct profile *profile,
                   struct controller *controller, struct ipcl_error *error);
/* Refuses what is neither encrypted nor meant to be. Returns 0 or -1 with `error` set. */
int addresses_check(const struct settings *settings, const struct controller *controller,
                    struct ipcl_error *error);
/* Notes in the connections what addresses this host has, where they listen on all of them and
 * nobody has said under which they are reached. */
void addresses_name(const struct settings *settings, struct controller *controller);
void addresses_free(struct controller *controller);

#endif
