/* Private folders for local sockets: nobody else can reach what listens there, or listen there
 * first. */
#ifndef WIRE_SOCKET_FOLDER_H
#define WIRE_SOCKET_FOLDER_H

#include <ipcluster/error.h>

/* The address of a local socket has room for 107 bytes: its name is what is left. */
#define SOCKET_FOLDER_BYTES 92

struct socket_folder {
    char path[SOCKET_FOLDER_BYTES]; /* "": there is none */
    int lock;                       /* held as long as somebody uses it */
};

/* Makes a new folder of mode 0700 in $TMPDIR, or /tmp where that has too long a path, is not there,
 * or lets others change what lies in it. Removes what processes have left there that were killed.
 * Returns 0 or -1 with `error` set. */
int socket_folder_make(struct socket_folder *folder, struct ipcl_error *error);
/* Removes it with its sockets. Takes one that was never made, where it is all zero. */
void socket_folder_remove(struct socket_folder *folder);

#endif
