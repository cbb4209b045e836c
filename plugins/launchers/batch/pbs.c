/* The batch system "pbs": OpenPBS and PBS Pro, Torque, and Slurm's commands of the same names.
 * Engines are an array job, which is -J 1-N for the first two and -t 1-N for the others; the first
 * two have no array of one. */
#include <ipcluster/launcher.h>

#define IF_PRO "qsub --version 2>&1 | grep -q pbs_version && "
/* Slurm's qstat, which alone has a tab there, shows a task of an array as a job of its own number,
 * of the same name and owner: it is printed as one of the job, or jobs, that were asked for. */
#define TASKS                                                                                      \
    "case $jobs in \"Job Id:\t\"*) jobs=$(qstat -f) || exit; echo \"$jobs\" | "                    \
    "awk -v RS= -v ids=\" $* \" \"{ id[NR] = \\$3; name[NR] = \\$6 \\$9; text[NR] = \\$0 } "       \
    "index(ids, \\\" \\\" \\$3 \\\" \\\") { asked[\\$3] = \\$6 \\$9 } "                            \
    "END { for (i in id) for (job in asked) "                                                      \
    "if (name[i] == asked[job] && (id[i] == job || !(id[i] in asked))) "                           \
    "{ sub(/[0-9]+/, job, text[i]); print text[i] \\\"\\n\\\" } }\"; exit;; esac; "

static const struct ipcl_batch_state states[] = {
    {"R B E", IPCL_BATCH_RUNNING, NULL}, /* B: an array of which something runs, or did */
    {"S", IPCL_BATCH_RUNNING, "is suspended"},
    {"U", IPCL_BATCH_RUNNING, "is suspended, because its host is in use"},
    {"Q", IPCL_BATCH_PENDING, "waits in the queue"},
    {"H", IPCL_BATCH_PENDING, "is held"},
    {"W", IPCL_BATCH_PENDING, "waits for its start time"},
    {"T", IPCL_BATCH_PENDING, "is being moved to another server"},
    {"C F X", IPCL_BATCH_ENDED, NULL},
    {"M", IPCL_BATCH_ENDED, "was moved to another server"},
    {.words = NULL},
};
static const struct ipcl_batch_system pbs = {
    .name = "PBS",
    .submit = "sh -c '" IF_PRO "to=J || to=t; sed -i \"/^#PBS -J 1-1$/d; s/^#PBS -J /#PBS -$to /\" "
              "\"$1\"; exec qsub \"$1\"' qsub",
    .job_id = "^([0-9]+[^[:space:]]*)",
    .cancel = "qdel",
    .signal = "qsig -s",
    /* PBS Pro shows ended jobs with -x, where it keeps their history. 153: no such job. */
    .query = {.command = "sh -c '" IF_PRO "qstat -x -f \"$@\" 2> /dev/null || { jobs=$(qstat -f "
                         "\"$@\"); s=$?; [ $s != 153 ] || echo Unknown Job Id >&2; " TASKS
                         "echo \"$jobs\"; exit $s; }' qstat",
              .record = "^Job Id:[ \t]*([^ \t]+)",
              .state = "job_state = ([A-Z])",
              .reason = "comment = (.*)",
              .exit_status = "[Ee]xit_status = (-?[0-9]+)"},
    .unknown_job = "Unknown Job|has finished",
    /* Tasks of an array that run are jobs of the same name for Slurm, with higher numbers. */
    .find = "sh -c 'jobs=$(qstat -f) || exit; echo \"$jobs\" | awk -v RS= -v name=\"Job_Name = "
            "$1\" \"index(\\$0, name) && "
            "(!low || \\$3 + 0 < low) { low = \\$3 + 0; job = \\$0 } END { print job }\"' qstat",
    .states = states,
    .prefix = "#PBS",
    .directives =
        "-N {job_name}\n-j oe -o \"{output}.pbs\"\n-q {queue}\n-A {account}\n"
        "-l walltime={timelimit}\n-l ncpus={cores}\n-l mem={memory_mb}mb\n-l ngpus={gpus}",
    .controller = "-V",
    .engines = "-J 1-{n}\n-V",
    .job_variables = "{PBS_JOBID}|{SLURM_ARRAY_JOB_ID}_{SLURM_ARRAY_TASK_ID}|{SLURM_JOB_ID}",
};

IPCL_BATCH_PLUGIN(pbs, .name = "pbs", .version = "1.0", .summary = "PBS jobs",
                  .license = "BSD-2-Clause", .author = "the ipcluster developers");
