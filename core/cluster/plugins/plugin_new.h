/* ipcluster plugins new: a folder in which a plugin is written, tested and packaged. */
#ifndef CLUSTER_PLUGINS_PLUGIN_NEW_H
#define CLUSTER_PLUGINS_PLUGIN_NEW_H

#include <ipcluster/error.h>

/* Makes the folder for a plugin of a kind: "batch", "launcher", "mpi", "serial", "kernel" or
 * "store". Returns 0; -1 with `error` set, and no folder is left. */
int plugin_new(const char *kind_name, const char *name, const char *folder,
               struct ipcl_error *error);
/* Removes a folder with all that is in it. */
void plugin_remove_folder(const char *path);

#endif
