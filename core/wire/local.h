/* A controller's local sockets. Beside its TCP ports it listens on sockets in a private folder:
 * programs of the same host and the same user connect there, and need no encryption. The connection
 * file says where they are. Programs that cannot use them, as those of ipyparallel, connect by TCP
 * to the same ports. */
#ifndef WIRE_LOCAL_H
#define WIRE_LOCAL_H

#include <ipcluster/error.h>

#include "wire/connection.h"
#include "wire/socket_folder.h"

/* For a controller: makes the folder, and says in `connection` where its sockets are. A connection
 * that says so already, as one that is used again does, keeps its folder, if that was on this host.
 * Returns 0, or -1 with `error` set; then the connection has no local sockets. */
int local_offer(struct socket_folder *folder, struct connection *connection,
                struct ipcl_error *error);
/* For whoever connects to a controller: has the connection lead to the controller's local sockets,
 * if there are any on this host, no other user can have put them there, and the one in the place of
 * `port` is listened on. */
void local_choose(struct connection *connection, int port);

#endif
