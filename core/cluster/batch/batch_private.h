/* What the files of the batch launcher share: its jobs. */
#ifndef CLUSTER_BATCH_BATCH_PRIVATE_H
#define CLUSTER_BATCH_BATCH_PRIVATE_H

#include <stdbool.h>

#include "base/path.h"
#include "cluster/batch/batch.h"
#include "cluster/batch/batch_query.h"

/* Where a job is on its way. */
enum batch_step {
    BATCH_PLANNED,    /* certainly not submitted */
    BATCH_SUBMITTING, /* the command runs, or did when its supervisor was killed */
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

#define BATCH_COMMAND_MS 60000 /* for a batch system to answer */

/* One job. */
struct batch_job {
    struct batch_job *next; /* all that are looked after; batch_poll.c */
    struct batch *batch;
    unsigned first, count; /* its copies of the program: the index of the first, and how many */
    enum batch_step step;
    char name[BATCH_TEXT_BYTES]; /* by which it is found where its id is not known; "": its script
                                    gives it another */
    char id[BATCH_ID_BYTES];
    char script[PATH_BYTES];
    char output[PATH_BYTES];
    char ends[PATH_BYTES];  /* the file in which its engines' wrappers say how these ended; "" */
    unsigned ended;         /* copies that were reported, one by one */
    unsigned told, written; /* lines of that file: those done with, and all at the last look */
    char text[BATCH_TEXT_BYTES]; /* what it waits for, or how it runs; "" where there is nothing
                                    to say */
    double began;                /* the submission, in seconds since the epoch */
    char trouble[PATH_BYTES + IPCL_ERROR_BYTES]; /* with the submission: told where there is no such
                                                    job */
    void *timer;                                 /* to look again; NULL: none */
    unsigned interval_ms;                        /* until the next look */
    long long asked_ms;      /* when it was asked for last, by whichever job's query, */
    long long looked_ms;     /* and when it was answered; -1: not yet */
    bool cancelled;          /* the command to cancel it has succeeded */
    bool forgone;            /* it waits, and is not wanted any more */
    struct batch_record end; /* how it ended, by the query; of another phase: not known */
    bool asking;             /* the history is asked how it ended */
    bool several;            /* elements of an array: some may wait when others have ended */
    bool doubted;            /* an engine of it has gone: it may end, though it counts as running */
};

/* What one launcher starts: a job, or where engines_per_job says so several, which are submitted
 * one after the other. */
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
    char said[2 * BATCH_TEXT_BYTES];    /* to the supervisor, of its status */
    char trouble[2 * BATCH_TEXT_BYTES]; /* the batch system cannot be reached; "" where it can */
    void *timer;                        /* to submit; NULL: none */
    bool stopping;
};

/* Runs a command, with `input` on its standard input (or NULL) and the words behind it, which end
 * with a NULL; `job` is handed to done(). Returns 0, or -1 with `error` set. */
int batch_run(struct batch *batch, enum batch_command command, const char *const *words,
              const char *input, struct batch_job *job,
              void (*done)(void *self, void *context, const struct ipcl_command_end *end),
              struct ipcl_error *error);
/* The same with one word. */
int batch_run_for(struct batch_job *job, enum batch_command command, const char *word,
                  void (*done)(void *self, void *context, const struct ipcl_command_end *end),
                  struct ipcl_error *error);
/* What a command said of why it failed, as one line. */
void batch_failure(const struct ipcl_command_end *end, char *line, size_t size);

/* batch_state.c: the commands, from the settings. Returns 0 or -1 with `error` set. */
int batch_read_commands(struct batch *batch, struct ipcl_error *error);
/* Makes room for jobs. Returns 0 or -1 with `error` set. */
int batch_make_jobs(struct batch *batch, size_t count, struct ipcl_error *error);
void batch_free_commands(struct batch *batch);
/* As launcher.h says. */
char *batch_to_json(void *self);
/* Fills in what was saved. Returns 0 or -1 with `error` set. */
int batch_load(struct batch *batch, const char *json, struct ipcl_error *error);

/* Writes the script of a job, which is one of `launch`, with its own count and label. Returns 0 or
 * -1 with `error` set. */
int batch_write_script(struct batch_job *job, const struct ipcl_launch *launch,
                       struct ipcl_error *error);
/* The script's text, malloc'ed, and its path and that of the output in `job`. NULL with `error`
 * set. */
char *batch_script(struct batch_job *job, const struct ipcl_launch *launch,
                   struct ipcl_error *error);

/* batch_submit.c: submits what is planned, one job after the other. */
void batch_submit(struct batch *batch);
/* Looks for a job whose submission was not seen to end, by its name. */
void batch_find(struct batch_job *job);

/* Whether it is to end: as all are, or as it is not wanted any more. */
bool batch_ends(const struct batch_job *job);

/* batch_job.c: cancels all jobs that are known and have not ended, or that one. */
void batch_cancel_all(struct batch *batch);
void batch_cancel(struct batch_job *job);
/* What was found out about a job: of one that is gone `record` is NULL. Whoever calls these four
 * calls batch_tell() after them. */
void batch_is(struct batch_job *job, const struct batch_record *record);
/* Says why its engines end. */
void batch_explain(struct batch_job *job, const struct batch_record *record);
/* It has ended, and nobody knows more of it. */
void batch_ended(struct batch_job *job, const struct batch_record *record);
/* The batch system cannot be reached: nothing is known. */
void batch_unreachable(struct batch_job *job, const char *why);
/* Whether a job was submitted so lately that the batch system may not know of it yet. */
bool batch_is_new(const struct batch_job *job);
/* A job is over. What was to be stopped has ended well. */
void batch_end(struct batch_job *job, int status, const char *reason);
/* Tells the supervisor how the jobs are, each thing once, as it is shown and saved. */
void batch_tell(struct batch *batch);
/* Has what is known of the jobs saved. */
void batch_save(struct batch *batch);

/* batch_ends.c: the words of a program, as a shell reads them, in a wrapper that notes how it
 * ended. Malloc'ed; NULL where memory is short. `words` is NULL-terminated. */
char *batch_wrap(const char *ends, const char *const *words);
/* Reports copies of a job that runs, and goes on to, which have ended. Returns whether there is
 * more to read soon. */
bool batch_read_ends(struct batch_job *job);
/* What is in the file now is of an earlier run of the job. */
void batch_pass_ends(struct batch_job *job);

/* batch_poll.c: looks after a job from now on: soon, and then less and less often. Also for one
 * that is looked after already, where something has changed. */
void batch_watch(struct batch_job *job);
/* It may be about to end: looks at once, and then less and less often. */
void batch_watch_closely(struct batch_job *job);
void batch_unwatch(struct batch_job *job);
/* A batch goes, and with it the query that it may have asked, which was about other batches' jobs
 * as well: these ask by themselves when they next look. */
void batch_ask_anew(const struct batch *batch);
/* Asks the history of the batch system how a job ended: that it has forgotten, or of which it does
 * not say why. */
void batch_ask_history(struct batch_job *job);
/* Whether the history knows that a job has ended which still counts as running: says why, where it
 * does. */
void batch_ask_doubt(struct batch_job *job);

#endif
