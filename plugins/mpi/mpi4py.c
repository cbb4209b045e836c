/* MPI through mpi4py, whose import initialises it. */
#include <stdlib.h>
#include <string.h>

#include <ipcluster/mpi.h>

struct mpi4py {
    const struct ipcl_mpi_services *services;
    int64_t rank;
    int64_t size;
};

static void *create(const struct ipcl_mpi_services *services, struct ipcl_error *error)
{
    struct ipcl_error reason;
    void *host = services->base.host;
    struct mpi4py *self = calloc(1, sizeof(*self));
    if (!self) {
        ipcl_error_set(error, "out of memory");
        return NULL;
    }
    self->services = services;
    if (services->run(host, "from mpi4py import MPI as _ipcluster_mpi", &reason)) {
        if (strncmp(reason.text, "ModuleNotFoundError", 19))
            ipcl_error_set(error, "mpi4py does not initialise MPI: %.900s", reason.text);
        else
            ipcl_error_set(
                error,
                "--mpi=mpi4py needs the Python package mpi4py: apt-get install python3-mpi4py "
                "(%.800s)",
                reason.text);
        goto failed;
    }
    if (services->integer(host, "_ipcluster_mpi.COMM_WORLD.Get_rank()", &self->rank, error) ||
        services->integer(host, "_ipcluster_mpi.COMM_WORLD.Get_size()", &self->size, error) ||
        services->run(host, "del _ipcluster_mpi", error))
        goto failed;
    return self;
failed:
    free(self);
    return NULL;
}

static int rank(void *self)
{
    return (int)((struct mpi4py *)self)->rank;
}

static int size(void *self)
{
    return (int)((struct mpi4py *)self)->size;
}

/* mpi4py finalises MPI itself when the interpreter ends. */
static void destroy(void *self)
{
    free(self);
}

static const struct ipcl_mpi_operations operations = {create, rank, size, destroy};

extern const struct ipcl_plugin ipcl_plugin;
IPCL_EXPORT const struct ipcl_plugin ipcl_plugin = {
    IPCL_PLUGIN_HEAD,
    .kind = "mpi",
    .name = "mpi4py",
    .version = "1.0",
    .summary = "initialises MPI by importing mpi4py",
    .license = "BSD-2-Clause",
    .author = "the ipcluster developers",
    .operations = &operations,
};
