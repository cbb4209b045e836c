/* Where this installation is: its programs, plugins and Python. */
#ifndef BASE_INSTALLATION_H
#define BASE_INSTALLATION_H

#include "base/path.h"

/* The top of the build tree that this code runs from, or NULL: it was installed. Static. */
const char *installation_build_tree(void);

/* These write a path and return 0, or -1 with `error` set where it is too long. An installation may
 * be moved as a whole. */
/* Where one of configure's folders is now: below the prefix that is ours, or where it lies
 * elsewhere, as configured. */
int installation_place(const char *configured, char path[PATH_BYTES], struct ipcl_error *error);
/* A program's: ipcluster, ipcontroller or ipengine. */
int installation_program(const char *name, char path[PATH_BYTES], struct ipcl_error *error);

#endif
