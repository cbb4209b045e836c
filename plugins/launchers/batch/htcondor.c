/* The batch system "htcondor": a job's script has its submit description in lines that begin with
 * #HTCONDOR, and is what is executed. A template that is a submit description itself, with an
 * executable of its own, as ipyparallel's are, is submitted as it is. */
#include <ipcluster/launcher.h>

#define JOB    " -format \"%d \" ClusterId -format \"%d \" JobStatus"
#define LIVE   JOB " -format %s HoldReason -format \"\\\\n\" ClusterId"
#define SUBMIT "grep -qi \"^ *executable *=\" \"$1\" && sed \"s/^#HTCONDOR //\" \"$1\""

static const struct ipcl_batch_state states[] = {
    {"1", IPCL_BATCH_PENDING, "is idle (condor_q -better-analyze says what it waits for)"},
    {"2 6", IPCL_BATCH_RUNNING, NULL},
    {"3", IPCL_BATCH_CUT_SHORT, "was removed"},
    {"4", IPCL_BATCH_ENDED, NULL},
    {"5", IPCL_BATCH_PENDING, "is held"},
    {"7", IPCL_BATCH_RUNNING, "is suspended"},
    {.words = NULL},
};
static const struct ipcl_batch_system htcondor = {
    .name = "HTCondor",
    .submit = "sh -c '{ " SUBMIT " || { echo \"executable = $1\"; sed -n \"s/^#HTCONDOR //p\" "
              "\"$1\"; }; } | condor_submit' condor_submit",
    .job_id = "submitted to cluster ([0-9]+)",
    .cancel = "condor_rm",
    .query = {.command = "condor_q" LIVE,
              .record = "^([0-9]+) ",
              .state = "^[0-9]+ ([0-9])",
              .reason = "^[0-9]+ 5 (.+)"},
    .unknown_job = "no such job", /* condor_q fails only if it reaches nobody */
    .history = {.command = "condor_history" JOB " -format \"%d \" ExitCode -format \"signal %d\" "
                           "ExitSignal -format %s RemoveReason -format \"\\\\n\" ClusterId",
                .record = "^([0-9]+) ",
                .state = "^[0-9]+ ([0-9])",
                .reason = "via .*",
                .exit_status = "^[0-9]+ [0-9] ([0-9]+)",
                .exit_signal = "signal ([0-9]+)"},
    .find = "sh -c 'exec condor_q -constraint \"JobBatchName == \\\"$1\\\"\"" LIVE "' condor_q",
    .states = states,
    .prefix = "#HTCONDOR",
    .directives = "batch_name = {job_name}\naccounting_group = {account}\n"
                  "request_cpus = {cores}\nrequest_memory = {memory_mb}\nrequest_gpus = {gpus}",
    .controller = "getenv = True\nqueue",
    .engines = "getenv = True\nenvironment = \"CONDOR_ID=$(ClusterId).$(ProcId)\"\nqueue {n}",
    .job_variables = "{CONDOR_ID}",
};

IPCL_BATCH_PLUGIN(htcondor, .name = "htcondor", .version = "1.0", .summary = "HTCondor jobs",
                  .license = "BSD-2-Clause", .author = "the ipcluster developers");
