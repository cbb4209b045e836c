/* How many bytes of messages libzmq has: messages that were sent, and are not yet written to their
 * connection. Only large messages are counted, so that small ones cost nothing. */
#ifndef CONTROLLER_DELIVERY_FLIGHT_H
#define CONTROLLER_DELIVERY_FLIGHT_H

#include <stddef.h>

#include "wire/held.h"

/* Larger messages are counted. */
#define FLIGHT_LEAST_BYTES HELD_COPIED_BYTES

struct flight;

/* `all`, if not NULL, also counts what this one counts. NULL when memory is short. */
struct flight *flight_create(struct flight *all);
/* Takes NULL. It is freed when the last message that it counts has left. */
void flight_drop(struct flight *flight);
size_t flight_bytes(const struct flight *flight);
/* message_send() of a message of `weight` bytes. Returns 0, or -1 with errno set and the message
 * unchanged. */
int flight_send(struct flight *flight, struct message *message, size_t weight, void *socket);

#endif
