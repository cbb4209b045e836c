/* Sending what was submitted. I/O thread. */
#ifndef CLIENT_SEND_PRIVATE_H
#define CLIENT_SEND_PRIVATE_H

#include "client/client_private.h"

/* Before anything is sent. */
void send_prepare(struct ipcl_client *client);
/* Sends everything that was submitted. */
void send_submitted(struct ipcl_client *client);
/* The same for `self`, a struct ipcl_client whose thread was woken. */
void send_woken(void *self);
/* Sends a task once more that no controller knows any more, and says so in its metadata. Returns
 * whether it does: it does not if the task was not kept. */
bool send_again(struct ipcl_client *client, struct ipcl_future *future);
/* Forgets what was packed. */
void send_release(struct client_io *io);

#endif
