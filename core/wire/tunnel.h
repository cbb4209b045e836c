/* Reaching the controller through an SSH server: one ssh process forwards all of its ports. */
#ifndef WIRE_TUNNEL_H
#define WIRE_TUNNEL_H

#include <stdatomic.h>

#include <ipcluster/error.h>

#include "wire/connection.h"

struct tunnel;

/* Starts ssh to `connection->ssh`, or where that is "" to the controller's own host; waits until it
 * forwards, and rewrites the connection to local sockets that stand for the controller's ports.
 * `key_file` is a private key, NULL or "" for those that ssh finds. The process ends with the
 * calling thread, however that ends. Returns a tunnel that the same thread closes; NULL with
 * `error` set, which has ssh's own words, also after `timeout_ms` or soon after `*stop` (which may
 * be NULL) is true. */
struct tunnel *tunnel_open(struct connection *connection, const char *key_file, int timeout_ms,
                           const atomic_bool *stop, struct ipcl_error *error);
/* Readable when there is something for tunnel_check(). Any one thread, together with that. */
int tunnel_fd(const struct tunnel *tunnel);
/* Takes note of what ssh says. Returns 0, or -1 with `error` set once ssh has ended. */
int tunnel_check(struct tunnel *tunnel, struct ipcl_error *error);
/* What ssh has said since the tunnel was opened, the newest: one line, "" for nothing. It tells
 * there where it cannot reach the controller. Valid until the next call. */
const char *tunnel_words(struct tunnel *tunnel);
/* Ends ssh, once what was sent through connections that are closed now has passed, for which it has
 * `linger_ms`. Takes NULL. */
void tunnel_close(struct tunnel *tunnel, int linger_ms);

#endif
