/* How batch systems call their jobs: `name` and `job_variables` of the tables in
 * plugins/launchers/batch/.
 * Written by scripts/list_batch_launchers.py, which only scripts/build runs: change the tables. */
#ifndef BASE_BATCH_JOBS_H
#define BASE_BATCH_JOBS_H

static const struct batch_jobs {
    const char *system, *variables;
} batch_jobs[] = {
    {"Slurm", "{SLURM_ARRAY_JOB_ID}_{SLURM_ARRAY_TASK_ID}|{SLURM_JOB_ID}"},
    {"HTCondor", "{CONDOR_ID}"},
    {"LSF", "{LSB_JOBID}[{LSB_JOBINDEX!0}]|{LSB_JOBID}"},
    {"PBS", "{PBS_JOBID}|{SLURM_ARRAY_JOB_ID}_{SLURM_ARRAY_TASK_ID}|{SLURM_JOB_ID}"},
    {"SGE", "{JOB_ID}.{SGE_TASK_ID!undefined}|{JOB_ID}{SGE_TASK_ID?}"},
};

#endif
