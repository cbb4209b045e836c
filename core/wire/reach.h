/* Finds which of a controller's possible addresses answers. All are tried at the same time, by TCP
 * connections that send nothing. If several are possible, each is then tried by a handshake that
 * only this controller can complete. The outcome of each is kept for an error. One thread. */
#ifndef WIRE_REACH_H
#define WIRE_REACH_H

#include <stdbool.h>
#include <stddef.h>

#include <ipcluster/error.h>

#include "wire/connection.h"

struct reach;

/* `port` is one of the connection's. The ZeroMQ `context` must outlive what is returned. Asks the
 * resolver. Returns NULL if there is nothing to try (the controller is reached by loopback or local
 * sockets), or if memory is short. */
struct reach *reach_create(const struct connection *connection, int port, void *context);
void reach_destroy(struct reach *reach);
/* Whether there are several addresses to choose from. */
bool reach_has_choice(const struct reach *reach);
/* Makes progress without waiting; each address is tried again after a while. Returns an address
 * that has just answered, as text, or NULL: call again soon. */
const char *reach_try(struct reach *reach, long long now_ms);
bool reach_has_answered(const struct reach *reach);
/* Makes the address that has answered the connection's location. */
void reach_take(struct connection *connection, const char *answered);
/* All of the above, for a thread that may wait `timeout_ms`. If no address answers, the connection
 * is unchanged. */
void reach_choose(struct connection *connection, int port, void *context, int timeout_ms);
/* Whether each address has failed at least once: none is silent. */
bool reach_has_failed(const struct reach *reach);
/* Whether each address has refused (nothing listens there) or is an unknown name. Then no firewall
 * is in the way. */
bool reach_is_refused(const struct reach *reach);
/* Writes "192.0.2.1 (refused), 10.0.0.1 (no answer within 3.0 s)". */
void reach_describe(const struct reach *reach, long long now_ms, char *text, size_t size);
/* Sets `error`: no address answers. It names both ends, the outcome of each address, and what
 * helps: `refused` if nothing listens; otherwise settings of the controller, and `ssh` as the way
 * around a firewall. `file` is the connection file. */
void reach_explain(const struct reach *reach, const struct connection *connection, const char *file,
                   const char *refused, const char *ssh, long long now_ms,
                   struct ipcl_error *error);

#endif
