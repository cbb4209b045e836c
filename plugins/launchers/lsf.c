/* LSF: bsub reads the script, and bjobs knows of a job for an hour after its end. */
#include <ipcluster/launcher.h>

static const struct ipcl_batch_state states[] = {
    {"PEND", IPCL_BATCH_PENDING, NULL},
    {"WAIT", IPCL_BATCH_PENDING, NULL},
    {"PROV", IPCL_BATCH_PENDING, "its host is made ready"},
    {"PSUSP", IPCL_BATCH_PENDING, "it is suspended: bresume"},
    {"RUN", IPCL_BATCH_RUNNING, NULL},
    {"USUSP", IPCL_BATCH_RUNNING, "it is suspended: bresume"},
    {"SSUSP", IPCL_BATCH_RUNNING, "it is suspended by LSF"},
    {"UNKWN", IPCL_BATCH_RUNNING, "its host does not answer"},
    {"DONE", IPCL_BATCH_ENDED, NULL},
    {"EXIT", IPCL_BATCH_ENDED, NULL},
    {"ZOMBI", IPCL_BATCH_ENDED, "was given up, as its host does not answer"},
    {"TERM_OWNER", IPCL_BATCH_ENDED, "was killed by its owner"},
    {"TERM_ADMIN", IPCL_BATCH_ENDED, "was killed by an administrator"},
    {"TERM_RUNLIMIT", IPCL_BATCH_ENDED, "has reached its time limit"},
    {"TERM_MEMLIMIT", IPCL_BATCH_ENDED, "has reached its memory limit"},
    {"TERM_*", IPCL_BATCH_ENDED, "was ended by LSF"},
};
static const struct ipcl_batch_line lines[] = {
    {"output", "-o \"{output}.lsf\""}, {"queue", "-q {queue}"},  {"account", "-P {account}"},
    {"timelimit", "-W {timelimit}"},   {"options", "{options}"},
};
static const struct ipcl_batch_system lsf = {
    .name = "LSF",
    .aliases = "lsf",
    .summary = "an LSF job",
    .submit = "bsub",
    .submit_reads_script = true,
    .job_id = "Job <([0-9]+)>",
    .cancel = "bkill",
    .signal = "bkill -s",
    /* 1|TERM_OWNER: job killed by owner|EXIT|143|- */
    .query =
        {.command =
             "bjobs -a -noheader -o 'jobid exit_reason stat exit_code pend_reason delimiter=\"|\"'",
         .record = "^([0-9]+)[|]",
         .state = "[|]([A-Z]+_?[A-Z]*)[:|]",
         .reason = "[|]PEND[|][^|]*[|]([^|;]+)",
         .exit_status = "[|]EXIT[|]([0-9]+)[|]"},
    .unknown_job = "is not found|[Nn]o .*job found",
    .find =
        "bjobs -a -noheader -o 'jobid exit_reason stat exit_code pend_reason delimiter=\"|\"' -J",
    .states = states,
    .state_count = sizeof(states) / sizeof(*states),
    .prefix = "#BSUB",
    .controller = "#!/bin/sh\n#BSUB -J {job_name}\n{prologue}\ncd {work_dir} && exec "
                  "{program_and_args} >> \"{output}\" 2>&1\n",
    .engines = "#!/bin/sh\n#BSUB -J {job_name}[1-{n}]\n{prologue}\ncd {work_dir} && exec "
               "{program_and_args} >> \"{output}\" 2>&1\n",
    .lines = lines,
    .line_count = sizeof(lines) / sizeof(*lines),
    .stop_ms = 30000,
};
static const struct ipcl_batch_system *const systems[] = {&lsf};
static const struct ipcl_launcher_operations operations = {.systems = systems, .system_count = 1};

extern const struct ipcl_plugin ipcl_plugin;
IPCL_EXPORT const struct ipcl_plugin ipcl_plugin = {
    IPCL_PLUGIN_HEAD,
    .kind = "launcher",
    .name = "lsf",
    .version = "1.0",
    .summary = "LSF jobs",
    .license = "BSD-2-Clause",
    .author = "the ipcluster developers",
    .operations = &operations,
};
