/* The batch system "slurm": what Slurm's commands are called, and how to read what they print. */
#include <ipcluster/launcher.h>
/* id|state|reason|start|status, as wait(2) has it or, in a newer Slurm, as "status:signal" */
#define ROW                                                                                        \
    .record = "^[0-9]+", .state = "[|]([A-Z_]+)", .exit_status = "[|]([0-9]+)(:[0-9]+)?.$",        \
    .exit_signal = ":([0-9]+).$", .raw_status = true
#define SQUEUE "squeue --noheader --states=all -O JobID:|,State:|,Reason:|,StartTime:|,exit_code:|"
static const struct ipcl_batch_state states[] = {
    {"PENDING REQUEUE*", IPCL_BATCH_PENDING, NULL},
    {"RUNNING", IPCL_BATCH_RUNNING, NULL},
    {"COMPLETING", IPCL_BATCH_RUNNING, "is ending"},
    {"SUSPENDED", IPCL_BATCH_RUNNING, "is suspended"},
    {"COMPLETED FAILED", IPCL_BATCH_ENDED, NULL},
    {"CANCELLED*", IPCL_BATCH_CUT_SHORT, "was cancelled"},
    {"TIMEOUT DEADLINE", IPCL_BATCH_CUT_SHORT, "has reached its time limit"},
    {"OUT_OF_MEMORY", IPCL_BATCH_ENDED, "ran out of memory"},
    {"NODE_FAIL BOOT_FAIL", IPCL_BATCH_CUT_SHORT, "lost a node, which failed or did not boot"},
    {"PREEMPTED", IPCL_BATCH_CUT_SHORT, "was preempted by another job"},
    {.words = NULL},
};
static const struct ipcl_option options[] = {
    {"start_command", IPCL_LIST, "srun --kill-on-bad-exit=0 --wait=0", NULL, NULL,
     "What starts the program in a job, once per task. For MPI: srun --mpi=pmix, or mpiexec."}};
static const struct ipcl_batch_system slurm = {
    .name = "Slurm",
    .submit = "sbatch",
    .job_id = "Submitted batch job ([0-9]+)|^([0-9]+)",
    .cancel = "scancel",
    .signal = "scancel -s",
    .query = {.command = SQUEUE,
              .ids_option = "--jobs=",
              ROW,
              .reason = "^[^|]+[|][^|]+[|]([^N|][^|]*|N[^o|][^|]*|No[^n|][^|]*)", /* not None */
              .starts = "[|][0-9-]+T([0-9]+:[0-9]+)"},
    .unknown_job = "Invalid job id",
    .history = {.command = "sh -c 'sacct -nXPo JobIDRaw,State,ExitCode -j $1 | while IFS=\\| read "
                           "-r id state code; do echo \"$id|$state|by $(id -nu ${state#*by "
                           "})||$((${code%:*} * 256 + ${code#*:}))|\"; done' sacct",
                ROW,
                .reason = "CANCELLED by.*\\|(by [^|]+)"},
    .find = SQUEUE " --me --name",
    .states = states,
    .prefix = "#SBATCH",
    .directives =
        "-J|--job-name={job_name}\n--output=\"{output_pattern}\"\n--partition={queue}\n"
        "--account={account}\n--qos={qos}\n--time={timelimit}\n--cpus-per-task={cores}\n"
        "--gpus-per-task={gpus}\n--mem-per-cpu={(memory_mb+engine_cores-1)//engine_cores}M",
    .controller = "--ntasks=1",
    .engines = "--ntasks={n}",
    /* srun lacks the first, an old Slurm the last; Open MPI 4 and 5 would bind ranks to cores. */
    .run = "env ${{SLURM_CPUS_PER_TASK:+SRUN_CPUS_PER_TASK=$SLURM_CPUS_PER_TASK}} "
           "OMPI_MCA_hwloc_base_binding_policy=${{OMPI_MCA_hwloc_base_binding_policy-none}} "
           "PRTE_MCA_hwloc_default_binding_policy=${{PRTE_MCA_hwloc_default_binding_policy-none}} "
           "SLURM_JOB_END_TIME=`date -d $(squeue -hj $SLURM_JOB_ID -o %e) +%s 2>&- || "
           "echo $SLURM_JOB_END_TIME` {start_command} {program_and_args}",
    .options = options,
    .option_count = 1,
    .job_variables = "{SLURM_ARRAY_JOB_ID}_{SLURM_ARRAY_TASK_ID}|{SLURM_JOB_ID}",
};
IPCL_BATCH_PLUGIN(slurm, .name = "slurm", .version = "1.0", .summary = "Slurm jobs",
                  .license = "BSD-2-Clause", .author = "the ipcluster developers");
