/* Whether a plugin's descriptor has all that the headers of its ABI say must be there. */
#ifndef PLUGIN_DESCRIPTOR_H
#define PLUGIN_DESCRIPTOR_H

#include <ipcluster/plugin.h>

/* Checks the descriptor of the plugin `name` of `kind`, its operations and its option tables;
 * nothing of it is called. `plugin` may be NULL: it exports none. Returns 0, or -1 with `error`
 * saying what is wrong or not there. */
int descriptor_check(const struct ipcl_plugin *plugin, const char *kind, const char *name,
                     struct ipcl_error *error);

#endif
