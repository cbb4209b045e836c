/* What is made from a batch system's table: launcher classes, and tables of their settings. */
#ifndef CLUSTER_BATCH_BATCH_CLASSES_H
#define CLUSTER_BATCH_BATCH_CLASSES_H

#include <ipcluster/launcher.h>

#include "config/settings.h"

/* How many rows are for settings of ipyparallel that have no effect. */
#define BATCH_IGNORED 2

/* Those of one batch system. The two classes inherit their settings from a third, NAMELauncher. */
struct batch_classes {
    struct ipcl_launcher_class classes[2];
    struct ipcl_option_table tables[3];
    struct ipcl_option *options;                /* of tables[0] */
    struct ipcl_option rows[1 + BATCH_IGNORED]; /* of the others */
    char names[3][128];
    char alias[128], summary[128];
};

/* NULL with `error` set if memory is short. The system outlives it. */
struct batch_classes *batch_classes_create(const struct ipcl_batch_system *system,
                                           struct ipcl_error *error);
/* Takes NULL. */
void batch_classes_destroy(struct batch_classes *classes);

#endif
