/* What the files of the batch launcher share: its jobs. */
#ifndef CLUSTER_BATCH_BATCH_PRIVATE_H
#define CLUSTER_BATCH_BATCH_PRIVATE_H

#include <stdbool.h>

#include "base/path.h"
#include "cluster/batch/batch.h"
#include "cluster/batch/batch_query.h"

/* How far a job has come. */
enum batch_step {
    BATCH_PLANNED,    /* certainly not submitted */
    BATCH_SUBMITTING, /* the command runs, or ran when its supervisor was killed */
    BATCH_SUBMITTED,  /* its id is known; the batch system may not know of it yet */
    BATCH_PENDING,
    BATCH_RUNNING,
    BATCH_ENDED
};

/* The commands of a system, as settings may have changed them. They are kept with the state:
 * whoever stops a job may have other settings. */
enum batch_command {
    BATCH_SUBMIT,
    BATCH_CANCEL,
    BATCH_SIGNAL,
    BATCH_QUERY,
    BATCH_HISTORY,
    BATCH_FIND,
    BATCH_COMMANDS
};

#define BATCH_COMMAND_MS 60000 /* how long a batch system may take to answer */

/* One job. */
struct batch_job {
    struct batch_job *next; /* in the list of watched jobs (batch_poll.c) */
    struct batch *batch;
    unsigned first, count; /* its copies of the program: the index of the first, and how many */
    enum batch_step step;
    char name[BATCH_TEXT_BYTES]; /* finds it while its id is not known; "": its script gives it
                                    another name */
    char id[BATCH_ID_BYTES];
    char script[PATH_BYTES];
    char output[PATH_BYTES];
    char ends[PATH_BYTES];  /* where its engines' wrappers note how they ended; "": nowhere */
    unsigned ended;         /* copies whose end was reported singly */
    unsigned told, written; /* lines of that file: how many are done with, and were there last */
    char text[BATCH_TEXT_BYTES]; /* what it waits for, or how it runs; "": nothing to say */
    double began;                /* the submission, in seconds since the epoch */
    char trouble[PATH_BYTES + IPCL_ERROR_BYTES]; /* what failed at the submission; it is told if
                                                    there is no such job */
    void *timer;                                 /* to look again; NULL: none */
    unsigned interval_ms;                        /* until the next look */
    long long asked_ms;      /* when a query, perhaps another job's, last asked for it */
    long long looked_ms;     /* when that was answered; -1: not yet */
    bool cancelled;          /* the command to cancel it has succeeded */
    bool forgone;            /* it waits, and is not wanted any more */
    struct batch_record end; /* how it ended, by the query; if its phase is another: not known */
    bool asking;             /* the history is being asked how it ended */
    bool several;            /* elements of an array: some may wait when others have ended */
    bool doubted;            /* one of its engines has gone: it may have ended, but still be listed
                                as running */
};

/* What one launcher starts: a job, or several if engines_per_job says so. They are submitted one
 * after the other. */
struct batch {
    const struct ipcl_batch_system *system;
    const struct ipcl_launcher_services *services;
    const struct ipcl_option_table *settings; /* that templates may name */
    const char *class_name;
    enum ipcl_role role;
    struct batch_job *jobs;
    unsigned job_count;
    char **
        commands[BATCH_COMMANDS]; /* lists of words, NULL-terminated; an empty one: there is none */
    char said[2 * BATCH_TEXT_BYTES];    /* the last status that the supervisor was told */
    char trouble[2 * BATCH_TEXT_BYTES]; /* why the batch system cannot be reached; "": it can */
    void *timer;                        /* to submit; NULL: none */
    bool stopping;
};

/* Runs a command with the arguments `words`, which end with NULL, and `input` (or NULL) on its
 * standard input. `job` is handed to done(). Returns 0, or -1 with `error` set. */
int batch_run(struct batch *batch, enum batch_command command, const char *const *words,
              const char *input, struct batch_job *job,
              void (*done)(void *self, void *context, const struct ipcl_command_end *end),
              struct ipcl_error *error);
