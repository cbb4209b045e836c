/* What an MPI launcher says in this process's environment, and whether its MPI agrees. */
#include "engine/mpi.h"

#include <dlfcn.h>
#include <link.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PATH_BYTES    4096
#define VERSION_BYTES 8192 /* MPI_MAX_LIBRARY_VERSION_STRING, the largest there is: MPICH's */

bool mpi_was_launched(void)
{
    static const char *const prefixes[] = {
        "OMPI_COMM_WORLD_", "PMI_",         "PMIX_",        "SLURM_PROCID=",   "HYDI_", "HYDRA_",
        "FLUX_TASK_RANK=",  "PALS_RANKID=", "ALPS_APP_PE=", "MPI_LOCALRANKID="};
    for (char **variable = environ; *variable; variable++)
        for (size_t i = 0; i < sizeof(prefixes) / sizeof(*prefixes); i++)
            if (!strncmp(*variable, prefixes[i], strlen(prefixes[i])))
                return true;
    return false;
}

/* How many processes an MPI launcher has started as one world, and which launcher. The innermost
 * one comes first: srun may have started an mpiexec, which starts its own servers with srun. */
static int launched_size(const char **launcher)
{
    static const struct {
        const char *variable, *launcher;
    } sizes[] = {{"OMPI_COMM_WORLD_SIZE", "Open MPI's mpiexec"},
                 {"PMI_SIZE", "An mpiexec of MPICH's kind"},
                 {"FLUX_JOB_SIZE", "Flux"},
                 {"SLURM_STEP_NUM_TASKS", "srun"}};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
        const char *size = getenv(sizes[i].variable);
        *launcher = sizes[i].launcher;
        if (size)
            return atoi(size);
    }
    return 0;
}

static int find_library(struct dl_phdr_info *object, size_t size, void *path)
{
    const char *file = strrchr(object->dlpi_name, '/');
    (void)size;
    if (!file || strncmp(file, "/libmpi", strlen("/libmpi")) != 0)
        return 0;
    snprintf(path, PATH_BYTES, "%s", object->dlpi_name);
    return 1;
}

/* The MPI that this process has loaded, as it calls itself: "Open MPI v4.1.4". */
static void name_library(char version[VERSION_BYTES])
{
    int (*get_version)(char *, int *) = NULL;
    char path[PATH_BYTES];
    void *library = NULL;
    int length;
    strcpy(version, "another one");
    if (dl_iterate_phdr(find_library, path))
        library = dlopen(path, RTLD_LAZY | RTLD_NOLOAD);
    if (!library)
        return;
    *(void **)&get_version = dlsym(library, "MPI_Get_library_version");
    if (get_version)
        get_version(version, &length);
    version[strcspn(version, ",\n")] = '\0';
    for (char *tab = version; (tab = strchr(tab, '\t'));)
        *tab = ' ';
    dlclose(library);
}

int mpi_check_alone(int promised, struct ipcl_error *error)
{
    const char *launcher;
    char version[VERSION_BYTES];
    int launched = launched_size(&launcher);
    if (promised > launched) {
        launched = promised;
        launcher = "The launcher of this set";
    }
    if (launched <= 1)
        return 0;
    name_library(version);
    return ipcl_error_set(
        error,
        "%s started %d engines as one MPI world, but their MPI is %.100s, which does not take "
        "part: each engine would be a world of its own. Start them with the mpiexec that belongs "
        "to that MPI (--MPILauncher.mpi_cmd=mpiexec.openmpi, or mpiexec.mpich); in a Slurm job "
        "also with --SlurmLauncher.start_command='srun --mpi=pmix', or with another type of `srun "
        "--mpi=list` that this MPI knows. If each engine should be a world of its own: "
        "--IPEngine.mpi_singleton=true",
        launcher, launched, version);
}
