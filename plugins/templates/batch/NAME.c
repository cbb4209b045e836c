/* The batch system "@NAME@": what its commands are called, and how to read what they print. The
 * commands of this table are made up: put those of your system in their place, and what they print
 * into samples/. <ipcluster/batch.h> says what else a table can have. */
#include <ipcluster/launcher.h>

/* The words for a job's state, and what is told to people of it. */
static const struct ipcl_batch_state states[] = {
    {"waiting", IPCL_BATCH_PENDING, NULL},
    {"running", IPCL_BATCH_RUNNING, NULL},
    {"done", IPCL_BATCH_ENDED, NULL},
    {"killed", IPCL_BATCH_ENDED, "was killed"},
    {.words = NULL},
};

static const struct ipcl_batch_system table = {
    .name = "@CLASS@", /* of its classes: @CLASS@EngineSetLauncher */
    .submit = "@NAME@-submit",
    .job_id = "job ([0-9]+)",
    .cancel = "@NAME@-cancel",
    .signal = "@NAME@-signal",
    /* 12 waiting priority
     * 13 done 1 */
    .query = {.command = "@NAME@-list",
              .record = "^([0-9]+) ",
              .state = "^[0-9]+ ([a-z]+)",
              .reason = "waiting (.+)",
              .exit_status = "done ([0-9]+)"},
    .unknown_job = "no such job",
    .states = states,
    .prefix = "#@UPPER@",
    .directives = "--name={job_name}\n--queue={queue}\n--time={timelimit}",
    .engines = "--tasks={n}", /* the system starts the script so often */
    .job_variables = "{@UPPER@_JOB_ID}",
};

IPCL_BATCH_PLUGIN(table, .name = "@NAME@", .version = "0.1", .summary = "@CLASS@ jobs",
                  .license = "BSD-2-Clause", .author = "@AUTHOR@");
