/* The state file of a cluster, PROFILE/pid/ipcluster[-ID].json: its supervisor, and how its
 * launchers find again what they started. An engine set that was added to a controller without an
 * ipcluster here has its own file, ipcluster[-ID].engines-PID.json. */
#ifndef CLUSTER_STATE_STATE_H
#define CLUSTER_STATE_STATE_H

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include <ipcluster/error.h>

#include "base/path.h"
#include "cluster/state/processes.h"

#define STATE_TEXT_BYTES 256
#define ENGINE_SET_BYTES 48

/* What one launcher started. */
struct state_job {
    char class_name[STATE_TEXT_BYTES]; /* "": nothing */
    json_t *own;       /* the object that its to_json() gave; NULL before it was started */
    json_t *processes; /* its children on this host: a list of [pid, born] */
    char status[STATE_TEXT_BYTES]; /* from its launcher; "": none */
    bool outlives;                 /* it can be found and stopped from any host */
};

/* A set of engines. */
struct state_set {
    struct state_set *next;
    char name[ENGINE_SET_BYTES]; /* its engines name it as their set */
    unsigned n;
    struct state_job job;
};

struct state {
    char path[PATH_BYTES];
    char profile_dir[PATH_BYTES];
    char cluster_id[STATE_TEXT_BYTES];
    char host[STATE_TEXT_BYTES];
    char boot[BOOT_ID_BYTES];
    char phase[32];               /* "starting", "running", "stopping" */
    bool engines_only;            /* the set of a controller that is not this supervisor's */
    char label[ENGINE_SET_BYTES]; /* TIME-PID: in the names of its output files and of its first
                                   * set */
    int64_t pid; /* the supervisor's; -1: the file cannot be read, and `error` says why */
    int64_t born;
    double started;
    char socket[PATH_BYTES]; /* the supervisor's control socket (control.h); "": none */
    struct state_job controller;
    struct state_set *sets; /* in the order in which they were added */
    struct ipcl_error error;
};

/* Fills in this process, this host and the time. Returns 0 or -1 with `error` set. */
int state_init(struct state *state, const char *profile_dir, const char *pid_dir,
               const char *cluster_id, bool engines_only, struct ipcl_error *error);
void state_clear(struct state *state);
/* Appends a set with that name. NULL with `error` set if memory is short. */
struct state_set *state_add_set(struct state *state, const char *name, struct ipcl_error *error);
void state_remove_set(struct state *state, struct state_set *set);
/* Makes `to` a copy; clear it also on failure. Returns 0 or -1 with `error` set. */
int state_copy(struct state *to, const struct state *from, struct ipcl_error *error);
/* How many engines its sets have in all. */
unsigned state_engine_count(const struct state *state);
/* Writes the file, whole or not at all. Returns 0 or -1 with `error` set. */
int state_write(const struct state *state, struct ipcl_error *error);
void state_remove(const struct state *state);
/* Reads the file again. Returns false if it has gone, or belongs to another supervisor now, which
 * has begun a cluster of the same name: then the state stays as it was. */
bool state_refresh(struct state *state);
/* Reads the file if it belongs to another supervisor now. Returns false if it does not: then the
 * state stays as it was. */
bool state_reload(struct state *state);
/* A process of a job that runs, or whose session has processes left; 0: none. */
int64_t state_process_left(const struct state_job *job);

/* Whether a state names this process. */
bool state_names(const struct state *state, int64_t pid);

/* Calls `visit` for each state file in a profile's pid/; the state is cleared afterwards. If a file
 * cannot be read, path, cluster_id and engines_only are known from its name. Stops when `visit`
 * does not return 0, and returns what it returned. */
int state_each(const char *pid_dir, int (*visit)(void *context, struct state *state),
               void *context);

/* Whether the state was written on this host, and whether since the host was booted. */
bool state_is_of_host(const struct state *state);
bool state_is_here(const struct state *state);
/* Whether it has jobs that can be found and stopped from any host. */
bool state_outlives(const struct state *state);
/* Whether its supervisor runs. */
bool state_supervised(const struct state *state);

/* Takes the lock under which one process at a time reads the states and adds its own. Returns a
 * descriptor to close, or -1 with `error` set. */
int state_lock(const char *pid_dir, struct ipcl_error *error);

#endif
