/* Trust in files: files and folders are opened only if nobody but root and this user can change
 * them, as sshd does with the files that say which keys may log in. */
#ifndef BASE_TRUST_H
#define BASE_TRUST_H

#include <sys/types.h>

#include <ipcluster/error.h>

#include "base/path.h"

/* open(2), close-on-exec, for a file or folder that nobody but root and this user can change. The
 * same must hold for all folders above it and all links on the way. From the root on, each is
 * opened and then checked, and the next is opened within it. So what was checked is what is opened,
 * and nobody else can replace it later. All must be owned by root or this user. Others must not
 * have permission to write, nor may a group, except root's and the user's own (which has the user's
 * name, no other members, and is the primary group of nobody else in /etc/passwd). A folder with
 * the sticky bit, as /tmp, may be writable: nobody can replace there what another owns. In a user
 * namespace, an owner who is not known there counts as root, except in a folder that everybody can
 * write.
 *
 * `real`, if not NULL, receives the path without links. Returns a descriptor. Returns -1 with
 * `error` set, which names what is wrong and the command that corrects it; errno is open's, or
 * EPERM if something is not trusted. */
int trust_open(const char *path, int flags, mode_t mode, char real[PATH_BYTES],
               struct ipcl_error *error);
/* The same check for a path that another program or library opens. Returns 0 or -1 with `error` and
 * errno set. */
int trust_check(const char *path, struct ipcl_error *error);
/* Returns 0 if only its owner can read the opened file, as a key's must be; -1 with `error` set.
 * For a file that root owns and this user can read as a member of its group, root has decided who
 * may read it. */
int trust_check_secret(int fd, const char *path, struct ipcl_error *error);

#endif
