/* What every command of ipcluster begins with: its settings, the profile, and the launchers there
 * are. */
#include "cluster/settings/cluster.h"

#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/secret.h"
#include "cluster/settings/accepted.h"
#include "cluster/settings/offers.h"
#include "cluster/state/state.h"

/* ipyparallel 7 keeps here what it had in IPClusterEngines and IPClusterStart before. */
static const struct ipcl_option cluster_options[] = {
    {"n", IPCL_INT, "", "n", NULL, "The number of engines. Default: one for each processor."},
    {"n_min", IPCL_INT, "", "n-min", NULL,
     "How many engines have to register until the start is done and --daemonize returns. The "
     "others may come later. 0: the start is done when all are started or submitted. Default: "
     "all; but 0 with --daemonize for engines in batch jobs, which may wait long."},
    {"n_max", IPCL_INT, "0", "n-max", NULL,
     "Up to how many engines the set grows while tasks wait. It shrinks again to n_min, or to n "
     "if n is less or n_min is not set. Without n it begins with n_min engines, or with none. 0: "
     "the set keeps its size."},
    {"idle_timeout", IPCL_REAL, "300", "idle-timeout", NULL,
     "Seconds after which an idle engine of a set with n_max ends, if it keeps nothing for a "
     "client."},
    {"engine_launcher_class", IPCL_STRING, "LocalEngineSetLauncher", "engines,elauncher", NULL,
     "How engines are started: a launcher's name or alias, such as local, mpi, "
     "MPIExecEngineSetLauncher "
     "(ipcluster plugins lists them)."},
    {"engine_timeout", IPCL_INT, "60", NULL, NULL,
     "Seconds to wait for the next engine to register, from when they were started. Batch jobs "
     "may wait in a queue: once one engine has registered, the others are not given up."},
    {"controller_launcher_class", IPCL_STRING, "LocalControllerLauncher", "controller,clauncher",
     NULL, "How the controller is started: a launcher's name or alias, such as local, mpi."},
    {"delay", IPCL_REAL, "0", "delay", NULL,
     "Seconds between the start of the controller and of the engines. Engines wait for its "
     "connection file in any case."},
    {"controller_ip", IPCL_STRING, "", "ip", NULL, "The address for the controller to listen on."},
    {"controller_location", IPCL_STRING, "", "location", NULL,
     "The controller's host name or address, by which engines and clients on other hosts reach "
     "it."},
    {"python", IPCL_STRING, "", "python", NULL,
     "The Python that engines run in, CPython 3.11 or later: a path, or a name on the PATH of "
     "their hosts. Default: the Python of the environment that is activated here, if their host "
     "has it too; otherwise the one that ipcluster was installed for. For ipcluster profile "
     "convert: the Python that runs the files to convert; it must have traitlets; default: "
     "python3."},
    {"client_python", IPCL_STRING, "", NULL, NULL,
     "The Python of the program that starts the cluster, used if an engine's host has it too. "
     "Cluster() of a Python program gives it, in the environment variable IPCLUSTER_PYTHON."},
    {"restart", IPCL_INT, "0", "restart", NULL,
     "How often an engine that dies is started again, with its id. The first time it waits half "
     "a second, then twice as long each time. 0: never. An engine that was asked to end is not "
     "started again."},
    {"dry_run", IPCL_BOOL, "false", "dry-run", "true",
     "Start nothing. Write what would be started, or what would be submitted to a batch system "
     "and by which command."},
    {"core_dumps", IPCL_BOOL, "false", NULL, NULL,
     "Let the system write a core file if this ipcluster crashes, as ulimit -c says. The file "
     "holds data made from keys: protect it like the keys."},
};
static const struct ipcl_option_table cluster_table = {
    "Cluster", cluster_options, sizeof(cluster_options) / sizeof(*cluster_options)};

static const struct ipcl_option engine_options[] = {
    {"daemonize", IPCL_BOOL, "false", "daemonize", "true",
     "Go into the background once the start is done (--n-min), with the log in the profile's log "
     "folder."},
    {"early_shutdown", IPCL_INT, "30", NULL, NULL,
     "The cluster is stopped if all engines end with an error within this many seconds of their "
     "registration and before any request. 0: the controller runs on."},
    {"engine_set", IPCL_STRING, "", "engine-set", NULL,
     "The name of this set of engines: letters, digits, dots, dashes and underscores. ipcluster "
     "status shows it, and ipcluster stop --engine-set stops this set alone. Default: a time and "
     "a process number."},
};
static const struct ipcl_option_table engine_table = {
    "IPClusterEngines", engine_options, sizeof(engine_options) / sizeof(*engine_options)};

