/* The batch system "slurm": what Slurm's commands are called, and how to read what they print. */
#include <ipcluster/launcher.h>

#define FIELD "[^|]*\\|"

static const struct ipcl_batch_state states[] = {
    {"PENDING", IPCL_BATCH_PENDING, NULL},
    {"RUNNING", IPCL_BATCH_RUNNING, NULL},
    {"COMPLETING", IPCL_BATCH_RUNNING, NULL},
    {"SUSPENDED", IPCL_BATCH_RUNNING, "is suspended"},
    {"COMPLETED", IPCL_BATCH_ENDED, NULL},
    {"FAILED", IPCL_BATCH_ENDED, NULL},
    {"CANCELLED*", IPCL_BATCH_ENDED, "was cancelled"},
    {"TIMEOUT", IPCL_BATCH_ENDED, "has reached its time limit"},
    {"DEADLINE", IPCL_BATCH_ENDED, "has reached its deadline"},
    {"OUT_OF_MEMORY", IPCL_BATCH_ENDED, "ran out of memory"},
    {"NODE_FAIL", IPCL_BATCH_ENDED, "lost a node, which failed"},
    {"BOOT_FAIL", IPCL_BATCH_ENDED, "had a node that did not boot"},
    {"PREEMPTED", IPCL_BATCH_ENDED, "had to give way to another job"},
};

static const struct ipcl_batch_line lines[] = {
    {"job_name", "--job-name={job_name}"},
    {"output", "--output=\"{output}\""},
    {"queue", "--partition={queue}"},
    {"account", "--account={account}"},
    {"qos", "--qos={qos}"},
    {"timelimit", "--time={timelimit}"},
    {"options", "{options}"},
};

static const struct ipcl_option options[] = {
    {"start_command", IPCL_LIST, "srun --kill-on-bad-exit=0 --wait=0", NULL, NULL,
     "What starts the program within a job, as often as the job has tasks: {start_command} in a "
     "template. With MPI: srun --mpi=pmix, or mpiexec."},
};

static const struct ipcl_batch_system slurm = {
    .name = "Slurm",
    .aliases = "slurm",
    .summary = "a Slurm job",
    .submit = "sbatch",
    .job_id = "Submitted batch job ([0-9]+)|^([0-9]+)",
    .cancel = "scancel",
    .signal = "scancel -s",
    .query = {.command = "squeue --noheader --states=all -O "
                         "JobID:|,State:|,Reason:|,StartTime:|,exit_code:|",
              .ids_option = "--jobs=",
              .record = "^([0-9]+)\\|",
              .state = "^" FIELD "([A-Z_]+)",
              .reason = "^" FIELD FIELD "([^N|][^|]*|N[^o|][^|]*|No[^n|][^|]*)", /* not None */
              .starts = "^" FIELD FIELD FIELD "[0-9-]+T([0-9]+:[0-9]+)",
              .exit_status = "^" FIELD FIELD FIELD FIELD "([0-9]+)",
              .raw_status = true},
    .unknown_job = "Invalid job id",
    .find =
        "squeue --me --noheader --states=all -O JobID:|,State:|,Reason:|,StartTime:|,exit_code:| "
        "--name",
    .states = states,
    .state_count = sizeof(states) / sizeof(*states),
    .prefix = "#SBATCH",
    .controller =
        "#!/bin/sh\n#SBATCH --ntasks=1\n{prologue}\ncd {work_dir} && exec {start_command} "
        "{program_and_args}\n",
    .engines = "#!/bin/sh\n#SBATCH --ntasks={n}\n{prologue}\ncd {work_dir} && exec {start_command} "
               "{program_and_args}\n",
    .lines = lines,
    .line_count = sizeof(lines) / sizeof(*lines),
    .options = options,
    .option_count = 1,
    .stop_ms = 45000, /* Slurm's KillWait is 30 seconds */
};
static const struct ipcl_batch_system *const systems[] = {&slurm};
static const struct ipcl_launcher_operations operations = {.systems = systems, .system_count = 1};

extern const struct ipcl_plugin ipcl_plugin;
IPCL_EXPORT const struct ipcl_plugin ipcl_plugin = {
    IPCL_PLUGIN_HEAD,
    .kind = "launcher",
    .name = "slurm",
    .version = "1.0",
    .summary = "Slurm jobs",
    .license = "BSD-2-Clause",
    .author = "the ipcluster developers",
    .operations = &operations,
};
