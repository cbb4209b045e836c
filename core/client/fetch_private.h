/* Fetching results from the hub. I/O thread. */
#ifndef CLIENT_FETCH_PRIVATE_H
#define CLIENT_FETCH_PRIVATE_H

#include "client/client_private.h"

/* Asks the hub again for results that it did not have. */
void fetch_tick(struct ipcl_client *client);
void fetch_fail_all(struct ipcl_client *client, const char *text);

#endif