static const struct ipcl_option start_options[] = {
    {"clean_logs", IPCL_BOOL, "true", "clean-logs", NULL,
     "Remove the output files of earlier controllers and engines of this cluster, and of other "
     "ended clusters of the profile except the newest."},
    {"logs_kept", IPCL_INT, "20", NULL, NULL,
     "How many other ended clusters keep their output files. Clusters differ by their ids: each "
     "Cluster() of a Python program has its own."},
    {"auto_create", IPCL_BOOL, "false", NULL, NULL,
     "Make the profile if it does not exist (the default profile is always made)."},
};
static const struct ipcl_option_table start_table = {
    "IPClusterStart", start_options, sizeof(start_options) / sizeof(*start_options)};

static const struct settings_flag init_flag = {"init", "IPClusterStart", "auto_create", "true",
                                               "Make the profile if it does not exist."};

static const struct ipcl_option controller_launcher_options[] = {
    {"controller_cmd", IPCL_LIST, "", NULL, NULL,
     "The command of the controller. Default: the ipcontroller that belongs to ipcluster."},
    {"controller_args", IPCL_LIST, "", NULL, NULL, "Further arguments for the controller."},
};
static const struct ipcl_option_table controller_launcher_table = {
    "ControllerLauncher", controller_launcher_options,
    sizeof(controller_launcher_options) / sizeof(*controller_launcher_options)};
static const struct ipcl_option engine_launcher_options[] = {
    {"engine_cmd", IPCL_LIST, "", NULL, NULL,
     "The command of an engine. Default: the ipengine that belongs to ipcluster."},
    {"engine_args", IPCL_LIST, "", NULL, NULL, "Further arguments for each engine."},
};
static const struct ipcl_option_table engine_launcher_table = {
    "EngineLauncher", engine_launcher_options,
    sizeof(engine_launcher_options) / sizeof(*engine_launcher_options)};

static const struct settings_variable python_variable = {"IPCLUSTER_PYTHON", "Cluster",
                                                         "client_python"};

static int add_tables(struct cluster *cluster, struct ipcl_error *error)
{
    static const struct ipcl_option_table *const tables[] = {
        &cluster_table, &engine_table, &start_table, &controller_launcher_table,
        &engine_launcher_table};
    for (size_t i = 0; i < sizeof(tables) / sizeof(*tables); i++) {
        if (settings_add(cluster->settings, tables[i], error) < 0)
            return -1;
    }
    return settings_add_variables(cluster->settings, &python_variable, 1, error);
}

/* Cuts the command line at --: what follows is for the programs that are started. */
static int parse(struct cluster *cluster, int argc, char **argv, struct ipcl_error *error)
{
    int own = argc > 1 && !strcmp(argv[1], "--complete") ? argc : 1;
    while (own < argc && strcmp(argv[own], "--") != 0)
        own++;
    cluster->extra = argv + (own < argc ? own + 1 : argc);
    cluster->words = calloc((size_t)argc + 1, sizeof(*cluster->words));
    if (!cluster->words)
        return ipcl_error_set(error, "no memory for the command line");
    settings_take_keys(cluster->settings, cluster->extra);
    cluster->word_count = settings_parse(cluster->settings, own, argv, cluster->words, error);
    return cluster->word_count < 0 ? -1 : 0;
}

/* For a command that starts: says which launchers it has to do without. */
static int load_launchers(struct cluster *cluster, struct ipcl_error *error)
{
    if (launchers_load(cluster->launchers, error) < 0)
        return -1;
    launchers_warn(cluster->launchers);
    return 0;
}

/* A command that starts nothing loads launchers only if a given setting may be theirs. It ignores
 * settings that may belong to a refused one. */
static int finish_settings(struct cluster *cluster, const struct cluster_command *command,
                           struct ipcl_error *error)
{
    if (settings_waiting(cluster->settings) && launchers_load(cluster->launchers, error) < 0)
        return -1;
    if (settings_finish(cluster->settings, error) == 0)
        return 0;
    if (command->starts || !launchers_warn(cluster->launchers))
        return -1;
    log_warn("%s", error->text);
    return 0;
}

/* A path that is not absolute is one from here, also once --work-dir is entered. On other hosts it
 * is the same. */
static int find_python(struct settings *settings, struct ipcl_error *error)
{
    char path[PATH_BYTES];
    const char *given = settings_has(settings, "Cluster", "python", IPCL_STRING)
                            ? settings_string(settings, "Cluster", "python")
                            : "";
    if (!strchr(given, '/') || *given == '/' || *given == '~')
        return 0;
    return path_expand(given, path, error) ||
                   settings_set(settings, "Cluster", "python", path, error)
               ? -1
               : 0;
}

