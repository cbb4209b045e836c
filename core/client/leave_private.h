/* Leaving. I/O thread. */
#ifndef CLIENT_LEAVE_PRIVATE_H
#define CLIENT_LEAVE_PRIVATE_H

#include "client/client_private.h"

/* Has dropped what waits, in the task scheduler and on engines. */
void leave_cluster(struct ipcl_client *client);

#endif
