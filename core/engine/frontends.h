/* Jupyter frontends at an engine: a door beside the schedulers', with the sockets of an ordinary
 * kernel, which opens when user code calls bind_kernel(). */
#ifndef ENGINE_FRONTENDS_H
#define ENGINE_FRONTENDS_H

#include "engine/door.h"
#include "engine/engine.h"
#include "wire/socket_folder.h"

enum frontend_port {
    FRONTEND_SHELL,
    FRONTEND_IOPUB,
    FRONTEND_STDIN,
    FRONTEND_CONTROL,
    FRONTEND_HEARTBEAT,
    FRONTEND_PORTS
};

struct frontends {
    struct door door;
    void *questions; /* Jupyter's stdin channel */
    void *heartbeat;
    int ports[FRONTEND_PORTS];   /* suffixes of local sockets if there is a folder */
    struct socket_folder folder; /* of the local sockets; none with TCP */
    unsigned char asked[255];    /* the name of the client that user code has asked a question */
    size_t asked_size;           /* 0: no question is open */
    char file[PATH_BYTES];       /* the connection file; "" while closed */
    char link[PATH_BYTES];       /* to that file, from Jupyter's folder; "" for none */
};

/* Writes where the connection file will be. Also checks the wishes (see kernel.h). Any thread.
 * Returns 0 or -1 with `error` set. */
int frontends_path(const struct engine *engine, const json_t *wishes, char path[PATH_BYTES],
                   struct ipcl_error *error);
/* Listens. Returns 0 or -1 with `error` set. */
int frontends_open(struct io *io, const json_t *wishes, struct ipcl_error *error);
/* Removes the connection file, and releases everything except the sockets, which the loop owns. */
void frontends_close(struct frontends *frontends);
/* The content of the reply to a frontend's connect_request. A new reference. */
json_t *frontends_ports(const struct frontends *frontends);
/* Asks the client of the running request for a line. Returns 0 or -1 with `error` set. */
int frontends_ask(struct io *io, const char *prompt, bool secret, struct ipcl_error *error);
/* Stops waiting for an answer. */
void frontends_cancel(struct io *io);

#endif
