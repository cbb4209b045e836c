/* Whether a plugin's descriptor has all that the headers of its ABI say must be there. */
#ifndef PLUGIN_DESCRIPTOR_H
#define PLUGIN_DESCRIPTOR_H

#include <ipcluster/kernel.h>
#include <ipcluster/launcher.h>

/* Checks the descriptor of the plugin `name` of `kind`, its operations and its option tables;
 * nothing of it is called. `plugin` may be NULL: it exports none. Returns 0, or -1 with `error`
 * saying what is wrong or not there. */
int descriptor_check(const struct ipcl_plugin *plugin, const char *kind, const char *name,
                     struct ipcl_error *error);

/* Called with each fault, as a sentence. */
struct descriptor_faults {
    void (*found)(void *context, const char *fault);
    void *context;
};
/* The same, but finds all faults, as far as what follows a fault can still be checked. `kind` may
 * be NULL: any. */
void descriptor_find_faults(const struct ipcl_plugin *plugin, const char *kind, const char *name,
                            const struct descriptor_faults *faults);

/* The i-th launcher class of a plugin that was checked, in the form of this program's headers.
 * Members that the plugin's own headers do not have are 0. */
struct ipcl_launcher_class descriptor_class(const struct ipcl_plugin *plugin, size_t i);
size_t descriptor_class_count(const struct ipcl_plugin *plugin);
/* Its batch systems, of which there are `count`. */
const struct ipcl_batch_system *const *descriptor_systems(const struct ipcl_plugin *plugin,
                                                          size_t *count);
/* Where engines find the id of their batch job, for one of the plugin's batch systems: the
 * `job_variables` of batch.h, or NULL. */
const char *descriptor_job_variables(const struct ipcl_plugin *plugin,
                                     const struct ipcl_batch_system *system);
/* A kernel's operation `command`, or NULL. */
char **(*descriptor_command(const struct ipcl_plugin *plugin))(const struct ipcl_services *,
                                                               const char *, struct ipcl_error *);

#endif
