/* What every command of ipcluster begins with: its settings, the profile, and the launchers there
 * are. */
#ifndef CLUSTER_SETTINGS_CLUSTER_H
#define CLUSTER_SETTINGS_CLUSTER_H

#include <stdbool.h>

#include "cluster/launching/launchers.h"
#include "config/profile.h"
#include "config/settings.h"
#include "plugin/registry.h"

/* What the program ends with. 10 to 12 are those of ipyparallel. */
enum exit_code {
    EXIT_FINE = 0,
    EXIT_WRONG = 1,             /* a mistake in the command line, the settings or the system */
    EXIT_CONTROLLER_FAILED = 3, /* it ended before it had written its connection files */
    EXIT_ENGINES_FAILED = 4,    /* some ended, or did not register in time */
    EXIT_CLUSTER_DIED =
        5, /* the controller, or all added engines, ended by themselves with an error */
    EXIT_NOT_STOPPED = 6, /* something could not be ended */
    EXIT_NOT_ALL = 7,     /* of a profile's settings some could not be carried over */
    EXIT_ALREADY_RUNS = 10,
    EXIT_NOTHING_TO_STOP = 11,
    EXIT_NO_CONTROLLER = 12,
    EXIT_STARTING = 20,    /* what ipcluster status tells: the cluster is not up yet, */
    EXIT_STOPPING = 21,    /* or not for long, */
    EXIT_STALE = 22,       /* or has no ipcluster any more */
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
    char **argv;  /* the command line, NULL-terminated; asterisks stand for its keys */
    char **words; /* what stood on the command line beside options; the array is the cluster's */
    int word_count;
    char **extra; /* what stood behind --, for the program of extra_role; NULL-terminated */
    enum ipcl_role extra_role;
    bool engines_elsewhere; /* those of this start may be on other machines */
};

/* A command of ipcluster. */
struct cluster_command {
    const char *name;
    const char *summary; /* as ipcluster help lists it */
    const struct settings_program *program;
    const struct ipcl_option_table *table; /* its own settings, which files may have for every
                                              command; NULL: none */
    bool joins;    /* it is another process's: log, folder and cores of this one stay as they are */
    bool starts;   /* the settings of starting are among its options; otherwise files alone have
                  * them */
    bool wordless; /* it takes options alone */
    enum ipcl_role extra_role; /* of the program that what stands behind -- is for */
    enum {
        NEED_PROFILE,     /* refuse one that is not there */
        NEED_ANY_PROFILE, /* read its settings where there is one */
        NEED_NO_PROFILE   /* the settings are those of the command line alone */
    } need;
    /* Does it, and returns an exit code. What it leaves in `error` is written, where that is not
     * EXIT_FINE. */
    int (*run)(struct cluster *cluster, struct ipcl_error *error);
};

/* The command of that name among `commands`, which end with NULL. NULL: there is none. */
const struct cluster_command *cluster_command_find(const struct cluster_command *const *commands,
                                                   const char *name);
/* All of a command, one of `commands`: its command line, whose first word is its name, and its
 * work. Returns the exit code. */
int cluster_run(const struct cluster_command *command,
                const struct cluster_command *const *commands, int argc, char **argv);
/* Reads the command line and the profile for a command that another process was given, and which
 * joins what this one does. Returns 0, or -1 with `error` set, also where only help was asked for.
 * cluster_close() in any case. */
int cluster_open_joining(struct cluster *cluster, const char *command,
                         const struct cluster_command *const *commands, int argc, char **argv,
                         struct ipcl_error *error);
void cluster_close(struct cluster *cluster);

/* The settings of starting, in whichever class they were given. */
const char *cluster_launcher_name(const struct cluster *cluster, enum ipcl_role role);
/* The name of the set of engines; `label` where none was given. */
const char *cluster_set_name(const struct cluster *cluster, const char *label);
#define ENGINES_MAX 1000000 /* that may be asked for */
/* How many engines to start: what was asked for, or one for each processor. Returns 0 or -1 with
 * `error` set. */
int cluster_engine_count(const struct cluster *cluster, unsigned *count, struct ipcl_error *error);

/* With how many of them the start is done, or with all where there are fewer. Those that are
 * `queued` may wait long. Returns 0 or -1 with `error` set. */
int cluster_engine_minimum(const struct cluster *cluster, bool queued, unsigned *minimum,
                           struct ipcl_error *error);

/* Writes how a user names this cluster, with a space in front: " --profile=mpi --cluster-id=a"; ""
 * for the default one. */
void cluster_words(const struct cluster *cluster, char *text, size_t size);

/* The program of a role that belongs to this one: of the same build tree or folder. Returns 0, or
 * -1 with `error` set, also where it cannot be run: one of its name on PATH may be another
 * package's. */
int cluster_program(enum ipcl_role role, char path[PATH_BYTES], struct ipcl_error *error);
/* A command line for a role's program, and its own arguments: NULL-terminated, freed with
 * cluster_free_argv(). NULL with `error` set. Engines are told that they are of `engine_set`,
 * and which ids they have, where it is not "". */
char **cluster_argv(const struct cluster *cluster, const struct launcher_choice *choice,
                    const char *engine_set, const char *ids, struct ipcl_error *error);
void cluster_free_argv(char **argv);

/* Classes of ipcluster's own settings, as traitlets inherits them; for struct settings_program. */
#define CLUSTER_CLASSES                                                                                                        \
    "IPClusterStart,IPClusterEngines,IPClusterStop,IPClusterList,IPClusterStatus,IPClusterLogs,IPClusterScale,IPClusterClean," \
    "IPClusterProfile,IPClusterTrace,IPCluster,IPClusterApp,Cluster,BaseParallelApplication,"                                  \
    "BaseIPythonApplication,Application"

#endif
