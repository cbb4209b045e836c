/* The files of a running controller: its pid file, which is also a lock against a second controller
 * of the same profile and cluster; the two connection files; and, if these are reused, the CurveZMQ
 * secrets and the start of the counters. */
#ifndef CONTROLLER_FILES_H
#define CONTROLLER_FILES_H

#include <stdbool.h>

#include "base/path.h"
#include "config/profile.h"
#include "config/settings.h"
#include "controller/exchange/controller.h"

struct files {
    char pid[PATH_BYTES];
    char clients[PATH_BYTES];
    char engines[PATH_BYTES];
    char secret[PATH_BYTES];
    char table[PATH_BYTES];
    char handouts[PATH_BYTES];
    char counter[PATH_BYTES];
    int lock; /* -1: this process does not have it */
    bool reuse;
    bool written;
};

/* Sets the paths. An empty file name means the usual one. Returns 0 or -1 with `error` set. */
int files_init(struct files *files, const struct profile *profile, const char *cluster_id,
               const char *client_file, const char *engine_file, bool reuse,
               struct ipcl_error *error);
/* Takes the lock and writes the pid file: the process's number, and in the next line the host.
 * Returns 0, or -1 with `error` set: another controller runs. */
int files_lock(struct files *files, struct ipcl_error *error);
/* Writes both connection files, whole or not at all. Returns 0 or -1 with `error` set. */
int files_write(struct files *files, const struct controller *controller, struct ipcl_error *error);
/* Removes the connection files, unless they are to be reused. */
void files_remove(struct files *files);
/* Removes ipc sockets of this controller's name: a controller that was killed leaves some, and so
 * does zmq when it closes them. Under the lock. */
void files_remove_sockets(const struct controller *controller);
/* Gives up the lock, after everything is removed that would be in another controller's way. */
void files_unlock(struct files *files);

#endif
