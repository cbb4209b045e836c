/* How a process calls the batch job that it is in: "Slurm job 88". Batch systems put the parts of it
 * into the environment of a job; `job_variables` of ipcluster/batch.h says which. */
#ifndef BASE_JOB_NAME_H
#define BASE_JOB_NAME_H

#include <ipcluster/error.h>
#include <stdbool.h>

#define JOB_NAME_BYTES 256

/* Whether `variables` is one name or several with '|' between them, where each has a variable, and
 * each variable a name and both of its braces. */
bool job_name_is_sound(const char *variables);
/* Whether `system` is one of ipcluster's own, and calls its jobs by these variables. */
bool job_name_is_known(const char *system, const char *variables);
/* Whether job_name_find() takes `called`. Returns 0, or -1 and sets `error`. */
int job_name_check(const char *called, struct ipcl_error *error);
/* Looks for the job's name in the environment. `called` is the name of a system of ipcluster's own,
 * or text with variables behind it ("Some job {SOME_ID}"), or "" for the first of the systems whose
 * variables are there. Returns false where there is no name. Any thread, while no other sets
 * variables. */
bool job_name_find(const char *called, char name[JOB_NAME_BYTES]);

#endif
