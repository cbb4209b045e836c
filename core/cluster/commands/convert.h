/* Converting ipyparallel's configuration files, which are Python, to ours. */
#ifndef CLUSTER_COMMANDS_CONVERT_H
#define CLUSTER_COMMANDS_CONVERT_H

#include "cluster/settings/cluster.h"

/* The outcome, for the exit code. */
enum convert_outcome {
    CONVERT_FAILED = -1, /* `error` says why */
    CONVERT_WHOLE,       /* all settings that have a meaning here were carried over */
    CONVERT_PART         /* not all were; the list says which and why */
};

/* Converts one file, NAME_config.py or NAME_config.json, into NAME_config.json beside it, and
 * prints what was carried over. An existing file is replaced only with `force`. */
enum convert_outcome convert_file(struct cluster *cluster, const char *path, bool force,
                                  struct ipcl_error *error);
/* Converts those of the three files that a profile has. */
enum convert_outcome convert_profile(struct cluster *cluster, const struct profile *profile,
                                     bool force, struct ipcl_error *error);

extern const char convert_script[];

#endif
