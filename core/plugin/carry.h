/* A program's answer to --carry-settings, with the settings of its plugins. */
#ifndef PLUGIN_CARRY_H
#define PLUGIN_CARRY_H

#include "config/settings.h"

/* If the command line says --carry-settings: adds the tables of all plugins of `kinds`
 * (NULL-terminated) that are found, and does settings_carry() from standard input to standard
 * output. Returns 1 if it did, 0 if it was not asked for, -1 with `error` set. */
int carry_answer(struct settings *settings, const char *const *kinds, struct ipcl_error *error);

#endif