static int check_set_name(const struct settings *settings, struct ipcl_error *error)
{
    const char *name = settings_string(settings, "IPClusterEngines", "engine_set");
    size_t length = strlen(name);
    if (length < ENGINE_SET_BYTES && strcmp(name, "controller") != 0 &&
        strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") == length)
        return 0;
    return ipcl_error_set(error,
                          "'%.64s' cannot name a set of engines: a name has up to %d letters, "
                          "digits, dots, dashes and underscores, and is not controller",
                          name, ENGINE_SET_BYTES - 1);
}

static int open_profile(struct cluster *cluster, const struct cluster_command *command,
                        struct ipcl_error *error)
{
    struct settings *settings = cluster->settings;
    bool create = settings_bool(settings, "IPClusterStart", "auto_create");
    if (command->need == NEED_ANY_PROFILE) {
        const char *dir = settings_string(settings, "BaseParallelApplication", "profile_dir");
        const char *name = settings_string(settings, "BaseParallelApplication", "profile");
        const char *ipython_dir =
            settings_string(settings, "BaseParallelApplication", "ipython_dir");
        if (profile_find(ipython_dir, name, dir, &cluster->profile, error) < 0) {
            cluster->profile.dir[0] = '\0';
            if (settings_given(settings, "BaseParallelApplication", "profile") || *dir)
                return -1;
        }
    } else if (profile_of_settings(settings, create, &cluster->profile, error) < 0) {
        return -1;
    }
    const char *dir = *cluster->profile.dir ? cluster->profile.dir : NULL;
    cluster->registry = registry_create(dir, error);
    if (!cluster->registry)
        return -1;
    launchers_search(cluster->launchers, cluster->registry);
    if (command->starts && load_launchers(cluster, error) < 0)
        return -1;
    if (dir &&
        (profile_read(settings, create, &cluster->profile, error) < 0 ||
         find_python(settings, error) < 0 ||
         (!command->joins && profile_enter(settings, "ipcluster", &cluster->profile, error) < 0)))
        return -1;
    return check_set_name(settings, error) < 0 ? -1 : finish_settings(cluster, command, error);
}

/* The settings of starting: ipcluster's own; the launchers' come with these. */
static int add_start(struct cluster *cluster, struct ipcl_error *error)
{
    if (add_tables(cluster, error) < 0 || cluster_accepted_add(cluster->settings, error) < 0)
        return -1;
    if (settings_add_flags(cluster->settings, &init_flag, 1, error) < 0)
        return -1;
    cluster->launchers = launchers_create(cluster->early_registry, cluster->settings, error);
    return cluster->launchers ? 0 : -1;
}

/* Adds settings that only files may have for this command: those of the other commands. */
static int add_others(struct cluster *cluster, const struct cluster_command *command,
                      struct ipcl_error *error)
{
    for (const struct cluster_command *const *other = cluster->commands; *other; other++)
        if ((*other)->table && (*other)->table != command->table &&
            settings_add(cluster->settings, (*other)->table, error) < 0)
            return -1;
    return command->starts ? 0 : add_start(cluster, error);
}

/* Reads the command line and the profile. Returns 0; 1 if the command line asked for help or the
 * version, which was written; -1 with `error` set. Call cluster_close() in any case. */
static int open_cluster(struct cluster *cluster, const struct cluster_command *command,
                        const struct cluster_command *const *commands, int argc, char **argv,
                        struct ipcl_error *error)
{
    *cluster =
        (struct cluster){.commands = commands, .argv = argv, .extra_role = command->extra_role};
    cluster->settings = settings_create(command->program, error);
    cluster->early_registry = registry_create(NULL, error);
    if (!cluster->settings || !cluster->early_registry ||
        (command->table && settings_add(cluster->settings, command->table, error) < 0) ||
        (command->starts &&
         (add_start(cluster, error) < 0 || load_launchers(cluster, error) < 0)) ||
        profile_add_options(cluster->settings, error) < 0 ||
        offers_add(cluster->settings, &cluster->launchers, error) < 0 ||
        parse(cluster, argc, argv, error) < 0)
        return -1;
    if (settings_answer(cluster->settings, stdout))
        return 1;
    if (add_others(cluster, command, error) < 0)
        return -1;
    if (settings_wants(cluster->settings) == SETTINGS_CARRY) {
        int carried = launchers_load(cluster->launchers, error);
        if (carried == 0)
            carried = settings_carry(cluster->settings, stdin, stdout, error);
        return carried < 0 ? -1 : 1;
    }
    if (command->need == NEED_NO_PROFILE)
        return finish_settings(cluster, command, error);
    if (settings_load_environment(cluster->settings, error) < 0 ||
        open_profile(cluster, command, error) < 0)
        return -1;
    if (profile_shows_settings(cluster->settings, stdout))
        return 1;
    if (!command->joins && settings_bool(cluster->settings, "Cluster", "core_dumps"))
        secret_allow_cores();
    cluster->cluster_id =
        settings_string(cluster->settings, "BaseParallelApplication", "cluster_id");
    cluster->quiet = !log_enabled(IPCL_LOG_WARN);
    return command->wordless && cluster->word_count > 0
               ? ipcl_error_set(error,
                                "'%s' is not an option: options begin with --; name a cluster "
                                "with --cluster-id",
                                cluster->words[0])
               : 0;
}

const struct cluster_command *cluster_command_find(const struct cluster_command *const *commands,
                                                   const char *name)
{
    while (*commands && strcmp((*commands)->name, name) != 0)
        commands++;
    return *commands;
}

int cluster_open_joining(struct cluster *cluster, const char *command,
                         const struct cluster_command *const *commands, int argc, char **argv,
                         struct ipcl_error *error)
{
    const struct cluster_command *found = cluster_command_find(commands, command);
    struct cluster_command joining = *found;
    joining.joins = true;
    int opened = open_cluster(cluster, &joining, commands, argc, argv, error);
    return opened > 0 ? ipcl_error_set(error, "the request asks for help") : opened;
}

void cluster_close(struct cluster *cluster)
{
    registry_destroy(cluster->registry);
    registry_destroy(cluster->early_registry);
    settings_destroy(cluster->settings);
    launchers_destroy(cluster->launchers);
    free(cluster->words);
}

int cluster_run(const struct cluster_command *command,
                const struct cluster_command *const *commands, int argc, char **argv)
{
    struct cluster cluster;
    struct ipcl_error error = {.text = ""};
    int opened = open_cluster(&cluster, command, commands, argc, argv, &error);
    int exit_code = opened < 0 ? EXIT_WRONG : EXIT_FINE;
    if (opened == 0) {
        *error.text = '\0';
        exit_code = command->run(&cluster, &error);
    }
    if (exit_code != EXIT_FINE && *error.text)
        fprintf(stderr, "ipcluster: %s\n", error.text);
    cluster_close(&cluster);
    return exit_code;
}

const char *cluster_launcher_name(const struct cluster *cluster, enum ipcl_role role)
{
    return role == IPCL_ROLE_ENGINES
               ? settings_string(cluster->settings, "Cluster", "engine_launcher_class")
               : settings_string(cluster->settings, "Cluster", "controller_launcher_class");
}

const char *cluster_set_name(const struct cluster *cluster, const char *label)
{
    const char *name = settings_string(cluster->settings, "IPClusterEngines", "engine_set");
    return *name ? name : label;
}

int cluster_engine_count(const struct cluster *cluster, unsigned *count, struct ipcl_error *error)
{
    int64_t asked = settings_int(cluster->settings, "Cluster", "n");
    cpu_set_t allowed;
    if (settings_given(cluster->settings, "Cluster", "n")) {
        if (asked < 0 || asked > ENGINES_MAX)
            return ipcl_error_set(error, "%lld is not a number of engines: 0 to %d",
                                  (long long)asked, ENGINES_MAX);
        *count = (unsigned)asked;
    } else if (settings_int(cluster->settings, "Cluster", "n_max") != 0) {
        asked = settings_int(cluster->settings, "Cluster", "n_min");
        *count = asked > 0 && asked <= ENGINES_MAX ? (unsigned)asked : 0;
    } else {
        *count = sched_getaffinity(0, sizeof(allowed), &allowed) == 0
                     ? (unsigned)CPU_COUNT(&allowed)
                     : 1;
    }
    return 0;
}

int cluster_engine_minimum(const struct cluster *cluster, bool queued, unsigned *minimum,
                           struct ipcl_error *error)
{
    int64_t asked = settings_int(cluster->settings, "Cluster", "n_min");
    bool daemonize = settings_bool(cluster->settings, "IPClusterEngines", "daemonize");
    if (!settings_given(cluster->settings, "Cluster", "n_min"))
        *minimum = queued && daemonize ? 0 : ENGINES_MAX;
    else if (asked < 0 || asked > ENGINES_MAX)
        return ipcl_error_set(error, "--n-min: %lld is not a number of engines: 0 to %d",
                              (long long)asked, ENGINES_MAX);
    else
        *minimum = (unsigned)asked;
    return 0;
}

void cluster_words(const struct cluster *cluster, char *text, size_t size)
{
    const struct settings *settings = cluster->settings;
    const char *name = settings_string(settings, "BaseParallelApplication", "profile");
    bool by_dir = *settings_string(settings, "BaseParallelApplication", "profile_dir") != '\0';
    bool by_default = !by_dir && strcmp(name, "default") == 0;
    int length = snprintf(text, size, "%s%s%s%s",
                          by_dir       ? " --profile-dir="
                          : by_default ? ""
                                       : " --profile=",
                          by_dir       ? cluster->profile.dir
                          : by_default ? ""
                                       : name,
                          *cluster->cluster_id ? " --cluster-id=" : "", cluster->cluster_id);
    if (length < 0 || (size_t)length >= size)
        *text = '\0'; /* half a command is worse than none */
}
