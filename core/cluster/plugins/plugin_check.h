/* ipcluster plugins check: all that is wrong with one plugin's file. */
#ifndef CLUSTER_PLUGINS_PLUGIN_CHECK_H
#define CLUSTER_PLUGINS_PLUGIN_CHECK_H

#include <stdbool.h>

/* Checks the plugin at `path`, in a process of its own, as it may crash or not return. What its
 * batch systems print is read from the files of the folder `samples`, which may be NULL; `extra`
 * are settings for it, as the command line has them, NULL-terminated. Writes each fault as a line
 * of standard output. Returns whether there is none. */
bool plugin_check(const char *path, const char *samples, char *const *extra);

#endif
