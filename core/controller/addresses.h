/* Where the controller listens: interfaces, and pools of ports. */
#ifndef CONTROLLER_ADDRESSES_H
#define CONTROLLER_ADDRESSES_H

#include "config/profile.h"
#include "config/settings.h"
#include "controller/exchange/controller.h"
#include "wire/socket_folder.h"

/* Sets the controller's interfaces, its pools, and whether it encrypts. Returns 0 or -1 with
 * `error` set. */
int addresses_read(const struct settings *settings, const struct profile *profile,
                   struct controller *controller, struct ipcl_error *error);
/* Refuses connections without encryption that nobody has allowed. Returns 0 or -1 with `error`
 * set. */
int addresses_check(const struct settings *settings, const struct controller *controller,
                    struct ipcl_error *error);
/* Puts this host's addresses into connections that listen on all of them, if nobody has said at
 * which they are reached. */
void addresses_name(const struct settings *settings, struct controller *controller);
/* Makes the folder of the local sockets, and puts it into the connections. If there can be none,
 * the log says why, and `folder` stays as it is. */
void addresses_offer_local(struct controller *controller, struct socket_folder *folder);
void addresses_free(struct controller *controller);

#endif
