/* Asks a controller that was out of reach which requests it still knows. I/O thread. */
#ifndef CLIENT_RESTART_PRIVATE_H
#define CLIENT_RESTART_PRIVATE_H

#include "client/client_private.h"

/* Notes which controller has answered. */
void restart_note_hub(struct ipcl_client *client, struct message *message);
/* The connection is back. */
void restart_begin(struct ipcl_client *client);
/* Takes a message of the hub. Returns whether it answers a query of this file. */
bool restart_receive(struct ipcl_client *client, struct message *message);
/* Does what is due: at restart.due_ms or restart.judge_ms. */
void restart_tick(struct ipcl_client *client);

#endif
