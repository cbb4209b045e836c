/* The engine's settings and command line. */
#ifndef ENGINE_OPTIONS_H
#define ENGINE_OPTIONS_H

#include "config/settings.h"

extern const struct settings_program engine_program;
extern const struct ipcl_option_table engine_options;
/* Adds all tables and flags except those of plugins. Returns 0 or -1 with `error` set. */
int engine_add_options(struct settings *settings, struct ipcl_error *error);

#endif
