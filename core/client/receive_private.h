/* What comes from the controller. I/O thread. */
#ifndef CLIENT_RECEIVE_PRIVATE_H
#define CLIENT_RECEIVE_PRIVATE_H

#include "client/client_private.h"

/* Handles a message of the socket of `self`, a struct client_way. */
void receive_message(void *self, struct message *message);

#endif
