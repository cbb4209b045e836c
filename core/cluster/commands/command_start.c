/* ipcluster start and ipcluster engines. */
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "cluster/commands/commands.h"
#include "cluster/commands/join.h"
#include "cluster/supervisor/supervisor.h"

#define EXIT_STATUS                                                                                \
    "0    The cluster ran and was stopped, or, with --daemonize, it is up.\n"                      \
    "1    An option or setting is wrong.\n"                                                        \
    "3    The controller ended, or did not answer in time; the end of its output was shown.\n"     \
    "4    Engines ended or did not register in time; the end of their output was shown.\n"         \
    "5    The cluster ended by itself with an error.\n"                                            \
    "6    Something could not be ended.\n"                                                         \
    "10   It runs already.\n"                                                                      \
    "12   No controller runs.\n"                                                                   \
    "130  Interrupted before it was up.\n"

static const struct settings_program start_program = {
    .name = "ipcluster",
    .page = "ipcluster-start",
    .usage = "ipcluster start [options] [-- arguments for ipcontroller]",
    .description =
        "Starts a controller and engines, and shows how many engines have registered. It stays "
        "until it is interrupted (Ctrl-C). Then it stops the engines and the controller; a "
        "second Ctrl-C kills them. The start is done when all engines have registered, or with "
        "--n-min=K when K of them have. With --daemonize it then goes into the background; its "
        "log and ipcluster list show what it still waits for. The output of controller and "
        "engines is in the profile's log folder.",
    .exit_status = EXIT_STATUS,
    .examples =
        "ipcluster start --n=4                                       four engines on this "
        "machine\n"
        "ipcluster start --n=4 --elauncher=MPIExecEngineSetLauncher  four MPI ranks: mpiexec "
        "-n 4 ipengine --mpi=mpi4py\n"
        "ipcluster start --n=4 --elauncher=mpi --mpi=pytrilinos      MPI initialised by "
        "PyTrilinos\n"
        "ipcluster start --profile=mpi --n=4 --daemonize             as the profile says, in "
        "the background\n"
        "ipcluster start -- --ip=0.0.0.0                             what follows -- is for "
        "ipcontroller\n"
        "ipcluster start --n-max=8 --idle-timeout=60                 as many engines as tasks "
        "keep busy\n"
        "ipcluster start --n=4 --n-min=1 --daemonize                 returns when one engine "
        "is up: the others follow",
    .classes = CLUSTER_CLASSES,
};

static const struct settings_program engines_program = {
    .name = "ipcluster",
    .page = "ipcluster-engines",
    .usage = "ipcluster engines [options] [-- arguments for ipengine]",
    .description = "Adds a set of engines to a cluster that runs, with the settings of its own "
                   "command line. The cluster's ipcluster start starts them, in the environment "
                   "and folder of this command. This command shows their progress and stays "
                   "until they have ended; Ctrl-C stops these engines alone. With --daemonize "
                   "it returns when they are up. If the controller was started by hand, this "
                   "command supervises them itself. ipcluster stop stops them with the cluster, "
                   "ipcluster stop --engine-set alone.",
    .exit_status = EXIT_STATUS,
    .examples = "ipcluster engines --n=2\n"
                "ipcluster engines --profile=mpi --n=4 --engines=mpi --daemonize\n"
                "ipcluster engines --n=2 --engine-set=b --daemonize",
    .classes = CLUSTER_CLASSES,
};

/* Returns as daemon_start(): -1 in the process that runs the cluster. */
static int go_to_background(const struct cluster *cluster, struct daemon *daemon,
                            struct ipcl_error *error)
{
    char path[PATH_BYTES];
    if (path_format(path, error, "%s/ipcluster%s%s-%lld", cluster->profile.log,
                    *cluster->cluster_id ? "-" : "", cluster->cluster_id,
                    (long long)time(NULL)) < 0)
        return -2;
    return daemon_start(daemon, path, error);
}

/* Runs the cluster, in another process if that is asked for. Returns the exit code. */
static int supervise(struct cluster *cluster, bool engines_only)
{
    struct progress progress;
    struct daemon daemon = {.report = NULL};
    struct ipcl_error error;
    bool terminal = isatty(STDOUT_FILENO);
    bool background = settings_bool(cluster->settings, "IPClusterEngines", "daemonize");
    int parent = background ? go_to_background(cluster, &daemon, &error) : -1;
    if (parent >= 0)
        return parent;
    if (parent < -1) {
        fprintf(stderr, "ipcluster: %s\n", error.text);
        return EXIT_WRONG;
    }
    FILE *stream = daemon.report ? daemon.report : stdout;
    progress_init(&progress, stream, daemon.report ? daemon.report : stderr, terminal,
                  cluster->quiet);
    int exit_code = supervisor_run(cluster, &progress, &daemon, engines_only);
    daemon_report(&daemon, exit_code);
    return exit_code;
}

static int start(struct cluster *cluster, struct ipcl_error *error)
{
    (void)error;
    return supervise(cluster, false);
}

static int add_engines(struct cluster *cluster, struct ipcl_error *error)
{
    struct progress progress;
    char path[PATH_BYTES];
    (void)error;
    if (settings_bool(cluster->settings, "Cluster", "dry_run") || !join_find(cluster, path))
        return supervise(cluster, true);
    progress_init(&progress, stdout, stderr, isatty(STDOUT_FILENO), cluster->quiet);
    return join_set(cluster, path, &progress, cluster->argv);
}

const struct cluster_command command_start = {
    .name = "start",
    .summary = "start a cluster: a controller and engines",
    .program = &start_program,
    .starts = true,
    .wordless = true,
    .extra_role = IPCL_ROLE_CONTROLLER,
    .need = NEED_PROFILE,
    .run = start,
};

const struct cluster_command command_engines = {
    .name = "engines",
    .summary = "add a set of engines to a cluster that runs",
    .program = &engines_program,
    .starts = true,
    .wordless = true,
    .extra_role = IPCL_ROLE_ENGINES,
    .need = NEED_PROFILE,
    .run = add_engines,
};
