/* The plugin registry: finds plugins on the search path, checks them, and loads them through
 * libltdl.
 *
 * Search path, first hit wins: $IPCLUSTER_PLUGIN_PATH (colon separated), the profile's plugins/,
 * ~/.local/lib/ipcluster, the installed folder; in a build tree its own plugins/ in place of the
 * installed folder. Each has a folder for each kind: launchers, mpi, serial, kernels, stores. A
 * folder that is reached by several paths counts once, and so does a file of the same name.
 *
 * Thread: loading takes a lock on libltdl's process-wide state; a loaded plugin is never
 * unloaded. */
#ifndef PLUGIN_REGISTRY_H
#define PLUGIN_REGISTRY_H

#include <stdbool.h>
#include <stddef.h>

#include <ipcluster/plugin.h>

struct registry;

/* `profile_dir` may be NULL. NULL with `error` set on failure. */
struct registry *registry_create(const char *profile_dir, struct ipcl_error *error);
void registry_destroy(struct registry *registry);

/* Loads the plugin `name` of `kind` ("serial", ...). Returns its descriptor, valid for the
 * process's life, or NULL with `error` set: one line that says where it was looked for, or which
 * file was refused and why. */
const struct ipcl_plugin *registry_load(struct registry *registry, const char *kind,
                                        const char *name, struct ipcl_error *error);

/* One file on the search path. */
struct registry_entry {
    char path[4096];
    const char *kind;
    const struct ipcl_plugin *plugin; /* NULL: refused */
    struct ipcl_error refusal;
    bool shadowed; /* an earlier folder has a plugin of this kind and name */
};
/* Looks at every file of `kind` (NULL: of all kinds), loads those that may be, and calls `found`
 * for each in the order of the search path. Returns 0, or -1 with `error` set. */
int registry_scan(struct registry *registry, const char *kind,
                  void (*found)(void *context, const struct registry_entry *entry), void *context,
                  struct ipcl_error *error);
/* Calls `folder` for each folder of the search path, also for those that do not exist. */
void registry_search_path(const struct registry *registry,
                          void (*folder)(void *context, const char *path), void *context);

#endif
