/* ipcluster start and ipcluster engines. */
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "cluster/commands.h"
#include "cluster/supervisor.h"

#define EXIT_STATUS                                                                                \
    "0    The cluster ran and was stopped, or with --daemonize is up.\n"                           \
    "1    An option or setting is wrong.\n"                                                        \
    "3    The controller ended or did not answer in time; the end of its output was shown.\n"      \
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
        "Starts a controller and engines, shows how many engines have "
        "registered, and stays until it is interrupted (Ctrl-C): then it stops "
        "the engines and the controller. A second Ctrl-C hurries. The start is done when "
        "all engines have registered, or with --n-min=K when K of them have; with "
        "--daemonize it then goes into the background. What it still waits for is in "
        "its log and in ipcluster list. Output of controller and engines is in the profile's log "
        "folder.",
    .exit_status = EXIT_STATUS,
    .examples =
        "ipcluster start --n=4                                       four engines on this machine\n"
        "ipcluster start --n=4 --elauncher=MPIExecEngineSetLauncher  four MPI ranks: mpiexec -n 4 "
        "ipengine --mpi=mpi4py\n"
        "ipcluster start --n=4 --elauncher=mpi --mpi=pytrilinos      MPI initialised by "
        "PyTrilinos\n"
        "ipcluster start --profile=mpi --n=4 --daemonize             as the profile says, in the "
        "background\n"
        "ipcluster start -- --ip=0.0.0.0                             what stands behind -- is for "
        "ipcontroller\n"
        "ipcluster start --n=4 --n-min=1 --daemonize                 back when one engine works: "
        "the others follow",
    .classes = CLUSTER_CLASSES,
};

static const struct settings_program engines_program = {
    .name = "ipcluster",
    .page = "ipcluster-engines",
    .usage = "ipcluster engines [options] [-- arguments for ipengine]",
    .description = "Adds engines to a controller that runs: started by ipcluster start, or "
                   "by hand with ipcontroller. Stays until it is interrupted (Ctrl-C) or the "
                   "controller ends: then it stops these engines. With --daemonize it goes into "
                   "the background; "
                   "ipcluster stop stops them with the cluster.",
    .exit_status = EXIT_STATUS,
    .examples = "ipcluster engines --n=2\n"
                "ipcluster engines --profile=mpi --n=4 --engines=mpi --daemonize",
    .classes = CLUSTER_CLASSES,
};

/* Returns as daemon_start(): -1 where this is the process that runs the cluster. */
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

static int run(const struct settings_program *program, int argc, char **argv, bool engines_only)
{
    const struct cluster_command command = {.program = program, .starts = true};
    struct cluster cluster;
    struct progress progress;
    struct daemon daemon = {.report = NULL};
    struct ipcl_error error;
    int exit_code = EXIT_WRONG;
    int opened = cluster_open(&cluster, &command, argc, argv, &error);
    if (opened == 0 && cluster.word_count > 0)
        opened = ipcl_error_set(&error, "'%s' is not an option: options begin with --",
                                cluster.words[0]);
    if (opened != 0) {
        if (opened < 0)
            fprintf(stderr, "ipcluster: %s\n", error.text);
        cluster_close(&cluster);
        return opened < 0 ? EXIT_WRONG : EXIT_FINE;
    }
    cluster.extra_role = engines_only ? IPCL_ROLE_ENGINES : IPCL_ROLE_CONTROLLER;
    bool terminal = isatty(STDOUT_FILENO);
    bool background = settings_bool(cluster.settings, "IPClusterEngines", "daemonize");
    int parent = background ? go_to_background(&cluster, &daemon, &error) : -1;
    if (parent == -1) {
        FILE *stream = daemon.report ? daemon.report : stdout;
        progress_init(&progress, stream, daemon.report ? daemon.report : stderr, terminal,
                      cluster.quiet);
        exit_code = supervisor_run(&cluster, &progress, &daemon, engines_only);
        daemon_report(&daemon, exit_code);
    } else if (parent >= 0) {
        exit_code = parent;
    } else {
        fprintf(stderr, "ipcluster: %s\n", error.text);
    }
    cluster_close(&cluster);
    return exit_code;
}

int command_start(int argc, char **argv)
{
    return run(&start_program, argc, argv, false);
}

int command_engines(int argc, char **argv)
{
    return run(&engines_program, argc, argv, true);
}
