/* What an MPI launcher says in this process's environment, and whether its MPI agrees. */
#ifndef ENGINE_MPI_H
#define ENGINE_MPI_H

#include <stdbool.h>

#include <ipcluster/error.h>

/* Whether the environment is that of a process started by mpiexec, srun, flux or the like. */
bool mpi_was_launched(void);

/* For a process that is the only rank of its MPI world. `promised`: how many ranks there are, as
 * whoever started it has said; 0: not known. Returns 0. Returns -1 with `error` set if that or the
 * environment promises more than one: then this MPI does not understand the launcher. */
int mpi_check_alone(int promised, struct ipcl_error *error);

#endif
