/* What the files of the batch launcher share: one job. */
#ifndef CLUSTER_BATCH_INTERNAL_H
#define CLUSTER_BATCH_INTERNAL_H

#include <stdbool.h>

#include "base/path.h"
#include "cluster/batch.h"
#include "cluster/batch_query.h"

/* Where a job is on its way. */
enum batch_step {
    BATCH_SUBMITTING, /* the command will run, runs, or did when its supervisor was killed */
    BATCH_PENDING,
    BATCH_RUNNING,
    BATCH_ENDED
};

/* The commands of a system, as settings may have changed them. They are kept with the state: who
 * stops a job may have other settings. */
enum batch_command {
    BATCH_SUBMIT,
    BATCH_CANCEL,
    BATCH_SIGNAL,
    BATCH_QUERY,
    BATCH_HISTORY,
    BATCH_FIND,
    BATCH_COMMANDS
};

#define BATCH_COMMAND_MS 60000 /* for a batch system to answer */

struct batch {
    struct batch *next; /* all that are looked after; batch_poll.c */
    const struct ipcl_batch_system *system;
    const struct ipcl_launcher_services *services;
    const struct ipcl_option_table *settings; /* that templates may name */
    const char *class_name;
    enum ipcl_role role;
    unsigned count; /* copies of the program */
    enum batch_step step;
    char name[BATCH_TEXT_BYTES]; /* the job's, by which it is found where its id is not known */
    char id[BATCH_ID_BYTES];
    char script[PATH_BYTES];
    char output[PATH_BYTES];
    char **
        commands[BATCH_COMMANDS]; /* lists of words, NULL-terminated; an empty one: there is none */
    char said[2 * BATCH_TEXT_BYTES]; /* to the supervisor, of its status */
    double began;                    /* the submission, in seconds since the epoch */
    bool queued;                     /* the timer is to submit */
    char trouble[BATCH_TEXT_BYTES];  /* with the submission: told where there is no such job */
    void *timer;                     /* to submit, or to look again; NULL: none */
    unsigned interval_ms;            /* until the next look */
    long long asked_ms;              /* when it was asked for last, by whichever job's query, */
    long long looked_ms;             /* and when it was answered; -1: not yet */
    bool stopping;
    bool cancelled;   /* the command to cancel it has succeeded */
    bool unreachable; /* that has been said */
};

/* Runs a command for a job, with one or two words behind it that may be NULL. Returns 0, or -1 with
 * `error` set. */
int batch_run(struct batch *batch, enum batch_command command, const char *first,
              const char *second, const char *input,
              void (*done)(void *self, void *context, const struct ipcl_command_end *end),
              struct ipcl_error *error);
/* What a command said of why it failed, as one line. */
void batch_failure(const struct ipcl_command_end *end, char *line, size_t size);

/* batch_state.c: the commands, from the settings. Returns 0 or -1 with `error` set. */
int batch_read_commands(struct batch *batch, struct ipcl_error *error);
void batch_free_commands(struct batch *batch);
/* As launcher.h says. */
char *batch_to_json(void *self);
/* Fills in what was saved. Returns 0 or -1 with `error` set. */
int batch_load(struct batch *batch, const char *json, struct ipcl_error *error);

/* Writes the job's script. Returns 0 or -1 with `error` set. */
int batch_write_script(struct batch *batch, const struct ipcl_launch *launch,
                       struct ipcl_error *error);
/* The script's text, malloc'ed, and its path and that of the output in `batch`. NULL with `error`
 * set. */
char *batch_script(struct batch *batch, const struct ipcl_launch *launch, struct ipcl_error *error);

/* Looks after a job from now on: soon, and then less and less often. Also for one that is looked
 * after already, where something has changed. */
void batch_watch(struct batch *batch);
void batch_unwatch(struct batch *batch);
/* Looks again after a while, which grows. */
void batch_look_later(struct batch *batch);
/* Asks the history of the batch system how a job ended that it has forgotten. */
void batch_ask_history(struct batch *batch);
/* What was found out about a job: of one that is gone `record` is NULL. */
void batch_is(struct batch *batch, const struct batch_record *record);
/* The batch system cannot be reached: nothing is known. */
void batch_unreachable(struct batch *batch, const char *why);

#endif
