/* The launcher classes that the plugins on the search path offer, by name and alias. */
#ifndef CLUSTER_LAUNCHING_LAUNCHERS_H
#define CLUSTER_LAUNCHING_LAUNCHERS_H

#include <ipcluster/launcher.h>

#include "config/settings.h"
#include "plugin/registry.h"

struct launchers;
struct batch_classes;

/* One class and the plugin that it is from. Valid as long as the launchers. */
struct launcher_choice {
    const struct ipcl_plugin *plugin;
    const struct ipcl_launcher_class *class;
    /* If it is made from the table of a batch system: that table, and its settings; else NULL. */
    const struct ipcl_batch_system *system;
    const struct ipcl_option_table *system_settings;
};

/* The launchers of a search path, none of which is loaded yet. Registry and settings outlive it.
 * NULL with `error` set on failure. */
struct launchers *launchers_create(struct registry *registry, struct settings *settings,
                                   struct ipcl_error *error);
/* Adds a second search path, with the profile's plugins. New plugins of it come after the others,
 * because it is not known in time for the command line's options. */
void launchers_search(struct launchers *launchers, struct registry *registry);
/* Loads plugins that are not loaded yet, and adds their settings, and for each class the settings
 * of the program it starts (engine_cmd, engine_args and so on). Leaves out a plugin that the
 * registry refuses, or that uses a name of another plugin. Returns 0 or -1 with `error` set. */
int launchers_load(struct launchers *launchers, struct ipcl_error *error);
/* Logs why plugins were refused, each once. Returns whether any was. */
bool launchers_warn(struct launchers *launchers);
/* Whether the plugin at `path` is in use. */
bool launchers_took(const struct launchers *launchers, const char *path);
/* Why the plugin at `path` was refused, or NULL where it was not. */
const char *launchers_refusal(const struct launchers *launchers, const char *path);
/* What was made from the batch systems of a plugin in use: the next after `after` (NULL: the
 * first); NULL: no more. */
const struct batch_classes *launchers_made(const struct launchers *launchers,
                                           const struct ipcl_plugin *plugin,
                                           const struct batch_classes *after);
/* Takes the plugin of a file that is on no search path. Returns 0 or -1 with `error` set. */
int launchers_take(struct launchers *launchers, const char *path, const struct ipcl_plugin *plugin,
                   struct ipcl_error *error);
/* Calls `each` for every class in use. */
void launchers_each(const struct launchers *launchers,
                    void (*each)(void *context, const struct launcher_choice *choice),
                    void *context);
/* For a class that is not in use. Returns 0, or -1 with `error` set if its name or an alias is
 * taken by a class in use. Classes of a plugin with the same name as its own do not count. */
int launchers_check_class(const struct launchers *launchers, const struct launcher_choice *choice,
                          struct ipcl_error *error);
void launchers_destroy(struct launchers *launchers);

/* Loads plugins that are not loaded yet, and finds a class by its name, its name without
 * "EngineSetLauncher" or "ControllerLauncher", or an alias, in upper or lower case. Of a name with
 * dots, the part after the last dot counts. Returns 0, or -1 with `error` set: why the plugin that
 * seems to be meant was refused, or the names that there are, and the nearest. */
int launchers_find(struct launchers *launchers, enum ipcl_role role, const char *name,
                   struct launcher_choice *choice, struct ipcl_error *error);

#endif
