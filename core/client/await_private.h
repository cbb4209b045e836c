/* The requests that are not answered, or whose output is not complete. I/O thread. */
#ifndef CLIENT_AWAIT_PRIVATE_H
#define CLIENT_AWAIT_PRIVATE_H

#include "client/submission_private.h"

void await_add(struct client_io *io, struct ipcl_future *future);
/* All parts of a broadcast, which is taken over. */
void await_add_broadcast(struct client_io *io, struct client_broadcast *broadcast);
/* Calls `each` for the parts that have not resolved. */
void await_each_part(struct client_io *io, struct client_broadcast *broadcast,
                     void (*each)(void *context, struct ipcl_future *part), void *context);
/* The broadcast with this msg_id, or NULL. */
struct client_broadcast *await_find_broadcast(struct ipcl_client *client, const char *msg_id,
                                              size_t size);
/* NULL if `msg_id`, of `size` bytes, is not that of a request of ours that is awaited. */
struct ipcl_future *await_find(struct ipcl_client *client, const char *msg_id, size_t size);
/* Resolves it; it is forgotten when its output is complete. */
void await_resolve(struct client_io *io, struct ipcl_future *future,
                   struct future_outcome *outcome);
void await_output_complete(struct client_io *io, struct ipcl_future *future);
/* One more message of output has come. */
void await_output_added(struct client_io *io, struct ipcl_future *future);
/* The reply says how many messages of output there are. */
void await_output_expect(struct client_io *io, struct ipcl_future *future, long long count);
/* Gives up on output that is missing a while after the reply, and comes no more. Returns when to be
 * called next, or 0. */
long long await_output_give_up(struct client_io *io, long long now_ms);
void await_fail_engine(struct client_io *io, const char *uuid, const char *text);
void await_fail_all(struct client_io *io, const char *text);
/* Whether a request with a lower number awaits its reply. */
bool await_any_before(const struct client_io *io, uint64_t number);
/* Fails requests with lower numbers that are neither `known` nor sent `again`. Then none is
 * `known`. */
void await_fail_unknown(struct ipcl_client *client, uint64_t number,
                        bool (*again)(struct ipcl_client *client, struct ipcl_future *future),
                        const char *text);

#endif
