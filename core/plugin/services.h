/* The services that every kind of plugin gets: its log and its settings. */
#ifndef PLUGIN_SERVICES_H
#define PLUGIN_SERVICES_H

#include <ipcluster/plugin.h>

#include "config/settings.h"

/* What `host` points to in plain services; kinds with more services keep one as the first member of
 * their own. */
struct services_host {
    const char *plugin_name; /* for log lines */
    const struct settings *settings;
};
/* Adds a plugin's option tables. Returns 0 or -1 with `error` set. */
int services_add_tables(struct settings *settings, const struct ipcl_plugin *plugin,
                        struct ipcl_error *error);
/* Call it before a plugin that may fail without a reason: writes `what` and "and gave no reason"
 * into `error` (may be NULL), which stays there then. Every message needs this call, so nothing is
 * formatted; `what` is a constant, far shorter than an error. */
void services_expect(struct ipcl_error *error, const char *what);
/* Fills `services`; `host` outlives it and begins with a struct services_host. */
void services_init(struct ipcl_services *services, struct services_host *host);

#endif
