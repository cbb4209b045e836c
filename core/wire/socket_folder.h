/* Private folders for local sockets: no other user can connect to a socket in them, or take its
 * place. */
#ifndef WIRE_SOCKET_FOLDER_H
#define WIRE_SOCKET_FOLDER_H

#include <ipcluster/error.h>

/* The address of a local socket has room for 107 bytes: the rest is for the socket's name. */
#define SOCKET_FOLDER_BYTES 92

struct socket_folder {
    char path[SOCKET_FOLDER_BYTES]; /* "" for none */
    int lock;                       /* held as long as a process uses the folder */
};

/* Makes a new folder of mode 0700 in $TMPDIR, or in /tmp if $TMPDIR has too long a path, is
 * missing, or lets others change its files. Removes folders that killed processes have left there.
 * Returns 0 or -1 with `error` set. */
int socket_folder_make(struct socket_folder *folder, struct ipcl_error *error);
/* The same in ipcluster-UID, a folder of this user's alone that is made in $TMPDIR or /tmp and
 * stays there: so nobody else can put another in its place when it was removed. `again` is the path
 * of the previous process's folder, which is made again if possible; "" for a new one. */
int socket_folder_make_lasting(struct socket_folder *folder, const char *again,
                               struct ipcl_error *error);
/* Removes the folder with its sockets. A folder that was never made, all zero, is allowed. */
void socket_folder_remove(struct socket_folder *folder);

#endif
