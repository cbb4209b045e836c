/* Reaching the controller through an SSH server: one ssh process forwards all of its ports. */
#ifndef ENGINE_TUNNEL_H
#define ENGINE_TUNNEL_H

#include <ipcluster/error.h>

#include "wire/connection.h"

/* Starts ssh to `connection->ssh`, with the private key of `key_file` where that is not "", waits
 * until it forwards, and rewrites the connection to the forwarded ports. The process ends with this
 * one. To be called before there are threads, by the thread that lives longest. Returns 0 or -1
 * with `error` set. */
int tunnel_open(struct connection *connection, const char *key_file, struct ipcl_error *error);

#endif
