/* The MPI initialiser "@NAME@": a Python package calls MPI_Init when it is imported, and knows the
 * rank. This one is mpi4py: put the names of your package in its place. */
#include <ipcluster/mpi.h>

#include <stdlib.h>

struct world {
    int64_t rank, size;
};

static void *create(const struct ipcl_mpi_services *services, struct ipcl_error *error)
{
    void *host = services->base.host;
    struct ipcl_error reason;
    struct world *world = calloc(1, sizeof(*world));
    if (!world) {
        ipcl_error_set(error, "no memory for the rank");
        return NULL;
    }
    if (services->run(host, "from mpi4py import MPI as _@NAME@_mpi", &reason) < 0) {
        ipcl_error_set(error, "--mpi=@NAME@ needs the package mpi4py (%.800s)", reason.text);
        free(world);
        return NULL;
    }
    if (services->integer(host, "_@NAME@_mpi.COMM_WORLD.rank", &world->rank, error) < 0 ||
        services->integer(host, "_@NAME@_mpi.COMM_WORLD.size", &world->size, error) < 0 ||
        services->run(host, "del _@NAME@_mpi", error) < 0) {
        free(world);
        return NULL;
    }
    return world;
}

static int rank(void *self)
{
    return (int)((struct world *)self)->rank;
}

static int size(void *self)
{
    return (int)((struct world *)self)->size;
}

static const struct ipcl_mpi_operations operations = {create, rank, size, free};

extern const struct ipcl_plugin ipcl_plugin;
IPCL_EXPORT const struct ipcl_plugin ipcl_plugin = {
    IPCL_PLUGIN_HEAD,
    .kind = "mpi",
    .name = "@NAME@",
    .version = "0.1",
    .summary = "initialises MPI through mpi4py",
    .license = "BSD-2-Clause",
    .author = "@AUTHOR@",
    .operations = &operations,
};
