/* A tunnel to the controller through an SSH server: one ssh process forwards all of its ports. */
#ifndef WIRE_TUNNEL_H
#define WIRE_TUNNEL_H

#include <stdatomic.h>

#include <ipcluster/error.h>

#include "wire/connection.h"

struct tunnel;

/* Starts ssh to `connection->ssh`, or to the controller's own host if that is "". Waits until it
 * forwards, and changes the connection to local sockets that stand for the controller's ports.
 * `key_file` is a private key, NULL or "" for those that ssh finds. The process ends with the
 * calling thread, however that ends. Returns a tunnel, which the same thread closes; NULL with
 * `error` set, which has ssh's own words. It also fails after `timeout_ms`, or soon after `*stop`
 * becomes true (`stop` may be NULL). */
struct tunnel *tunnel_open(struct connection *connection, const char *key_file, int timeout_ms,
                           const atomic_bool *stop, struct ipcl_error *error);
/* Readable when there is something for tunnel_check(). Any one thread, the same for both. */
int tunnel_fd(const struct tunnel *tunnel);
/* Reads what ssh says. Returns 0, or -1 with `error` set once ssh has ended. */
int tunnel_check(struct tunnel *tunnel, struct ipcl_error *error);
/* The newest line that ssh has said since the tunnel was opened; "" for none. It says there if it
 * cannot reach the controller. Valid until the next call. */
const char *tunnel_words(struct tunnel *tunnel);
/* Ends ssh, but first waits up to `linger_ms` until it has passed on what was sent through
 * connections that are closed now. Takes NULL. */
void tunnel_close(struct tunnel *tunnel, int linger_ms);

#endif
