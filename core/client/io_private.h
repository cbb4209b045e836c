/* The I/O thread. */
#ifndef CLIENT_IO_PRIVATE_H
#define CLIENT_IO_PRIVATE_H

#include "client/client_private.h"

/* The thread: `argument` is the struct ipcl_client. */
void *client_io_main(void *argument);

#endif
