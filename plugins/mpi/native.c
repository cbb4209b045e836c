/* MPI from C: MPI_Init_thread, for engines whose Python calls libraries that use MPI without
 * initialising it. */
#include <inttypes.h>
#include <mpi.h>
#include <stdlib.h>
#include <string.h>

#include <ipcluster/mpi.h>

struct native {
    int rank;
    int size;
    bool ours; /* we initialised it, and finalise it */
};

/* Prevents that user code imports an mpi4py of another MPI. Returns -1 if it already has. A kernel
 * whose language is not Python does not understand this, and has no mpi4py. */
static int keep_others_out(const struct ipcl_mpi_services *services, struct ipcl_error *error)
{
    char code[160];
    snprintf(code, sizeof(code),
             "__import__('ipcluster.engine.othermpi', fromlist=['guard']).guard(%" PRIuPTR ")",
             (uintptr_t)MPI_Get_library_version);
    return services->run(services->base.host, code, error) &&
                   !strncmp(error->text, "ImportError", strlen("ImportError"))
               ? -1
               : 0;
}

static void *native_create(const struct ipcl_mpi_services *services, struct ipcl_error *error)
{
    int initialised = 0, provided = 0;
    if (keep_others_out(services, error))
        return NULL;
    struct native *self = calloc(1, sizeof(*self));
    if (!self) {
        ipcl_error_set(error, "out of memory");
        return NULL;
    }
    MPI_Initialized(&initialised);
    if (!initialised &&
        MPI_Init_thread(NULL, NULL, MPI_THREAD_MULTIPLE, &provided) != MPI_SUCCESS) {
        ipcl_error_set(error, "MPI_Init_thread failed: is Open MPI installed (apt-get install "
                              "openmpi-bin), and was the "
                              "engine started by its mpiexec?");
        free(self);
        return NULL;
    }
    self->ours = !initialised;
    if (!initialised && provided < MPI_THREAD_MULTIPLE)
        services->base.log(services->base.host, IPCL_LOG_WARN,
                           "this MPI does not allow calls from several threads at once: "
                           "MPI_THREAD_MULTIPLE was refused");
    MPI_Comm_rank(MPI_COMM_WORLD, &self->rank);
    MPI_Comm_size(MPI_COMM_WORLD, &self->size);
    return self;
}

static int rank(void *self)
{
    return ((struct native *)self)->rank;
}

static int size(void *self)
{
    return ((struct native *)self)->size;
}

static void native_destroy(void *self)
{
    struct native *native = self;
    int finalised = 0;
    if (!native)
        return;
    MPI_Finalized(&finalised);
    if (native->ours && !finalised)
        MPI_Finalize();
    free(native);
}

static const struct ipcl_mpi_operations operations = {native_create, rank, size, native_destroy};

extern const struct ipcl_plugin ipcl_plugin;
IPCL_EXPORT const struct ipcl_plugin ipcl_plugin = {
    IPCL_PLUGIN_HEAD,
    .kind = "mpi",
    .name = "native",
    .version = "1.0",
    .summary = "initialises MPI from C with MPI_Init_thread",
    .license = "BSD-2-Clause",
    .author = "the ipcluster developers",
    .operations = &operations,
};
