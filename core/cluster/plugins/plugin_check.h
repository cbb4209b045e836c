/* ipcluster plugins check: all that is wrong with one plugin's file. */
#ifndef CLUSTER_PLUGINS_PLUGIN_CHECK_H
#define CLUSTER_PLUGINS_PLUGIN_CHECK_H

#include <stdbool.h>
#include <uv.h>

#include "cluster/launching/launchers.h"
#include "plugin/descriptor.h"

/* Checks the plugin at `path`, in a process of its own, as it may crash or not return. What its
 * batch systems print is read from the files of the folder `samples`, which may be NULL; `extra`
 * are settings for it, as the command line has them, NULL-terminated. Writes each fault as a line
 * of standard output. Returns whether there is none. */
bool plugin_check(const char *path, const char *samples, char *const *extra);

/* What the parts of the check share. */
struct plugin_check {
    struct descriptor_faults faults;
    struct settings *settings; /* the plugin's own */
    struct launchers *launchers;
    const char *samples; /* a folder, or NULL */
    char *const *extra;
    char folder[64]; /* for files of jobs; removed at the end */
    char *stage;     /* what is done now, for whoever watches over this process */
};

/* Tells of a fault. */
__attribute__((format(printf, 2, 3))) void check_fault(const struct plugin_check *check,
                                                       const char *format, ...);
/* What is done from now on, and is to be done within half a minute. */
__attribute__((format(printf, 2, 3))) void check_stage(const struct plugin_check *check,
                                                       const char *format, ...);

/* plugin_trial.c: starts made-up jobs by a class, and stops them. */
void check_class(const struct plugin_check *check, const struct launcher_choice *choice);
/* plugin_table.c: the table of a batch system, for the role of the class. */
void check_table(const struct plugin_check *check, const struct launcher_choice *choice);

#endif