/* The same with one argument. */
int batch_run_for(struct batch_job *job, enum batch_command command, const char *word,
                  void (*done)(void *self, void *context, const struct ipcl_command_end *end),
                  struct ipcl_error *error);
/* Why a command failed, by its own words, as one line. */
void batch_failure(const struct ipcl_command_end *end, char *line, size_t size);

/* batch_state.c: the commands, from the settings. Returns 0 or -1 with `error` set. */
int batch_read_commands(struct batch *batch, struct ipcl_error *error);
/* Makes room for jobs. Returns 0 or -1 with `error` set. */
int batch_make_jobs(struct batch *batch, size_t count, struct ipcl_error *error);
void batch_free_commands(struct batch *batch);
/* As launcher.h says. */
char *batch_to_json(void *self);
/* Reads what batch_to_json() saved. Returns 0 or -1 with `error` set. */
int batch_load(struct batch *batch, const char *json, struct ipcl_error *error);

/* Writes the script of one job of `launch`, with the job's own count and label. Returns 0 or -1
 * with `error` set. */
int batch_write_script(struct batch_job *job, const struct ipcl_launch *launch,
                       struct ipcl_error *error);
/* The script's text, malloc'ed. Sets the paths of script and output in `job`. NULL with `error`
 * set. */
char *batch_script(struct batch_job *job, const struct ipcl_launch *launch,
                   struct ipcl_error *error);

/* batch_submit.c: submits the planned jobs, one after the other. */
void batch_submit(struct batch *batch);
/* Looks for a job by its name, if it is not known whether its submission succeeded. */
void batch_find(struct batch_job *job);

/* Whether it must end: all must, or it is not wanted any more. */
bool batch_ends(const struct batch_job *job);

/* batch_job.c: cancels all jobs that are known and have not ended, or one of them. */
void batch_cancel_all(struct batch *batch);
void batch_cancel(struct batch_job *job);
/* Takes what was found out about a job; `record` is NULL if it is gone. Call batch_tell() after
 * this and the next three. */
void batch_is(struct batch_job *job, const struct batch_record *record);
/* Says why its engines end. */
void batch_explain(struct batch_job *job, const struct batch_record *record);
/* It has ended, and nothing more can be found out. */
void batch_ended(struct batch_job *job, const struct batch_record *record);
/* The batch system cannot be reached: nothing is known. */
void batch_unreachable(struct batch_job *job, const char *why);
/* Whether a job was submitted so lately that the batch system may not know of it yet. */
bool batch_is_new(const struct batch_job *job);
/* A job is over. One that was to be stopped has ended well. */
void batch_end(struct batch_job *job, int status, const char *reason);
/* Tells the supervisor how the jobs are, but nothing twice: each text is shown and saved. */
void batch_tell(struct batch *batch);
/* Has the supervisor save what is known of the jobs. */
void batch_save(struct batch *batch);

/* batch_ends.c: a shell's text that runs a program and notes in the file `ends` how it ended.
 * Malloc'ed; NULL if memory is short. `words` is NULL-terminated. */
char *batch_wrap(const char *ends, const char *const *words);
/* Reports ended copies of a job that goes on running. Returns whether there is more to read
 * soon. */
bool batch_read_ends(struct batch_job *job);
/* Passes over what is in the file now: it is from an earlier run of the job. */
void batch_pass_ends(struct batch_job *job);

/* batch_poll.c: watches a job from now on: asks for its state soon, and then less and less often.
 * Also for a job that is watched, if something has changed. */
void batch_watch(struct batch_job *job);
/* It may be about to end: asks at once, and then less and less often. */
void batch_watch_closely(struct batch_job *job);
void batch_unwatch(struct batch_job *job);
/* A batch goes, and its query with it, which may have asked for other batches' jobs too: these ask
 * for themselves at their next look. */
void batch_ask_anew(const struct batch *batch);
/* Asks the batch system's history how a job ended that the queue does not have any more, or whose
 * end it does not explain. */
void batch_ask_history(struct batch_job *job);
/* Asks the history whether a job has ended that still counts as running. If it has, says why. */
void batch_ask_doubt(struct batch_job *job);

#endif
