/* ipcluster plugins check: all that is wrong with one plugin's file. */
#ifndef CLUSTER_PLUGINS_PLUGIN_CHECK_H
#define CLUSTER_PLUGINS_PLUGIN_CHECK_H

#include <stdbool.h>

/* Checks the plugin at `path`, in another process, because it may crash or not return. The folder
 * `samples` (may be NULL) has files with what its batch systems print. `extra` are settings for it,
 * as the command line has them, NULL-terminated. Writes each fault as a line to standard output.
 * Returns whether there is none. */
bool plugin_check(const char *path, const char *samples, char *const *extra);

#endif
