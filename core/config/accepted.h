/* Settings of ipyparallel's programs that have no use here: accepted, with a warning that says why
 * they have no effect. */
#ifndef CONFIG_ACCEPTED_H
#define CONFIG_ACCEPTED_H

#include "config/settings.h"

/* Adds those that every program of ipyparallel takes; for profile_add_options(). Returns 0 or -1
 * with `error` set. */
int accepted_add(struct settings *settings, struct ipcl_error *error);
/* Adds the classes of IPython and of its kernel, which the settings of an engine may name. Returns
 * 0 or -1 with `error` set. */
int accepted_add_python(struct settings *settings, struct ipcl_error *error);

#endif
