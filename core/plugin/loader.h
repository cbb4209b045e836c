/* Loading one plugin: whether its file may be mapped, libltdl, and whether its descriptor is
 * whole. */
#ifndef PLUGIN_LOADER_H
#define PLUGIN_LOADER_H

#include <ipcluster/plugin.h>

#include "plugin/descriptor.h"

/* Starts libltdl. Any number of times, any thread. Returns 0 or -1 with `error` set. */
int loader_start(struct ipcl_error *error);

/* Loads the plugin at `path`, which must say that it is `name` of `kind`. Returns its descriptor,
 * valid for the process's life, or NULL with one line in `error` that names the file and says why
 * it was refused. Any thread, after loader_start(). */
const struct ipcl_plugin *loader_load(const char *path, const char *kind, const char *name,
                                      struct ipcl_error *error);

/* Loads the plugin at `path`, of any kind, and reports all faults. Returns its descriptor, or NULL
 * if there is a fault. Any thread, after loader_start(). */
const struct ipcl_plugin *loader_check(const char *path, const struct descriptor_faults *faults);

#endif
