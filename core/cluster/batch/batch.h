/* The launcher of batch systems: jobs of a system that a plugin's table describes. */
#ifndef CLUSTER_BATCH_BATCH_H
#define CLUSTER_BATCH_BATCH_H

#include <stdbool.h>

#include <ipcluster/launcher.h>

/* What the classes of all batch systems have in common; their create() is batch_create(). */
extern const struct ipcl_launcher_class batch_class;

/* Makes a launcher of a system's class; `settings` are the system's. NULL with `error` set on
 * failure. All arguments outlive it. */
void *batch_create(const struct ipcl_batch_system *system, const struct ipcl_option_table *settings,
                   const struct ipcl_launcher_class *class,
                   const struct ipcl_launcher_services *services, struct ipcl_error *error);
/* Its jobs are expected to end: asks for their states now. `lost`: only for the job of a lost
 * engine, as the engine names it ("Slurm job 12"); NULL: for all. */
void batch_look(void *self, const char *lost);
/* Whether it has several jobs, which each go on without the others. */
bool batch_goes_on(const void *self);
/* Whether all of them are submitted. */
bool batch_submitted(const void *self);
/* Cancels waiting jobs, the last first, that have no more than `most` copies together. Returns how
 * many copies these are. Such a job ends well. `used` says whether the job that its system calls
 * `id` has begun to work, which the batch system's answers show late. */
unsigned batch_forgo(void *self, unsigned most, bool (*used)(void *context, const char *id),
                     void *context);

#endif
