/* LSF: bsub reads the script, and bjobs knows of a job for an hour after its end. */
#include <ipcluster/launcher.h>

/* 1|TERM_OWNER: job killed by owner|EXIT|143|- */
#define BJOBS "bjobs -a -noheader -o 'jobid exit_reason stat exit_code pend_reason delimiter=\"|\"'"

static const struct ipcl_batch_state states[] = {
    {"PEND WAIT", IPCL_BATCH_PENDING, NULL},
    {"PROV", IPCL_BATCH_PENDING, "its host is being prepared"},
    {"PSUSP", IPCL_BATCH_PENDING, "it is suspended (bresume ends that)"},
    {"RUN", IPCL_BATCH_RUNNING, NULL},
    {"USUSP", IPCL_BATCH_RUNNING, "is suspended (bresume ends that)"},
    {"SSUSP", IPCL_BATCH_RUNNING, "is suspended by LSF"},
    {"UNKWN", IPCL_BATCH_RUNNING, "runs on a host that does not answer"},
    {"DONE EXIT", IPCL_BATCH_ENDED, NULL},
    {"ZOMBI", IPCL_BATCH_CUT_SHORT, "was given up, because its host does not answer"},
    {"TERM_OWNER", IPCL_BATCH_CUT_SHORT, "was killed by its owner"},
    {"TERM_ADMIN", IPCL_BATCH_CUT_SHORT, "was killed by an administrator"},
    {"TERM_RUNLIMIT", IPCL_BATCH_CUT_SHORT, "has reached its time limit"},
    {"TERM_MEMLIMIT", IPCL_BATCH_ENDED, "has reached its memory limit"},
    {"TERM_*", IPCL_BATCH_ENDED, "was ended by LSF"},
    {.words = NULL},
};
static const struct ipcl_batch_system lsf = {
    .name = "LSF",
    .submit = "bsub",
    .submit_reads_script = true,
    .job_id = "Job <([0-9]+)>",
    .cancel = "bkill",
    .signal = "bkill -s",
    .query = {.command = BJOBS,
              .record = "^([0-9]+)[|]",
              .state = "[|]([A-Z]+_?[A-Z]*)[:|]",
              .reason = "[|]PEND[|][^|]*[|]([^|;]+)",
              .exit_status = "[|]EXIT[|]([0-9]+)[|]"},
    .unknown_job = "is not found|[Nn]o .*job found",
    .find = BJOBS " -J",
    .states = states,
    .prefix = "#BSUB",
    .directives = "-o \"{output}.lsf\"\n-q {queue}\n-P {account}\n-W {timelimit}\n"
                  "-n {cores} -R \"span[hosts=1]\"\n"
                  "-M {memory_mb}MB -R \"rusage[mem={memory_mb}MB]\"\n-gpu \"num={gpus}\"",
    .controller = "-J {job_name}",
    .engines = "-J {job_name}[1-{n}]",
    .stop_ms = 30000,
    .job_variables = "{LSB_JOBID}[{LSB_JOBINDEX!0}]|{LSB_JOBID}",
};

IPCL_BATCH_PLUGIN(lsf, .name = "lsf", .version = "1.0", .summary = "LSF jobs",
                  .license = "BSD-2-Clause", .author = "the ipcluster developers");
