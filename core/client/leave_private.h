/* Leaving. I/O thread. */
#ifndef CLIENT_LEAVE_PRIVATE_H
#define CLIENT_LEAVE_PRIVATE_H

#include "client/client_private.h"

/* Asks the task scheduler and engines to drop what waits there for this client. */
void leave_cluster(struct ipcl_client *client);

#endif
