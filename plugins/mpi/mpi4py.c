/* MPI through mpi4py, whose import initialises it. */
#include "package.h"

const struct package package = {
    /* The name stays: users of ipyparallel's engines find it there. */
    .initialise = "from mpi4py import MPI",
    .rank = "MPI.COMM_WORLD.Get_rank()",
    .size = "MPI.COMM_WORLD.Get_size()",
    .forget = "pass",
    .missing = "--mpi=mpi4py needs the Python package mpi4py: apt-get install python3-mpi4py",
};

extern const struct ipcl_plugin ipcl_plugin;
IPCL_EXPORT const struct ipcl_plugin ipcl_plugin = {
    IPCL_PLUGIN_HEAD,
    .kind = "mpi",
    .name = "mpi4py",
    .version = "1.0",
    .summary = "initialises MPI by importing mpi4py",
    .license = "BSD-2-Clause",
    .author = "the ipcluster developers",
    .operations = &package_operations,
};
