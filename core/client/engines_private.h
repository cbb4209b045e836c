/* The engines that there are or were. I/O thread. */
#ifndef CLIENT_ENGINES_PRIVATE_H
#define CLIENT_ENGINES_PRIVATE_H

#include "client/client_private.h"

/* How long last replies may still take when an engine is known to be dead, or a request is unknown
 * to the controller: they come through another thread of the controller, and another connection. */
#define LAST_REPLIES_MS 250

/* The id of an engine that was announced, or -1. */
int engines_id(const struct client_io *io, const char *uuid);
/* A notification of the hub's. */
void engines_take_notification(struct ipcl_client *client, struct message *message);
/* Notes the engines of the hub's answer to our connecting. Returns 0 or -1 with `error` set. */
int engines_take_first(struct ipcl_client *client, struct message *message,
                       struct ipcl_error *error);
/* Notes the engines of a connection_reply as the hub's engines now. Others have gone if the reply
 * says so. If it is `complete`, they have gone unless the controller awaits them. */
void engines_take(struct ipcl_client *client, struct message *message, bool complete);
/* Fails the requests that dead engines have not answered, at io->next_failure_ms. */
void engines_tick(struct ipcl_client *client);

/* Forgets all. */
void engines_release(struct client_io *io);

#endif
