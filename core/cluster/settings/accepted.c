/* Settings of ipyparallel's ipcluster that have another name here, or no effect. */
#include "cluster/settings/accepted.h"

#define COUNT(rows) (sizeof(rows) / sizeof(*(rows)))

static const struct ipcl_option cluster[] = {
    {"controller_args", IPCL_RENAMED, "ControllerLauncher.controller_args", NULL, NULL, NULL},
    {"engine_launcher", IPCL_RENAMED, "Cluster.engine_launcher_class", NULL, NULL, NULL},
    {"controller_launcher", IPCL_RENAMED, "Cluster.controller_launcher_class", NULL, NULL, NULL},
    {"load_profile", IPCL_IGNORED, "", NULL, NULL, "a profile's settings are always read"},
    {"send_engines_connection_env", IPCL_IGNORED, "", NULL, NULL,
     "engines read the connection file"},
    {"reset", IPCL_IGNORED, "", NULL, NULL, "ipcluster profile makes profiles"},
};
static const struct ipcl_option controller_launcher[] = {
    {"connection_info_timeout", IPCL_IGNORED, "", NULL, NULL,
     "ipcluster waits for the controller's files as long as the controller runs"},
};
static const char process_reason[] =
    "processes are watched without polling, and their output is kept";
static const struct ipcl_option process[] = {
    {"output_limit,stop_timeout,poll_seconds", IPCL_IGNORED, "", NULL, NULL, process_reason},
};
static const struct ipcl_option local[] = {
    {"output_limit,stop_timeout,poll_seconds", IPCL_IGNORED, "", NULL, NULL, process_reason},
    {"stop_seconds_until_kill", IPCL_RENAMED, "LocalProcessLauncher.stop_seconds_until_kill", NULL,
     NULL, NULL},
};
static const struct ipcl_option mpi[] = {
    {"stop_seconds_until_kill", IPCL_RENAMED, "MPILauncher.stop_seconds_until_kill", NULL, NULL,
     NULL},
};
static const struct ipcl_option one_engine[] = {
    {"*", IPCL_RENAMED, "LocalEngineSetLauncher.*", NULL, NULL, NULL}};
static const struct ipcl_option old_mpi[] = {
    {"*", IPCL_RENAMED, "MPILauncher.*", NULL, NULL, NULL}};
/* These count if no plugin has a launcher of the class. */
static const struct ipcl_option no_launcher[] = {
    {"*", IPCL_IGNORED, "", NULL, NULL, "no plugin has a launcher of this class"}};

static const struct ipcl_option_table tables[] = {
    {"Cluster", cluster, COUNT(cluster)},
    {"ControllerLauncher", controller_launcher, 1},
    {"LocalControllerLauncher", controller_launcher, 1},
    {"MPIControllerLauncher", controller_launcher, 1},
    {"MPIExecControllerLauncher", controller_launcher, 1},
    {"ControllerLauncher", process, 1},
    {"EngineLauncher", process, 1},
    {"LocalEngineLauncher", process, 1},
    {"MPIExecLauncher", process, 1},
    {"BaseLauncher", process, 1},
    {"LocalProcessLauncher", process, 1},
    {"MPILauncher", process, 1},
    {"MPIEngineSetLauncher", process, 1},
    {"MPIExecEngineSetLauncher", process, 1},
    {"MPIControllerLauncher", process, 1},
    {"MPIExecControllerLauncher", process, 1},
    {"MPIEngineSetLauncher", mpi, 1},
    {"MPIExecEngineSetLauncher", mpi, 1},
    {"MPIControllerLauncher", mpi, 1},
    {"MPIExecControllerLauncher", mpi, 1},
    {"MPIExecLauncher", old_mpi, 1},
    {"LocalControllerLauncher", local, 2},
    {"LocalEngineSetLauncher", local, 2},
    {"LocalEngineLauncher", one_engine, 1},
    {"SSHLauncher", process, 1},
    {"SSHEngineLauncher", process, 1},
    {"SSHEngineSetLauncher", process, 1},
    {"SSHControllerLauncher", process, 1},
    {"SSHControllerLauncher", controller_launcher, 1},
    {"SSHProxyEngineSetLauncher", process, 1},
    {"BatchSystemLauncher", no_launcher, 1},
    {"BatchControllerLauncher", no_launcher, 1},
    {"BatchEngineSetLauncher", no_launcher, 1},
    {"WindowsHPCLauncher", no_launcher, 1},
    {"WindowsHPCControllerLauncher", no_launcher, 1},
    {"WindowsHPCEngineSetLauncher", no_launcher, 1},
};

int cluster_accepted_add(struct settings *settings, struct ipcl_error *error)
{
    for (size_t i = 0; i < COUNT(tables); i++)
        if (settings_add(settings, &tables[i], error) < 0)
            return -1;
    return 0;
}
