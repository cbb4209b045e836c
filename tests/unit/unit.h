/* What unit tests share. */
#ifndef TESTS_UNIT_H
#define TESTS_UNIT_H

#include <ipcluster/serial.h>

#include "base/path.h"

/* The serializer of this build by its name; the test fails where it cannot be loaded. */
const struct ipcl_serial_operations *unit_serial(const char *name);

/* Makes a private temporary folder; the test fails where that cannot be. */
void unit_make_folder(char path[PATH_BYTES]);
/* Removes a folder with all that is in it. */
void unit_remove_folder(const char *path);
/* Writes a file; the test fails where that cannot be. */
void unit_write(const char *path, const char *text);

#endif
