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
/* The same in a folder that only this user can write, $XDG_RUNTIME_DIR or one that is made for it,
 * where nobody else can put another in its place after it was removed. `again` is the path of a
 * folder that it was before, which it then is once more if it can be; "" for a new one. */
int socket_folder_make_lasting(struct socket_folder *folder, const char *again,
                               struct ipcl_error *error);
/* Removes the folder with its sockets. A folder that was never made, all zero, is allowed. */
void socket_folder_remove(struct socket_folder *folder);

#endif
