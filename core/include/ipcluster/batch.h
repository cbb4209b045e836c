/* Batch systems (Slurm, PBS, LSF and so on) as tables, for plugins of kind "launcher".
 *
 * A table says by which commands jobs are submitted, deleted, signalled and looked at, and how to
 * read what these print. The host does the rest: it writes scripts, submits, waits, asks for all
 * jobs at once, remembers them for a later supervisor, and stops them. From the table of "Slurm"
 * come the launcher classes SlurmControllerLauncher and SlurmEngineSetLauncher, which share the
 * settings of the class SlurmLauncher, and the short name "slurm".
 *
 * Commands are words as a shell reads them; their first is looked up on PATH. Regular expressions
 * are POSIX extended ones, in which ^ and $ are the ends of a line, and no . is a newline; \d, \s
 * and \w are as Python has them. Their first group is what is meant, or the whole where there is
 * none. All pointers are static. What may be NULL says so. */
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
    /* one that ends, too, as long as its processes may run: with words for that */
    IPCL_BATCH_RUNNING,
    IPCL_BATCH_ENDED,
    /* Since ABI 1.3. It was ended by its system or by people, and not by what it ran: it has
     * reached its time limit, lost a node or was cancelled. What it interrupted and is tried again
     * uses up no retry. */
    IPCL_BATCH_CUT_SHORT
};

/* What words for a job's state mean. */
struct ipcl_batch_state {
    /* "COMPLETED FAILED", with spaces between; one that ends in * stands for all that begin so */
    const char *words;
    enum ipcl_batch_phase phase;
    /* how it is told to people: "has reached its time limit". Where a job that ended has one, it
     * ended with an error. NULL: a pending or running job needs no words, one that ended says it by
     * its exit status */
    const char *said;
};

/* How jobs are looked at, and what is printed of each. */
struct ipcl_batch_query {
    const char *command; /* the ids of the jobs follow it */
    /* "--jobs=": they follow it in its word, with commas between. NULL: each is a word of its
     * own */
    const char *ids_option;
    /* where what is said of a job begins, which goes on to the next such place; its group is the
     * job's id */
    const char *record;
    /* all that follow are looked for in such a record: the word for its state */
    const char *state;
    /* why it waits; of `history`, what follows the words for how it ended: "by alice"; may be
     * NULL */
    const char *reason;
    const char *starts;      /* when it is expected to start; may be NULL */
    const char *exit_status; /* with which status it ended, a number; may be NULL */
    const char *exit_signal; /* by which signal, a number, 0 for none; may be NULL */
    bool raw_status;         /* where no signal is found, the status is as wait(2) has it */
};

struct ipcl_batch_system {
    const char *name; /* "Slurm": of its classes */
    /* short names of both classes, comma separated. NULL: the name in small letters */
    const char *aliases;

    const char *submit; /* the script's path follows it: "sbatch" */
    /* it is given the script on its standard input in place of its path */
    bool submit_reads_script;
    const char *job_id; /* what is a job's id in what submit prints */
    const char *cancel; /* the id follows it: "scancel" */
    /* the signal's number and the id follow it; NULL where there is no such command */
    const char *signal;
    /* All jobs that the system still knows. Where the command fails and prints what `unknown_job`
     * matches, the jobs that it says nothing of are gone; where it fails in another way, the system
     * cannot be reached, and nothing is known. */
    struct ipcl_batch_query query;
    const char *unknown_job;
    /* How a job ended of which `query` says nothing any more, or no more than that it did not end
     * well; its command is NULL where nobody knows. */
    struct ipcl_batch_query history;
    /* The jobs of the name that follows it, printed as `query` does: for a supervisor that ended
     * before it had read what submit printed. NULL where there is no such command. */
    const char *find;
    const struct ipcl_batch_state *states; /* up to one without words */

    /* What scripts are made of, all of it templates as ipyparallel has them. {n},
     * {program_and_args}, {program}, {program_args}, {profile_dir}, {cluster_id}, {work_dir},
     * {output}, {output_pattern} (with %% for %), {job_name}, {memory_mb}, {engine_cores} (at least
     * 1) and each setting of the class are known. */
    const char *prefix; /* of a directive's line: "#SBATCH" */
    /* Directives, with \n between. These stand behind the first line of each script, but for those
     * that it has already, and those that name a setting which has no value, or a number of 0:
     * "--partition={queue}". An option that has several spellings has them with | between, of which
     * the last is written: "-J|--job-name={job_name}". The setting `options` follows them. */
    const char *directives;
    /* The system's own scripts have these as well, then {prologue}, and in {work_dir} what runs the
     * program. */
    const char *controller; /* NULL: none */
    const char *engines;    /* "--ntasks={n}"; NULL: none */
    const char *run;        /* NULL: {program_and_args} >> "{output}" 2>&1 */
    /* Settings of its own, beside those that all batch systems have (ipcluster plugins shows them).
     * May be NULL where the count is 0. A row with the name of one that all have takes its
     * place. */
    const struct ipcl_option *options;
    size_t option_count;
    /* its jobs run on this machine, and end with it: the controller need not be reached from
     * others */
    bool here;
    unsigned stop_ms; /* how long a cancelled job may take to end; 0: 45 seconds */
    /* Since ABI 1.4. How a job, or an element of an array, is called, with variables that its
     * system sets in it: "{JOB_ID}.{TASK_ID}|{JOB_ID}". It begins with a variable. Of the names
     * between the | the first counts whose variables all have a value, and another than what
     * follows a ! in their braces: "{TASK_ID!undefined}". "{TASK_ID?}" has to have a value that is
     * not shown. The text is as `job_id` reads the id.
     * NULL: an engine does not say in which job it is, and why a job ended is not in the errors of
     * what its engines ran. */
    const char *job_variables;
};

#ifdef __cplusplus
}
#endif
#endif
