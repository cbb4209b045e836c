/* Whether an MPI launcher started this process. */
#ifndef ENGINE_MPI_H
#define ENGINE_MPI_H

#include <stdbool.h>

/* True where the environment is that of a process started by mpiexec, srun, flux or the like. */
bool mpi_was_launched(void);

#endif
