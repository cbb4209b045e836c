/* The output files of controllers and engines in a profile's log/: their tails, and old ones
 * removed. */
#ifndef CLUSTER_SUPERVISOR_LOGS_H
#define CLUSTER_SUPERVISOR_LOGS_H

#include <stdbool.h>
#include <stdio.h>

/* Writes a line that names the file, and then its last lines, each indented. Returns false if the
 * file is empty or does not exist. */
bool logs_tail(const char *path, unsigned lines, FILE *stream);
/* Waits until an engine's output file is complete: its watcher, which outlives the engine for a
 * moment, writes last and holds a lock on the file until then (flock(2)). Waits for `patience_ms`
 * at most, and not if there is no such file. */
void logs_await_end(const char *path, int patience_ms);
/* Removes the files of earlier runs of this cluster, "ipengine[-ID]-TIME-PID...", and likewise of
 * ipcontroller and ipcluster. Also removes those of clusters with other ids, except the `kept_max`
 * newest. Keeps files whose ipcluster has a state in `pid_dir`, and all files of another cluster
 * that has one. */
void logs_clean(const char *folder, const char *pid_dir, const char *cluster_id, size_t kept_max);

#endif
