/* The state file of a cluster, PROFILE/pid/ipcluster[-ID].json: who supervises it and how its
 * launchers find their jobs again. A set of engines that was added has one of its own,
 * ipcluster[-ID].engines-PID.json. */
#ifndef CLUSTER_STATE_H
#define CLUSTER_STATE_H

#include <stdbool.h>
#include <stdint.h>

#include <ipcluster/error.h>

#include "base/path.h"
#include "cluster/processes.h"

#define STATE_TEXT_BYTES 256

struct state {
    char path[PATH_BYTES];
    char profile_dir[PATH_BYTES];
    char cluster_id[STATE_TEXT_BYTES];
    char host[STATE_TEXT_BYTES];
    char boot[BOOT_ID_BYTES];
    char phase[32];    /* "starting", "running", "stopping" */
    bool engines_only; /* a set that was added to a running controller */
    int64_t pid;       /* the supervisor's */
    int64_t born;
    unsigned n;
    double started;
    char controller_class[STATE_TEXT_BYTES]; /* "" where there is none */
    char engine_class[STATE_TEXT_BYTES];
    char *controller; /* what its launcher's to_json() said; NULL before it was started */
    char *engines;
};

/* Fills in this process, this machine and now. Returns 0 or -1 with `error` set. */
int state_init(struct state *state, const char *profile_dir, const char *pid_dir,
               const char *cluster_id, bool engines_only, struct ipcl_error *error);
void state_clear(struct state *state);
/* Writes the file, whole or not at all. Returns 0 or -1 with `error` set. */
int state_write(const struct state *state, struct ipcl_error *error);
int state_read(const char *path, struct state *state, struct ipcl_error *error);
void state_remove(const struct state *state);

/* Calls `visit` for each state file in a profile's pid/; the state is cleared afterwards. A file
 * that cannot be read is passed with its path and a supervisor of pid -1. Stops when `visit`
 * returns other than 0, and returns that. */
int state_each(const char *pid_dir, int (*visit)(void *context, struct state *state),
               void *context);

/* Whether the state was written on this machine and since it was booted. */
bool state_is_here(const struct state *state);
/* Whether its supervisor runs. */
bool state_supervised(const struct state *state);

/* Only one process at a time looks at the states and adds its own: returns a descriptor to close,
 * or -1 with `error` set. */
int state_lock(const char *pid_dir, struct ipcl_error *error);

#endif
