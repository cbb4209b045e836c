/* The batch system "sge": Grid Engine, any branch. Engines are the tasks of an array job. */
#include <ipcluster/launcher.h>

static const struct ipcl_batch_state states[] = {
    {"r t* R*", IPCL_BATCH_RUNNING, NULL},
    {"d*", IPCL_BATCH_RUNNING, "is being deleted"},
    {"s*", IPCL_BATCH_RUNNING, "is suspended"},
    {"S*", IPCL_BATCH_RUNNING, "is suspended with its queue"},
    {"T*", IPCL_BATCH_RUNNING, "is suspended, because its host is busy"},
    {"qw", IPCL_BATCH_PENDING, "waits in the queue (qstat -j says what for)"},
    {"h*", IPCL_BATCH_PENDING, "is held"},
    {"E*", IPCL_BATCH_PENDING, "could not be started (qstat -j says why; qmod -cj tries again)"},
    /* What qacct says: whether it failed, before the user's program did, or with it. */
    {"0", IPCL_BATCH_ENDED, NULL},
    {"37", IPCL_BATCH_ENDED, "has reached a limit of its queue, or one that it asked for"},
    {"100", IPCL_BATCH_ENDED, "was killed"},
    {"1* 2* 3* 4* 5* 6* 7* 8* 9*", IPCL_BATCH_ENDED, "failed (qacct -j says how)"},
    {.words = NULL},
};
static const struct ipcl_batch_system sge = {
    .name = "SGE",
    .submit = "qsub",
    .job_id = "Your job[-a-z]* ([0-9]+)|^[0-9]+",
    .cancel = "qdel",
    .query = {.command = "sh -c 'exec qstat -xml' qstat", /* lists all jobs, and takes no ids */
              .record = "<JB_job_number>([0-9]+)<",
              .state = "<state>([A-Za-z]+)<"},
    .unknown_job = "do not exist",
    .history = {.command = "sh -c 'for i in 1 2 3 4 5 6; do qacct -j \"$1\" && break; sleep 3; "
                           "done' qacct", /* qacct may know of a job only 15 seconds later */
                .record = "^jobnumber +([0-9]+)",
                .state = "^failed +([0-9]+)",
                .reason = "^deleted_(by +[^ N\n].*)", /* some branches say it; NONE: nobody */
                .exit_status = "^exit_status +([0-9]+)"},
    .find = "sh -c 'jobs=$(qstat -xml) || exit; echo \"$jobs\" | awk -v RS=\"</job_list>\" -v "
            "name=\"<JB_name>$1<\" "
            "\"index(\\$0, name)\"' qstat",
    .states = states,
    .prefix = "#$",
    .directives = "-N {job_name}\n-j y -o /dev/null\n-q {queue}\n-P {account}\n"
                  "-l h_rt={timelimit}\n-pe smp {cores}\n"
                  "-l h_vmem={(memory_mb+engine_cores-1)//engine_cores}M\n-l gpu={gpus}",
    .controller = "-S /bin/sh -V",
    .engines = "-S /bin/sh -V -t 1-{n}",
    .job_variables = "{JOB_ID}.{SGE_TASK_ID!undefined}|{JOB_ID}{SGE_TASK_ID?}",
};

IPCL_BATCH_PLUGIN(sge, .name = "sge", .version = "1.0", .summary = "Grid Engine jobs",
                  .license = "BSD-2-Clause", .author = "the ipcluster developers");
