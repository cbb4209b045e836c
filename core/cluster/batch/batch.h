/* The launcher of batch systems: jobs of a system that a plugin's table describes. */
#ifndef CLUSTER_BATCH_BATCH_H
#define CLUSTER_BATCH_BATCH_H

#include <stdbool.h>

#include <ipcluster/launcher.h>

/* What the classes of all batch systems have in common; their create() is batch_create(). */
extern const struct ipcl_launcher_class batch_class;

/* Makes a launcher of a class of a system, with what the settings of the system are. NULL with
 * `error` set on failure. All that is handed over outlives it. */
void *batch_create(const struct ipcl_batch_system *system, const struct ipcl_option_table *settings,
                   const struct ipcl_launcher_class *class,
                   const struct ipcl_launcher_services *services, struct ipcl_error *error);
/* Its jobs are expected to end, or that of which an engine is lost, as that names it (NULL: all):
 * they are looked at at once. */
void batch_look(void *self, const char *lost);
/* Whether it is several jobs, of which each goes on without the others. */
bool batch_goes_on(const void *self);
/* Whether all of them are submitted. */
bool batch_submitted(const void *self);
/* Cancels jobs that wait, the last first, as long as they have no more than `most` copies together:
 * how many they have. What ends so, ends well. Of a job that its system calls `id`, `used` says
 * whether it has begun to work, which is seen late here. */
unsigned batch_forgo(void *self, unsigned most, bool (*used)(void *context, const char *id),
                     void *context);

#endif
