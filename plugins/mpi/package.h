/* An MPI initialiser that is a Python package: what differs between them, as a table. */
#ifndef MPI_PACKAGE_H
#define MPI_PACKAGE_H

#include <ipcluster/mpi.h>

/* Python source, run in the user's namespace. The plugin that links package.c defines the one of
 * this name. */
extern const struct package {
    const char *initialise; /* statements; `forget` deletes the names that they leave */
    const char *rank;       /* expressions */
    const char *size;
    const char *forget;
    const char *missing; /* tells the user what to do if the package is missing */
} package;

/* The operations of such a plugin: the package ends MPI itself when the interpreter ends. */
extern const struct ipcl_mpi_operations package_operations;

#endif
