/* MPI initialisers (kind "mpi"): they call MPI_Init in an engine before it registers, and tell its
 * rank. All functions run in the engine's main thread. */
#ifndef IPCLUSTER_MPI_H
#define IPCLUSTER_MPI_H

#include <ipcluster/plugin.h>

#ifdef __cplusplus
extern "C" {
#endif

struct ipcl_mpi_services {
    struct ipcl_services base;
    /* Run a statement, or evaluate an expression to an integer, in the user's interpreter. Return
     * 0, or -1 with the exception's last line in `error`. */
    int (*run)(void *host, const char *code, struct ipcl_error *error);
    int (*integer)(void *host, const char *expression, int64_t *value, struct ipcl_error *error);
};

/* All must be there. */
struct ipcl_mpi_operations {
    /* Initialises MPI. NULL with `error` set on failure: it names the package to install, with the
     * Debian name. */
    void *(*create)(const struct ipcl_mpi_services *services, struct ipcl_error *error);
    /* This process's rank in MPI_COMM_WORLD, from 0, and the number of ranks. */
    int (*rank)(void *self);
    int (*size)(void *self);
    /* Ends MPI if nothing else does; called at the engine's orderly end. Takes NULL. */
    void (*destroy)(void *self);
};

#ifdef __cplusplus
}
#endif
#endif
