/* The output files of controllers and engines in a profile's log/: their tails, and old ones
 * removed. */
#ifndef CLUSTER_SUPERVISOR_LOGS_H
#define CLUSTER_SUPERVISOR_LOGS_H

#include <stdbool.h>
#include <stdio.h>

/* Writes the last lines of a file, each indented, behind a line that names it. False where it is
 * empty or not there. */
bool logs_tail(const char *path, unsigned lines, FILE *stream);
/* Removes what earlier runs of this cluster left, "ipengine[-ID]-TIME-PID...", likewise of
 * ipcontroller and ipcluster; and what clusters of other ids left, but for the `kept_max` newest.
 * What has a state in `pid_dir` keeps its files. */
void logs_clean(const char *folder, const char *pid_dir, const char *cluster_id, size_t kept_max);

#endif
