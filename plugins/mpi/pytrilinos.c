/* MPI through PyTrilinos, whose Epetra communicator initialises it. */
#include "package.h"

const struct package package = {
    .initialise = "from PyTrilinos import Epetra as _ipcluster_epetra\n"
                  "_ipcluster_comm = _ipcluster_epetra.PyComm()",
    .rank = "_ipcluster_comm.MyPID()",
    .size = "_ipcluster_comm.NumProc()",
    .forget = "del _ipcluster_comm, _ipcluster_epetra",
    .missing = "--mpi=pytrilinos needs the Python package PyTrilinos, which Debian does not have: "
               "build Trilinos with it, or use --mpi=mpi4py",
};

extern const struct ipcl_plugin ipcl_plugin;
IPCL_EXPORT const struct ipcl_plugin ipcl_plugin = {
    IPCL_PLUGIN_HEAD,
    .kind = "mpi",
    .name = "pytrilinos",
    .version = "1.0",
    .summary = "initialises MPI through the Epetra communicator of PyTrilinos",
    .license = "BSD-2-Clause",
    .author = "the ipcluster developers",
    .operations = &package_operations,
};
