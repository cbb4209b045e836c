/* Connecting to the controller, and its connection. I/O thread. */
#ifndef CLIENT_CONNECT_PRIVATE_H
#define CLIENT_CONNECT_PRIVATE_H

#include "client/client_private.h"

/* Waits for the hub's answer, the time-out or closing. Returns 0 or -1 with `error` set. */
int connect_to_controller(struct ipcl_client *client, struct ipcl_error *error);
/* Takes note of an event of the query socket of `self`, a struct ipcl_client: its connection has
 * ended or come back. */
void connect_note_event(void *self, struct message *message);

#endif
