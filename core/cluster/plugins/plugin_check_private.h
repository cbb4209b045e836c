/* What the parts of the check of a plugin share. */
#ifndef CLUSTER_PLUGINS_PLUGIN_CHECK_PRIVATE_H
#define CLUSTER_PLUGINS_PLUGIN_CHECK_PRIVATE_H

#include <uv.h>

#include "cluster/launching/launchers.h"
#include "plugin/descriptor.h"

#define CHECK_STAGE_BYTES 200
#define CHECK_STAGE_S     30 /* for a call of the plugin to return */

struct plugin_check {
    struct descriptor_faults faults;
    struct settings *settings; /* the plugin's own */
    struct launchers *launchers;
    const char *samples; /* a folder, or NULL */
    char *const *extra;
    char folder[64]; /* for files of jobs; removed at the end */
    char *stage;     /* what is done now, CHECK_STAGE_BYTES long: for the process that watches
                        this one */
};

/* plugin_report.c: reports a fault. */
__attribute__((format(printf, 2, 3))) void check_fault(const struct plugin_check *check,
                                                       const char *format, ...);
/* Sets what is done from now on; it may take CHECK_STAGE_S. */
__attribute__((format(printf, 2, 3))) void check_stage(const struct plugin_check *check,
                                                       const char *format, ...);

/* plugin_trial.c: starts made-up jobs by a class, and stops them. */
void check_class(const struct plugin_check *check, const struct launcher_choice *choice);
/* plugin_table.c: checks the table of a batch system, for the role of the class. */
void check_table(const struct plugin_check *check, const struct launcher_choice *choice);

#endif
