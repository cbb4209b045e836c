/* All that was started for a job: by one launcher at first. Each launcher starts once, so a further
 * instance starts what is added later. One thread. */
#ifndef CLUSTER_LAUNCHING_INSTANCES_H
#define CLUSTER_LAUNCHING_INSTANCES_H

#include "cluster/launching/launcher.h"

struct instances;

/* What the owner is told. Copies are counted through all instances. `stopped` may be called from
 * within instances_start(). */
struct instances_events {
    void (*started)(void *context, unsigned count);
    void (*status)(void *context, const char *text);
    /* `count` copies have ended, from that index on; IPCL_ALL_COPIES: all that ran. */
    void (*stopped)(void *context, unsigned index, unsigned count, int status, const char *reason);
    /* As launcher.h has them; `index` is instances_number()'s. */
    void (*explained)(void *context, unsigned index, const char *reason, bool cut_short);
    void (*waiting)(void *context, unsigned count);
    /* So many more run or are going to, or fewer. */
    void (*resized)(void *context, int change, const char *why);
    void (*warned)(void *context, const char *text);
    void *context;
};

/* The options' own events are not used. NULL with `error` set where memory is short. */
struct instances *instances_create(const struct launcher_options *options,
                                   const struct instances_events *events, struct ipcl_error *error);
/* Forgets what was started; it runs on. Takes NULL. */
void instances_destroy(struct instances *instances);

/* Whether what they would start may be on other machines. */
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
/* Cancels batch jobs that wait, as batch_forgo() says, those first that were started last. */
unsigned instances_forgo(struct instances *instances, unsigned most,
                         bool (*used)(void *context, const char *id), void *context);
/* How many copies there are: those that have ended are counted as long as others of their instance
 * run, or nothing was started since. */
unsigned instances_count(const struct instances *instances);
int instances_output(struct instances *instances, unsigned index, char *path, size_t path_bytes);
/* What the copy of an index is numbered by for ever, also as IPEngine.engine_copy. */
unsigned instances_number(const struct instances *instances, unsigned index);
/* {"instances": [{"number": of the first, "count": how many copies, "state": what its launcher has
 * said}, ...]}: a new reference; NULL with `error` set. */
json_t *instances_to_json(struct instances *instances, struct ipcl_error *error);
/* Takes over what an earlier supervisor has saved. Each copy is told of as started by resized(),
 * and as stopped where it has gone. Returns -1 with `error` set where all are gone. */
int instances_from_json(struct instances *instances, const json_t *own, struct ipcl_error *error);
/* Their children, as children_list() has them. */
json_t *instances_processes(const struct instances *instances);

#endif
