/* The engine's settings and command line. */
#ifndef ENGINE_OPTIONS_H
#define ENGINE_OPTIONS_H

#include "config/settings.h"

extern const struct settings_program engine_program;
extern const struct ipcl_option_table engine_options;

#endif
