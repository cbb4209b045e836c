/* One launcher at work: the class that a plugin offers, and the services that it gets, on the event
 * loop. */
#ifndef CLUSTER_LAUNCHING_LAUNCHER_H
#define CLUSTER_LAUNCHING_LAUNCHER_H

#include <uv.h>

#include <ipcluster/launcher.h>

#include "cluster/launching/children.h"
#include "cluster/launching/workplace.h"
#include "config/settings.h"

struct launcher;

/* What a launcher tells its owner. `stopped` may be called from within start(). */
struct launcher_events {
    /* `count` more copies run; IPCL_ALL_COPIES: all. */
    void (*started)(void *context, unsigned count);
    /* The status has changed, or what to_json() saves has. */
    void (*status)(void *context, const char *text);
    void (*stopped)(void *context, unsigned index, int status, const char *reason);
    /* Why copies end or have ended, as <ipcluster/launcher.h> says of explain(). */
    void (*explained)(void *context, unsigned index, const char *reason, bool cut_short);
    /* `count` copies that ran wait to be started again. */
    void (*waiting)(void *context, unsigned count);
    void (*resized)(void *context, unsigned count, const char *why);
    /* A warning or an error for the user; a launcher's other messages go to the log. */
    void (*warned)(void *context, const char *text);
    void *context;
};

struct launcher_options {
    uv_loop_t *loop;
    struct children *children;
    const struct settings *settings;
    const struct ipcl_plugin *plugin;
    const struct ipcl_launcher_class *class;
    const struct ipcl_batch_system *system; /* as in struct launcher_choice */
    const struct ipcl_option_table *system_settings;
    struct launcher_events events;
    const struct workplace *place; /* where it starts programs; NULL: where this process is */
    FILE *dry; /* where to write what it would start, without starting it; NULL: start it */
};

/* Makes a launcher. NULL with `error` set on failure. What the options point to outlives it. */
struct launcher *launcher_create(const struct launcher_options *options, struct ipcl_error *error);
/* Forgets the launcher; what it started runs on. Memory goes when the loop next turns. Takes
 * NULL. */
void launcher_destroy(struct launcher *launcher);

/* The operations of its class, as <ipcluster/launcher.h> says. */
int launcher_start(struct launcher *launcher, const struct ipcl_launch *launch,
                   struct ipcl_error *error);
int launcher_signal(struct launcher *launcher, int signum, struct ipcl_error *error);
int launcher_stop(struct launcher *launcher, struct ipcl_error *error);
/* How long stopping may take; 0: it does not say. */
unsigned launcher_stop_ms(const struct launcher *launcher);
/* Whether it may start programs on other hosts. */
bool launcher_is_elsewhere(const struct launcher *launcher);
/* What it started is about to end by itself: if a batch system has to be asked for that, it is
 * asked at once. `lost`: only for the batch job of a lost engine, as the engine names it; NULL: for
 * all. */
void launcher_look(struct launcher *launcher, const char *lost);
/* Whether it has several batch jobs, which each go on without the others, also before all have
 * begun. */
bool launcher_goes_on(const struct launcher *launcher);
/* Whether all was started: for batch jobs, whether their system has accepted them. */
bool launcher_submitted(const struct launcher *launcher);
/* As batch_forgo() says; 0 if there are no batch jobs. */
unsigned launcher_forgo(struct launcher *launcher, unsigned most,
                        bool (*used)(void *context, const char *id), void *context);
int launcher_output(struct launcher *launcher, unsigned index, char *path, size_t path_bytes);
/* A new reference to an object; NULL with `error` set if the class gives anything else. */
json_t *launcher_to_json(struct launcher *launcher, struct ipcl_error *error);
int launcher_from_json(struct launcher *launcher, const json_t *own, struct ipcl_error *error);
/* Its children, as children_list() has them. */
json_t *launcher_processes(const struct launcher *launcher);

#endif
