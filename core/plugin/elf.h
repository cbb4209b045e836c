/* Whether a file is a whole shared object for this machine: checked before it is mapped. */
#ifndef PLUGIN_ELF_H
#define PLUGIN_ELF_H

#include <ipcluster/error.h>

/* Reads the headers of the regular file `fd`. Returns 0 if everything that they refer to is in the
 * file; -1 with `error` saying what the file is instead, or what is missing. The dynamic linker
 * itself does not check this: a file that is cut off would end the process. */
int elf_check(int fd, struct ipcl_error *error);

#endif
