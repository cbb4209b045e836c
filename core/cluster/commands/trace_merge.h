/* Traces of several processes (base/trace.h) become one, which shows them beside each other. */
#ifndef CLUSTER_COMMANDS_TRACE_MERGE_H
#define CLUSTER_COMMANDS_TRACE_MERGE_H

#include <ipcluster/error.h>

/* Merges files, and those that are in folders, into a new file, which takes the place of `to` once
 * it is whole. Returns how many there were, or -1 with `error` set. */
int trace_merge(char *const *paths, int count, const char *to, struct ipcl_error *error);

#endif
