/* What every command of ipcluster begins with: its settings, the profile, and the launchers. */
#ifndef CLUSTER_SETTINGS_CLUSTER_H
#define CLUSTER_SETTINGS_CLUSTER_H

#include <stdbool.h>

#include "cluster/launching/launchers.h"
#include "config/profile.h"
#include "config/settings.h"
#include "plugin/registry.h"

/* The program's exit codes. 10 to 12 are those of ipyparallel. */
enum exit_code {
    EXIT_FINE = 0,
    EXIT_WRONG = 1,             /* a mistake in the command line, the settings or the system */
    EXIT_CONTROLLER_FAILED = 3, /* it ended before it had written its connection files */
    EXIT_ENGINES_FAILED = 4,    /* some ended, or did not register in time */
    EXIT_CLUSTER_DIED =
        5, /* the controller, or all added engines, ended by themselves with an error */
    EXIT_NOT_STOPPED = 6, /* something could not be ended */
    EXIT_NOT_ALL = 7,     /* some of a profile's settings could not be carried over */
    EXIT_ALREADY_RUNS = 10,
    EXIT_NOTHING_TO_STOP = 11,
    EXIT_NO_CONTROLLER = 12,
    EXIT_STARTING = 20,    /* from ipcluster status: the cluster is not up yet */
    EXIT_STOPPING = 21,    /* from ipcluster status: it is being stopped */
    EXIT_STALE = 22,       /* from ipcluster status: its ipcluster has gone */
    EXIT_INTERRUPTED = 130 /* before the cluster was up */
};

struct cluster_command;

struct cluster {
    const struct cluster_command *const *commands; /* all there are */
    struct settings *settings;
    struct registry *registry;       /* with the profile's plugins */
    struct registry *early_registry; /* without */
    struct launchers *launchers;
    struct profile profile;
    const char *cluster_id;
    bool quiet;
    char **argv;  /* the command line, NULL-terminated, with asterisks instead of keys */
    char **words; /* of the command line, without options; the array is freed with the cluster */
    int word_count;
    char **extra; /* the words after --, for the program of extra_role; NULL-terminated */
    enum ipcl_role extra_role;
    bool engines_elsewhere; /* engines of this start may be on other hosts */
};

/* A command of ipcluster. */
struct cluster_command {
    const char *name;
    const char *summary; /* as ipcluster help lists it */
    const struct settings_program *program;
    const struct ipcl_option_table *table; /* its own settings, which files may have for every
                                              command; NULL: none */
    bool joins;  /* for another process: this one's log, folder and cores stay as they are */
    bool starts; /* its options include the settings of starting; otherwise only files have them */
    bool wordless;             /* it takes only options */
    enum ipcl_role extra_role; /* the program that gets the words after -- */
    enum {
        NEED_PROFILE,     /* there must be a profile */
        NEED_ANY_PROFILE, /* read the profile's settings if there is one */
        NEED_NO_PROFILE   /* only settings of the command line */
    } need;
    /* Runs the command, and returns an exit code. If it is not EXIT_FINE, the text in `error` is
     * shown. */
    int (*run)(struct cluster *cluster, struct ipcl_error *error);
};

/* The command with that name among `commands`, which end with NULL. NULL: there is none. */
const struct cluster_command *cluster_command_find(const struct cluster_command *const *commands,
                                                   const char *name);
/* Does all of a command, one of `commands`: reads its command line, whose first word is its name,
 * and runs it. Returns the exit code. */
int cluster_run(const struct cluster_command *command,
                const struct cluster_command *const *commands, int argc, char **argv);
/* Reads the command line and the profile for a command of another process, which joins this one's
 * cluster. Returns 0, or -1 with `error` set, also if it only asks for help. Call cluster_close()
 * in any case. */
int cluster_open_joining(struct cluster *cluster, const char *command,
                         const struct cluster_command *const *commands, int argc, char **argv,
                         struct ipcl_error *error);
void cluster_close(struct cluster *cluster);

/* The launcher that the settings name for a role, in whichever class they were given. */
const char *cluster_launcher_name(const struct cluster *cluster, enum ipcl_role role);
/* The name of the engine set; `label` if none was given. */
const char *cluster_set_name(const struct cluster *cluster, const char *label);
#define ENGINES_MAX 1000000 /* as many may be asked for */
/* How many engines to start: n; without it, n_min (or none) if n_max is given, else one for each
 * processor. Returns 0 or -1 with `error` set. */
int cluster_engine_count(const struct cluster *cluster, unsigned *count, struct ipcl_error *error);

/* How many registered engines end the start; if there are fewer engines, all of them do. `queued`
 * engines may wait long. Returns 0 or -1 with `error` set. */
int cluster_engine_minimum(const struct cluster *cluster, bool queued, unsigned *minimum,
                           struct ipcl_error *error);

/* Writes how a user names this cluster, with a space in front: " --profile=mpi --cluster-id=a"; ""
 * for the default one. */
void cluster_words(const struct cluster *cluster, char *text, size_t size);

/* The program of a role, from the same build tree or folder as this one. Returns 0, or -1 with
 * `error` set, also if it cannot be run: a program of its name on PATH may be another package's. */
int cluster_program(enum ipcl_role role, char path[PATH_BYTES], struct ipcl_error *error);
/* A command line for a role's program with its own arguments: NULL-terminated, for
 * cluster_free_argv(). NULL with `error` set. Engines are told their set, and their ids if `ids` is
 * not "". */
char **cluster_argv(const struct cluster *cluster, const struct launcher_choice *choice,
                    const char *engine_set, const char *ids, struct ipcl_error *error);
void cluster_free_argv(char **argv);

/* Classes of ipcluster's own settings, as traitlets inherits them; for struct settings_program. */
#define CLUSTER_CLASSES                                                                                                        \
    "IPClusterStart,IPClusterEngines,IPClusterStop,IPClusterList,IPClusterStatus,IPClusterLogs,IPClusterScale,IPClusterClean," \
    "IPClusterProfile,IPClusterTrace,IPCluster,IPClusterApp,Cluster,BaseParallelApplication,"                                  \
    "BaseIPythonApplication,Application"

#endif
