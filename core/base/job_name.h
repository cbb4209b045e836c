/* The name of the batch job that this process is in: "Slurm job 88". Batch systems put its parts
 * into a job's environment; `job_variables` of ipcluster/batch.h says where. */
#ifndef BASE_JOB_NAME_H
#define BASE_JOB_NAME_H

#include <ipcluster/error.h>
#include <stdbool.h>

#define JOB_NAME_BYTES 256

/* Whether `variables` is one name or several with '|' between them, each name has a variable, and
 * each variable has a name and both braces. */
bool job_name_is_sound(const char *variables);
/* Whether `system` is one of ipcluster's own batch systems, and these are its variables. */
bool job_name_is_known(const char *system, const char *variables);
/* Whether job_name_find() takes `called`. Returns 0, or -1 and sets `error`. */
int job_name_check(const char *called, struct ipcl_error *error);
/* Finds the job's name in the environment. `called` is the name of one of ipcluster's own systems;
 * or text with variables ("Some job {SOME_ID}"); or "" for the first system whose variables are
 * set. Returns false if there is no name. Any thread, while no other sets variables. */
bool job_name_find(const char *called, char name[JOB_NAME_BYTES]);

#endif
