/* What an MPI launcher says of this process in its environment, and whether MPI bears it out. */
#ifndef ENGINE_MPI_H
#define ENGINE_MPI_H

#include <stdbool.h>

#include <ipcluster/error.h>

/* True where the environment is that of a process started by mpiexec, srun, flux or the like. */
bool mpi_was_launched(void);

/* For a process that is the only rank of its MPI world. `promised`: how many ranks whoever started
 * it has said that there are, 0 for unknown. Returns 0, or -1 with `error` set where they or the
 * environment promise more, so that the launcher is not one that this MPI understands. */
int mpi_check_alone(int promised, struct ipcl_error *error);

#endif
