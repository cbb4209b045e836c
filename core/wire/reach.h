/* Which of the addresses that a controller may have answers: all are tried side by side, by
 * connections of TCP that send nothing, and where there is a choice then by a handshake, which
 * nobody but that controller can end. What each says is kept for a sentence. One thread. */
#ifndef WIRE_REACH_H
#define WIRE_REACH_H

#include <stdbool.h>
#include <stddef.h>

#include <ipcluster/error.h>

#include "wire/connection.h"

struct reach;

/* `port` is one of the connection's; its ZeroMQ `context` outlives what is returned. Asks the
 * resolver. Returns NULL where there is nothing to try, as the controller is reached by loopback or
 * local sockets, or memory is short. */
struct reach *reach_create(const struct connection *connection, int port, void *context);
void reach_destroy(struct reach *reach);
/* Whether it is open which address to connect to. */
bool reach_has_choice(const struct reach *reach);
/* Goes on, without waiting; each is tried again after a while. Returns one that has just answered,
 * as text, or NULL: call again soon. */
const char *reach_try(struct reach *reach, long long now_ms);
bool reach_has_answered(const struct reach *reach);
/* Makes the address that has answered the connection's location. */
void reach_take(struct connection *connection, const char *answered);
/* All of that, for a thread that may wait so long: where none answers the connection is as it
 * was. */
void reach_choose(struct connection *connection, int port, void *context, int timeout_ms);
/* Whether each address has failed at least once: none is silent. */
bool reach_has_failed(const struct reach *reach);
/* Whether each has said that nothing listens there, or is unknown: so no firewall is in the way. */
bool reach_is_refused(const struct reach *reach);
/* Writes "192.0.2.1 (refused), 10.0.0.1 (no answer within 3.0 s)". */
void reach_describe(const struct reach *reach, long long now_ms, char *text, size_t size);
/* Says that no address answers: both ends, what each address said, and what helps: `refused` where
 * nothing listens, and otherwise settings of the controller, with `ssh` as the way around a
 * firewall. `file` is where the connection stands. */
void reach_explain(const struct reach *reach, const struct connection *connection, const char *file,
                   const char *refused, const char *ssh, long long now_ms,
                   struct ipcl_error *error);

#endif
