/* What the engine's main thread does with its plugins: it loads and runs the kernel and MPI
 * plugins, and gives them their services. */
#ifndef ENGINE_HOST_H
#define ENGINE_HOST_H

#include <pthread.h>
#include <sys/types.h>

#include <ipcluster/kernel.h>
#include <ipcluster/mpi.h>

#include "engine/engine.h"
#include "plugin/services.h"

struct host {
    struct services_host
        kernel_base; /* first: the kernel's services find the log and settings here */
    struct services_host mpi_base;
    struct engine *engine;
    pid_t pid;                /* of the engine */
    pthread_mutex_t job_lock; /* threads of user code ask for the job's parts */
    struct job *job;          /* the running one */
    struct ipcl_kernel_services kernel_services;
    struct ipcl_mpi_services mpi_services;
    const struct ipcl_mpi_operations *mpi; /* NULL: none */
    void *mpi_self;
};

/* Makes the kernel of `plugin`. Main thread. Returns 0 or -1 with `error` set. */
int host_create_kernel(struct host *host, struct engine *engine, const struct ipcl_plugin *plugin,
                       struct ipcl_error *error);
/* Initialises MPI through `plugin`, sets mpi_rank and mpi_size in the user's namespace, and
 * requests the rank as the engine's id. Main thread. Returns 0 or -1 with `error` set. */
int host_start_mpi(struct host *host, const struct ipcl_plugin *plugin, struct ipcl_error *error);
/* Runs the profile's start-up files, then the settings' start-up command and script. Main thread.
 * Returns 0 or -1 with `error` set. */
int host_run_startup(struct host *host, const char *profile_dir, struct ipcl_error *error);
/* Serves jobs until the I/O thread tells it to quit; then waits until it gets JOB_QUIT back. Main
 * thread. */
void host_serve(struct host *host);
/* Ends MPI and the kernel. Main thread. */
void host_destroy(struct host *host);

#endif
