/* The output files of controllers and engines in a profile's log/: their tails, and old ones
 * removed. */
#ifndef CLUSTER_SUPERVISOR_LOGS_H
#define CLUSTER_SUPERVISOR_LOGS_H

#include <stdbool.h>
#include <stdio.h>

/* Writes the last lines of a file, each indented, behind a line that names it. False where it is
 * empty or not there. */
bool logs_tail(const char *path, unsigned lines, FILE *stream);
/* Waits until the last writer of an engine's output file, its watcher, which outlives it for a
 * moment, has let go of it: a lock says so (flock(2)). It waits for `patience_ms` at most, and not
 * where there is no such file. */
void logs_await_end(const char *path, int patience_ms);
/* Removes what earlier runs of this cluster left, "ipengine[-ID]-TIME-PID...", likewise of
 * ipcontroller and ipcluster; and what clusters of other ids left, but for the `kept_max` newest.
 * What has a state in `pid_dir` keeps its files. */
void logs_clean(const char *folder, const char *pid_dir, const char *cluster_id, size_t kept_max);

#endif
