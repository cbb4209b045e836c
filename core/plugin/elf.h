/* Whether a file is a whole shared object for this machine, found out before it is mapped. */
#ifndef PLUGIN_ELF_H
#define PLUGIN_ELF_H

#include <ipcluster/error.h>

/* Reads the headers of the regular file `fd`. Returns 0 where the dynamic linker finds everything
 * that they speak of in the file; -1 with `error` saying what it is instead, or what is missing.
 * The linker itself trusts a file: what is not there ends the process. */
int elf_check(int fd, struct ipcl_error *error);

#endif
