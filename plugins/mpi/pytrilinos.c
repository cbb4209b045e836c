/* MPI through PyTrilinos, whose Epetra communicator initialises it. */
#include <stdlib.h>
#include <string.h>

#include <ipcluster/mpi.h>

struct pytrilinos {
    const struct ipcl_mpi_services *services;
    int64_t rank;
    int64_t size;
};

static void *create(const struct ipcl_mpi_services *services, struct ipcl_error *error)
{
    struct ipcl_error reason;
    void *host = services->base.host;
    struct pytrilinos *self = calloc(1, sizeof(*self));
    if (!self) {
        ipcl_error_set(error, "out of memory");
        return NULL;
    }
    self->services = services;
    if (services->run(host,
                      "from PyTrilinos import Epetra as _ipcluster_epetra\n_ipcluster_comm = "
                      "_ipcluster_epetra.PyComm()",
                      &reason)) {
        if (strncmp(reason.text, "ModuleNotFoundError", 19))
            ipcl_error_set(error, "PyTrilinos does not initialise MPI: %.900s", reason.text);
        else
            ipcl_error_set(error,
                           "--mpi=pytrilinos needs the Python package PyTrilinos, which Debian "
                           "does not have: build "
                           "Trilinos with it, or use --mpi=mpi4py (%.700s)",
                           reason.text);
        goto failed;
    }
    if (services->integer(host, "_ipcluster_comm.MyPID()", &self->rank, error) ||
        services->integer(host, "_ipcluster_comm.NumProc()", &self->size, error) ||
        services->run(host, "del _ipcluster_comm, _ipcluster_epetra", error))
        goto failed;
    return self;
failed:
    free(self);
    return NULL;
}

static int rank(void *self)
{
    return (int)((struct pytrilinos *)self)->rank;
}

static int size(void *self)
{
    return (int)((struct pytrilinos *)self)->size;
}

/* PyTrilinos finalises MPI itself when the interpreter ends. */
static void destroy(void *self)
{
    free(self);
}

static const struct ipcl_mpi_operations operations = {create, rank, size, destroy};

extern const struct ipcl_plugin ipcl_plugin;
IPCL_EXPORT const struct ipcl_plugin ipcl_plugin = {
    IPCL_PLUGIN_HEAD,
    .kind = "mpi",
    .name = "pytrilinos",
    .version = "1.0",
    .summary = "initialises MPI through the Epetra communicator of PyTrilinos",
    .license = "BSD-2-Clause",
    .author = "the ipcluster developers",
    .operations = &operations,
};
