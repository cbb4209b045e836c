/* The sockets. I/O thread. */
#ifndef CLIENT_SOCKETS_PRIVATE_H
#define CLIENT_SOCKETS_PRIVATE_H

#include "client/client_private.h"

/* What their loop calls. */
struct sockets_handlers {
    loop_receive *message; /* with a struct client_way; the others with the client */
    loop_receive *event;   /* of the query socket's connection */
    loop_ready *woken;
    loop_ready *tunnel;
};
/* Makes the loop and the sockets, which are not connected. Returns 0 or -1 with `error` set. */
int sockets_open(struct ipcl_client *client, const struct sockets_handlers *handlers,
                 struct ipcl_error *error);
/* Returns 0 or -1 with `error` set. */
int sockets_connect_one(struct ipcl_client *client, enum client_socket index,
                        struct ipcl_error *error);
void sockets_close(struct ipcl_client *client);
/* Signs a request that is complete. Returns 0 or -1 with `error` set. */
/* Connects to where the controller that lives now takes segments, if it does. */
void sockets_open_segments(struct ipcl_client *client);
int sockets_sign(struct ipcl_client *client, enum client_socket index, struct message *message,
                 struct ipcl_error *error);
/* The same for a request that asks for the controller's life. */
int sockets_introduce(struct ipcl_client *client, struct message *message,
                      struct ipcl_error *error);
/* Returns whether a message verifies. If not, does sockets_refuse(), unless a new controller that
 * has not answered yet may have published it. */
bool sockets_verify(struct ipcl_client *client, enum client_socket index, struct message *message);
/* Counts and logs a message that is refused, and tells the program (IPCL_EVENT_REFUSED). */
void sockets_refuse(struct ipcl_client *client, const char *reason);
/* Handles what has come on all sockets. */
void sockets_drain(struct ipcl_client *client);

#endif
