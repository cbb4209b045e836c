/* The batch system "tsp": task-spooler, a queue of one user's commands on one machine. A job is one
 * command, so that the script itself starts as many engines as there are to be; what stands behind
 * #TSP are options of tsp. */
#include <ipcluster/launcher.h>

static const struct ipcl_batch_state states[] = {
    {"queued allocating", IPCL_BATCH_PENDING, "waits for a slot (tsp -S)"},
    {"running", IPCL_BATCH_RUNNING, NULL},
    {"finished", IPCL_BATCH_ENDED, NULL},
    {"finished*", IPCL_BATCH_CUT_SHORT, "was killed"}, /* more follows the word: see .state */
    {"skipped", IPCL_BATCH_ENDED, "was skipped, as the job before it failed"},
    {.words = NULL},
};

static const struct ipcl_batch_system table = {
    .name = "TaskSpooler",
    .aliases = "tsp",
    .submit = "sh -c 'exec tsp $(sed -n \"s/^#TSP //p\" \"$1\") sh \"$1\"' tsp",
    .job_id = "^([0-9]+)$",
    /* A job that waits is removed, one that runs is killed. */
    .cancel = "sh -c 'tsp -r \"$1\" 2> /dev/null || tsp -k \"$1\"' tsp",
    .signal = "sh -c 'kill -s \"$1\" -- -$(tsp -p \"$2\")' tsp", /* a job has a process group */
    /* ID   State      Output               E-Level  Times(r/u/s)   Command [run=2/2]
     * 1    finished   /tmp/ts-out.eScHb0   3        0.00/0.00/0.00 [beta]sh -c exit 3 */
    .query = {.command = "sh -c 'exec tsp -l' tsp", /* lists all jobs, and takes no ids */
              .record = "^([0-9]+) ",
              .state = "^[0-9]+ +([a-z]+( +[^ ]+ +-1)?)", /* E-Level -1: by a signal */
              .exit_status = "^[0-9]+ +finished +[^ ]+ +([0-9]+)"},
    .unknown_job = "cannot be stated",
    .find = "sh -c 'tsp -l | grep -F \"[$1]\" || :' tsp",
    .states = states,
    .prefix = "#TSP",
    .directives = "-L {job_name}",
    /* Ends when all engines have ended, and badly where one has. */
    .run = "sh -c 'p= s=0; for i in $(seq {n}); do \"$@\" & p=\"$p $!\"; done; for i in $p; do "
           "wait $i || s=$?; done; exit $s' sh {program_and_args} >> \"{output}\" 2>&1",
    .here = true,
};

IPCL_BATCH_PLUGIN(table, .name = "tsp", .version = "0.1", .summary = "jobs of task-spooler",
                  .license = "BSD-2-Clause", .author = "the ipcluster developers");
