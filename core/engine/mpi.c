/* Whether an MPI launcher started this process. */
#include "engine/mpi.h"

#include <stddef.h>
#include <string.h>
#include <unistd.h>

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
