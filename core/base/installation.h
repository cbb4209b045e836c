/* Where this installation is: its programs, plugins and Python. */
#ifndef BASE_INSTALLATION_H
#define BASE_INSTALLATION_H

#include "base/path.h"

/* The top of the build tree that this code runs from; NULL if it was installed. Static. */
const char *installation_build_tree(void);

/* The functions below write a path and return 0, or -1 with `error` set if it is too long. An
 * installation may be moved as a whole. */
/* Where one of configure's folders is now: below our present prefix; as configured if it is outside
 * the prefix. */
int installation_place(const char *configured, char path[PATH_BYTES], struct ipcl_error *error);
/* The path of a program: ipcluster, ipcontroller or ipengine. */
int installation_program(const char *name, char path[PATH_BYTES], struct ipcl_error *error);

#endif
