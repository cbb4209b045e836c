/* All copies of the controller or of an engine set. A launcher starts once, so a further one, an
 * instance, starts those that are added later. One thread. */
#ifndef CLUSTER_LAUNCHING_INSTANCES_H
#define CLUSTER_LAUNCHING_INSTANCES_H

#include "cluster/launching/launcher.h"

struct instances;

/* What the owner is told. An index counts the copies of all instances. `stopped` may be called from
 * within instances_start(). */
struct instances_events {
    void (*started)(void *context, unsigned count);
    void (*status)(void *context, const char *text);
    /* `count` copies have ended, from that index on; IPCL_ALL_COPIES: all that ran. */
    void (*stopped)(void *context, unsigned index, unsigned count, int status, const char *reason);
    /* As launcher.h has them; `index` is instances_number()'s. */
    void (*explained)(void *context, unsigned index, const char *reason, bool cut_short);
    void (*waiting)(void *context, unsigned count);
    /* `change` more run or will run, or fewer if it is negative. */
    void (*resized)(void *context, int change, const char *why);
    void (*warned)(void *context, const char *text);
    void *context;
};

/* The options' own events are not used. NULL with `error` set where memory is short. */
struct instances *instances_create(const struct launcher_options *options,
                                   const struct instances_events *events, struct ipcl_error *error);
/* Forgets what was started, which runs on. Takes NULL. */
void instances_destroy(struct instances *instances);

/* Whether they may start copies on other hosts. */
bool instances_start_elsewhere(struct instances *instances);
/* Starts so many copies. Returns 0 or -1 with `error` set. */
int instances_start(struct instances *instances, const struct ipcl_launch *launch,
                    struct ipcl_error *error);
/* As launcher.h has them, for all that runs. */
int instances_signal(struct instances *instances, int signum, struct ipcl_error *error);
int instances_stop(struct instances *instances, struct ipcl_error *error);
unsigned instances_stop_ms(const struct instances *instances);
void instances_look(struct instances *instances, const char *lost);
bool instances_go_on(const struct instances *instances);
bool instances_submitted(const struct instances *instances);
/* Cancels batch jobs that wait, as batch_forgo() says, the last started first. */
unsigned instances_forgo(struct instances *instances, unsigned most,
                         bool (*used)(void *context, const char *id), void *context);
/* How many copies there are. Ended ones count as long as others of their instance run, or nothing
 * was started since. */
unsigned instances_count(const struct instances *instances);
int instances_output(struct instances *instances, unsigned index, char *path, size_t path_bytes);
/* The number of the copy at an index, which never changes and is also its IPEngine.engine_copy. */
unsigned instances_number(const struct instances *instances, unsigned index);
/* {"instances": [{"number": of the first copy, "count": how many copies, "state": from its
 * launcher}, ...]}: a new reference; NULL with `error` set. */
json_t *instances_to_json(struct instances *instances, struct ipcl_error *error);
/* Takes over what an earlier supervisor has saved. resized() reports each copy as started, and
 * stopped() those that have gone. Returns -1 with `error` set if all have gone. */
int instances_from_json(struct instances *instances, const json_t *own, struct ipcl_error *error);
/* Their children, as children_list() has them. */
json_t *instances_processes(const struct instances *instances);

#endif
