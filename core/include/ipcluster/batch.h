/* Batch systems (Slurm, PBS, LSF and so on) as tables, for plugins of kind "launcher".
 *
 * A table names the commands that submit, delete, signal and query jobs, and says how to read what
 * they print. ipcluster does the rest: it writes scripts, submits, waits, asks for all jobs at
 * once, remembers them for a later supervisor, and stops them. From the table of "Slurm" come the
 * launcher classes SlurmControllerLauncher and SlurmEngineSetLauncher, and the short name "slurm".
 * The two classes share the settings of the class SlurmLauncher.
 *
 * Commands are words as a shell reads them; the first word is looked up on PATH. Regular
 * expressions are POSIX extended ones: ^ and $ are the ends of a line, and . does not match a
 * newline. \d, \s and \w mean what they mean in Python. The value is the first group, or the whole
 * match if there is no group. All pointers are static. A member that may be NULL says so. */
#ifndef IPCLUSTER_BATCH_H
#define IPCLUSTER_BATCH_H

#include <stdbool.h>
#include <stddef.h>

#include <ipcluster/option.h>

#ifdef __cplusplus
extern "C" {
#endif

enum ipcl_batch_phase {
    IPCL_BATCH_PENDING,
    /* also a job that is ending, as long as its processes may run: `said` has the words for that */
    IPCL_BATCH_RUNNING,
    IPCL_BATCH_ENDED,
    /* Since ABI 1.3. The job was ended by its system or by people, and not by what it ran: it
     * reached its time limit, lost a node or was cancelled. Tasks that it interrupted and that are
     * tried again use up no retry. */
    IPCL_BATCH_CUT_SHORT
};

/* What the words for a job's state mean. */
struct ipcl_batch_state {
    /* "COMPLETED FAILED", with spaces between; a word that ends in * stands for all words with that
     * beginning */
    const char *words;
    enum ipcl_batch_phase phase;
    /* how people are told: "has reached its time limit". A job that ended with such words ended
     * with an error. NULL: a pending or running job needs no words; for a job that ended, its exit
     * status says it */
    const char *said;
};

/* How jobs are queried, and what is printed about each job. */
struct ipcl_batch_query {
    const char *command; /* the ids of the jobs follow it */
    /* "--jobs=": the ids follow in the same word, with commas between. NULL: each id is a word of
     * its own */
    const char *ids_option;
    /* where the text about a job begins; it goes on to the next match. Its group is the job's id */
    const char *record;
    /* this and the following are looked for in such a record: the word for its state */
    const char *state;
    /* why it waits; in `history`: what follows the words for how it ended, such as "by alice"; may
     * be NULL */
    const char *reason;
    const char *starts;      /* when it is expected to start; may be NULL */
    const char *exit_status; /* its exit status, a number; may be NULL */
    const char *exit_signal; /* the signal that ended it, a number, 0 for none; may be NULL */
    bool raw_status;         /* if no signal is found, the status is in the form of wait(2) */
};

struct ipcl_batch_system {
    const char *name; /* "Slurm": the beginning of its classes' names */
    /* short names of both classes, comma separated. NULL: the name in lower case */
    const char *aliases;

    const char *submit; /* the script's path follows it: "sbatch" */
    /* submit reads the script from its standard input, and gets no path */
    bool submit_reads_script;
    const char *job_id; /* the job's id in what submit prints */
    const char *cancel; /* the id follows it: "scancel" */
    /* the signal's number and the id follow it; NULL if there is no such command */
    const char *signal;
    /* All jobs that the system still knows. If the command fails and prints what `unknown_job`
     * matches, the jobs that it does not mention are gone. If it fails in another way, the system
     * cannot be reached, and nothing is known. */
    struct ipcl_batch_query query;
    const char *unknown_job;
    /* How a job ended, if `query` no longer mentions it, or says only that it did not end well. Its
     * command is NULL if the system does not know. */
    struct ipcl_batch_query history;
    /* The jobs with the name that follows it, printed as `query` prints them: for a supervisor that
     * ended before it had read what submit printed. NULL if there is no such command. */
    const char *find;
    const struct ipcl_batch_state *states; /* ends with an entry without words */

    /* What scripts are made of. All are templates, in ipyparallel's form. {n}, {program_and_args},
     * {program}, {program_args}, {profile_dir}, {cluster_id}, {work_dir}, {output},
     * {output_pattern} (with %% for %), {job_name}, {memory_mb}, {engine_cores} (at least 1) and
     * each setting of the class are known. */
    const char *prefix; /* how a directive's line begins: "#SBATCH" */
    /* Directives, with \n between. They are put after the first line of each script. Left out are
     * those that the script has already, and those that name a setting ("--partition={queue}") that
     * has no value, or the value 0. If an option has several spellings, they have | between them,
     * and the last is written: "-J|--job-name={job_name}". The setting `options` follows them. */
    const char *directives;
    /* Scripts that ipcluster makes have these as well, then {prologue}, and in {work_dir} what runs
     * the program. */
    const char *controller; /* NULL: none */
    const char *engines;    /* "--ntasks={n}"; NULL: none */
    const char *run;        /* NULL: {program_and_args} >> "{output}" 2>&1 */
    /* Settings of its own, beside those that all batch systems have (ipcluster plugins shows them).
     * May be NULL if the count is 0. A row with the name of a common setting replaces it. */
    const struct ipcl_option *options;
    size_t option_count;
    /* its jobs run on this machine, and end with it: other machines need not reach the
     * controller */
    bool here;
    unsigned stop_ms; /* how long a cancelled job may take to end; 0: 45 seconds */
    /* Since ABI 1.4. The name of a job, or of an element of a job array, with variables that the
     * system sets in the job: "{JOB_ID}.{TASK_ID}|{JOB_ID}". It begins with a variable. There may
     * be several names with | between, each with a variable; braces are for variables only. The
     * first name counts whose variables all have a value. "{TASK_ID!undefined}" counts as without a
     * value if it is "undefined". "{TASK_ID?}" must have a value, but it is not shown. The text
     * must be the same as the id that `job_id` reads. NULL: an engine does not say in which job it
     * is. Then the errors of its requests do not say why the job ended. */
    const char *job_variables;
};

#ifdef __cplusplus
}
#endif
#endif
