/* Whom to trust: files and folders are opened only where nobody but root and this user can change
 * them, as sshd does with the files that say which keys may log in. */
#ifndef BASE_TRUST_H
#define BASE_TRUST_H

#include <sys/types.h>

#include <ipcluster/error.h>

#include "base/path.h"

/* open(2), close-on-exec, of a file or folder which nobody but root and this user can change, nor
 * anything above it, nor a link on the way: each is looked at when it has been opened, from the
 * root on, and the next is opened within it. So what is opened is what was looked at, and nobody
 * else can put anything in its place later. All must be owned by root or this user. None may be
 * written by others, nor by a group, except root's and the user's own (of his name, without other
 * members); in a folder with the sticky bit, as /tmp, nobody can replace what another owns, so that
 * it may be written. In a user namespace whoever is not known there passes for root, except in such
 * a folder.
 *
 * `real`, where not NULL, receives the path without links. Returns a descriptor; -1 with `error`
 * naming what is wrong with what, and the command that mends it; errno is open's, or EPERM where
 * what is there is not trusted. */
int trust_open(const char *path, int flags, mode_t mode, char real[PATH_BYTES],
               struct ipcl_error *error);
/* The same for what another opens by its name. Returns 0 or -1 with `error` and errno set. */
int trust_check(const char *path, struct ipcl_error *error);
/* Returns 0 where only its owner can read what was opened, as a key must be; -1 with `error` set.
 * Of a file of root's that this user can read as a member of its group, root has decided who
 * may. */
int trust_check_secret(int fd, const char *path, struct ipcl_error *error);

#endif
