/* A controller's local sockets. Beside its TCP ports it listens on sockets in a private folder:
 * programs of the same host and the same user connect there, and need no encryption. The connection
 * file says where they are. Programs that cannot use them, as those of ipyparallel, connect by TCP
 * to the same ports. */
#ifndef WIRE_LOCAL_H
#define WIRE_LOCAL_H

#include <ipcluster/error.h>

#include "wire/connection.h"
#include "wire/socket_folder.h"

/* For a controller: makes the folder, and says in the connections of both roles where its sockets
 * are. Connections that say so already, as those that are used again do, keep their folder, if that
 * was on this host and can be had. Returns 0, or -1 with `error` set; then they have no local
 * sockets. */
int local_offer(struct socket_folder *folder, struct connection *connections[CONNECTION_ROLES],
                struct ipcl_error *error);
/* Says that there are no local sockets. */
void local_withdraw(struct connection *connections[CONNECTION_ROLES]);
/* For whoever connects to a controller: has the connection lead to the controller's local sockets,
 * if there are any on this host, no other user can have put them there, and the one in the place of
 * `port` is listened on. */
void local_choose(struct connection *connection, int port);
#define LOCAL_SEGMENTS_BYTES (SOCKET_FOLDER_BYTES + 16)
/* Writes the path of the socket by which segments are handed over (segment_link.h); it is beside
 * the local sockets. Returns 0, or -1 if there are none. */
int local_segments(const struct connection *connection, char path[LOCAL_SEGMENTS_BYTES]);

#endif
