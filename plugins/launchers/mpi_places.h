/* Where mpiexec puts ranks: on which hosts, and on how many cores of this one. */
#ifndef MPI_PLACES_H
#define MPI_PLACES_H

#include <stdbool.h>

/* How many processor cores this process may use. A core's hardware threads count as one, as Open
 * MPI counts its slots. */
unsigned mpi_cores(void);
/* Whether mpiexec's arguments (a list that NULL ends, or NULL) or a batch system say where the
 * ranks go: then the number of slots is not ours to check. */
bool mpi_is_placed(const char *const *arguments);
/* Whether ranks may run on other hosts than this one. */
bool mpi_is_elsewhere(const char *const *arguments);

#endif
