/* How many bytes of messages libzmq still has: of those that were sent, and not yet written to
 * their connection. Only large messages are weighed, so that small ones cost nothing. */
#ifndef CONTROLLER_DELIVERY_FLIGHT_H
#define CONTROLLER_DELIVERY_FLIGHT_H

#include <stddef.h>

#include "wire/held.h"

/* Larger messages are weighed. */
#define FLIGHT_LEAST_BYTES HELD_COPIED_BYTES

struct flight;

/* `all`, where not NULL, counts what this one counts, too. NULL when memory is short. */
struct flight *flight_create(struct flight *all);
/* Takes NULL. It is there until the last message that it counts has left. */
void flight_drop(struct flight *flight);
size_t flight_bytes(const struct flight *flight);
/* message_send() of a message of so many bytes. Returns 0, or -1 with errno set, where the message
 * is as it was. */
int flight_send(struct flight *flight, struct message *message, size_t weight, void *socket);

#endif
