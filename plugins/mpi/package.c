/* MPI initialisers that are Python packages: import, and ask for rank and size. */
#include "package.h"

#include <stdlib.h>
#include <string.h>

struct world {
    int64_t rank;
    int64_t size;
};

static void *package_create(const struct ipcl_mpi_services *services, struct ipcl_error *error)
{
    struct ipcl_error reason;
    void *host = services->base.host;
    struct world *world = calloc(1, sizeof(*world));
    if (!world) {
        ipcl_error_set(error, "out of memory");
        return NULL;
    }
    if (services->run(host, package.initialise, &reason)) {
        bool missing = !strncmp(reason.text, "ModuleNotFoundError", strlen("ModuleNotFoundError"));
        ipcl_error_set(error, "%.300s (%.700s)",
                       missing ? package.missing : "the package does not initialise MPI",
                       reason.text);
        goto failed;
    }
    if (services->integer(host, package.rank, &world->rank, error) ||
        services->integer(host, package.size, &world->size, error) ||
        services->run(host, package.forget, error))
        goto failed;
    return world;
failed:
    free(world);
    return NULL;
}

static int rank(void *self)
{
    return (int)((struct world *)self)->rank;
}

static int size(void *self)
{
    return (int)((struct world *)self)->size;
}

const struct ipcl_mpi_operations package_operations = {package_create, rank, size, free};
