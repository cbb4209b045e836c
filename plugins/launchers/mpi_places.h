/* Where mpiexec puts ranks: on which hosts, and on how many cores of this one. */
#ifndef MPI_PLACES_H
#define MPI_PLACES_H

#include <stdbool.h>

/* How many processor cores this process may use. A core's hardware threads count as one, as Open
 * MPI counts its slots. */
unsigned mpi_cores(void);
/* Whether somebody else has said where the ranks go, in mpiexec's arguments (a list that NULL ends,
 * or NULL) or as a batch system: then their number of slots is theirs to judge. */
bool mpi_is_placed(const char *const *arguments);
/* Whether ranks may come to be on other hosts than this one. */
bool mpi_is_elsewhere(const char *const *arguments);

#endif
