/* Names of plugins, which a shell offers as values of a setting. */
#ifndef PLUGIN_OFFER_H
#define PLUGIN_OFFER_H

#include <stdio.h>

#include "config/settings.h"

/* For a settings_offer: writes those of a kind that are on the search path and could be loaded. */
void offer_plugins(const struct settings *settings, const char *kind, FILE *stream);

#endif
