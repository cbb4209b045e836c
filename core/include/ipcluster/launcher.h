/* Launcher plugins (kind "launcher"): start a controller or a set of engines somewhere, and stop
 * them. One plugin may offer several launcher classes. Everything runs in the supervisor's one
 * thread; nothing may block. */
#ifndef IPCLUSTER_LAUNCHER_H
#define IPCLUSTER_LAUNCHER_H

#include <ipcluster/batch.h>
#include <ipcluster/plugin.h>

#ifdef __cplusplus
extern "C" {
#endif

enum ipcl_role { IPCL_ROLE_CONTROLLER, IPCL_ROLE_ENGINES };

/* What to start. Borrowed for the duration of start(). */
struct ipcl_launch {
    unsigned count; /* how many copies; 1 for a controller */
    /* the program, an absolute path, and its arguments; NULL-terminated */
    const char *const *argv;
    const char *const *environment; /* NAME=value to add, NULL-terminated; may be NULL */
    const char *work_dir;           /* absolute */
    const char *log_dir;            /* absolute; where output files belong */
    /* a file name stem that is unique in log_dir: "ipengine-1700000000-4242" */
    const char *label;
    /* Since ABI 1.2. */
    const char *profile_dir; /* absolute */
    const char *cluster_id;  /* "" where it has none */
    bool any_count; /* nobody has said how many: `count` is a guess, and a launcher that knows
                       better calls resize() */
    /* Since ABI 1.3. */
    /* how many copies other launchers have started of the same engines: these are numbered from
     * there on */
    unsigned first;
    /* What to_json() says of those launchers of this class whose copies run, NULL-terminated, for a
     * launcher that shares places out: these copies take the places that are left, such as those of
     * engines that have died. One that cannot be started is reported as stopped. NULL: it is the
     * first. */
    const char *const *beside;
};

/* A child of the supervisor. */
struct ipcl_spawn {
    const char *const *argv;        /* looked up on PATH; NULL-terminated */
    const char *const *environment; /* NAME=value to add, NULL-terminated; may be NULL */
    const char *work_dir;           /* NULL for the supervisor's own */
    const char *output_path;        /* both output streams are appended here; NULL discards them */
    /* The child ended: `status` is its exit status, `signum` the signal that ended it, or 0. */
    void (*exited)(void *self, int64_t pid, int status, int signum);
};

/* How a command ended. Borrowed for the duration of done(). */
struct ipcl_command_end {
    int status;         /* its exit status; -1 where a signal ended it */
    bool timed_out;     /* it took too long, and was killed */
    const char *output; /* what it printed on its standard output, at most 1 MiB */
    const char *errors; /* the same of its standard error */
};

/* A short command, such as qsub, qdel or qstat. */
struct ipcl_command {
    const char *const *argv; /* looked up on PATH; NULL-terminated */
    const char *input;       /* for its standard input; may be NULL */
    unsigned timeout_ms;     /* after which it is killed; 0: never */
    void (*done)(void *self, void *context, const struct ipcl_command_end *end);
    void *context; /* handed to done() */
};

/* What a launcher may ask of the supervisor. A child runs in a session of its own, so that an
 * interrupt typed at the terminal reaches it only through the launcher. */
struct ipcl_launcher_services {
    /* call base.log(base.host, ...) and so on; `base.host` serves all below */
    struct ipcl_services base;
    /* Starts a child. Returns its pid, or -1 with `error` set. `exited` is called with the
     * launcher's self. */
    int64_t (*spawn)(void *host, const struct ipcl_spawn *spawn, struct ipcl_error *error);
    /* Watches a process that an earlier supervisor started, known by pid and by `born`, the value
     * that process_born() gave then. Returns 0, or -1 with `error` set where it is gone (or another
     * has its pid). */
    int (*adopt)(void *host, int64_t pid, int64_t born,
                 void (*exited)(void *self, int64_t pid, int status, int signum),
                 struct ipcl_error *error);
    /* When a process was started, in clock ticks since boot: with the pid, a name that is never
     * reused. -1 if gone. */
    int64_t (*process_born)(void *host, int64_t pid);
    /* Sends a signal to a child's or adopted process's whole session. Returns 0, or -1 with `error`
     * set. */
    int (*kill)(void *host, int64_t pid, int signum, struct ipcl_error *error);
    /* Runs a short command (qsub, qdel, qstat) with `input` on its standard input (may be NULL),
     * and calls `done` with its exit status (-1 where a signal ended it) and all that it printed,
     * at most 1 MiB. */
    int (*run)(void *host, const char *const *argv, const char *input,
               void (*done)(void *self, int status, const char *output), struct ipcl_error *error);
    /* Calls `fire` once after `delay_ms`. Returns 0, or -1 with `error` set. */
    int (*timer)(void *host, unsigned delay_ms, void (*fire)(void *self), struct ipcl_error *error);
    /* Reports that what start() began is running (a batch job may wait long in its queue). */
    void (*started)(void *host);
    /* Reports that copy `index` ended (IPCL_ALL_COPIES: all of them): exit status, and a sentence
     * where there is more to say (NULL otherwise). */
    void (*stopped)(void *host, unsigned index, int status, const char *reason);
    /* Since ABI 1.2. */
    /* Reports that `count` more copies run, of those that start one by one; started() is for all at
     * once. Waiting to be started counts against no time-out. */
    void (*started_some)(void *host, unsigned count);
    /* Says in one line what is going on ("pending: Priority, starts at 14:20"), for the progress
     * and for ipcluster list; "" where there is nothing to say. Also where what to_json() says has
     * changed: it is asked anew, and that is saved before this returns. */
    void (*status)(void *host, const char *text);
    /* Runs a command as run() does. Returns 0, or -1 with `error` set, where done() is not
     * called. */
    int (*run_command)(void *host, const struct ipcl_command *command, struct ipcl_error *error);
    /* Calls `fire` once after `delay_ms`. Returns the timer, which is no more once it has fired;
     * NULL with `error` set. */
    void *(*timer_start)(void *host, unsigned delay_ms, void (*fire)(void *self, void *context),
                         void *context, struct ipcl_error *error);
    /* Cancels a timer that has not fired. Takes NULL. */
    void (*timer_stop)(void *host, void *timer);
    /* Says that `count` copies run or are going to: in start(), of a launch that is another number,
     * and later where some cannot be started and the others go on without them. These are not
     * reported as stopped, nor has any other copy another index. `why` is a sentence for the user,
     * or NULL. The start fails where none is left. */
    void (*resize)(void *host, unsigned count, const char *why);
    /* Says, in create(), how long stop() may take, where that depends on settings: it counts in
     * place of the class's stop_ms. */
    void (*stop_takes)(void *host, unsigned stop_ms);
    /* Says, in create(), that what start() starts may be on other machines, where that depends on
     * settings: as IPCL_STARTS_ELSEWHERE does for a whole class. */
    void (*starts_elsewhere)(void *host);
    /* Since ABI 1.3. */
    /* Says why copy `index` (IPCL_ALL_COPIES: all of them) ends or has ended, as soon as that is
     * known, also before or without stopped(): a sentence, which begins with the batch job where it
     * is about each copy of one ("Slurm job 88 ran out of memory"): as the engine calls it, whose
     * `--IPEngine.batch_job` says so where the system is none of ipcluster's own. `cut_short`: it
     * was not what the copy ran that ended it. */
    void (*explain)(void *host, unsigned index, const char *reason, bool cut_short);
    /* Reports that `count` copies that ran do not any more, and wait to be started again as they
     * were the first time: their job was put back into its queue. started_some() tells when they
     * run. */
    void (*waiting)(void *host, unsigned count);
};

#define IPCL_ALL_COPIES ((unsigned)-1)

/* Properties of a launcher class. */
enum {
    /* what it starts may be on other machines: the controller listens where these can reach it */
    IPCL_STARTS_ELSEWHERE = 1,
    /* its jobs are known and can be stopped from any machine that has the profile, also after a
     * reboot */
    IPCL_OUTLIVES_MACHINE = 2,
    /* no other launcher of the class can start more of the same engines, or one in the place of
     * another */
    IPCL_STARTS_ONCE = 4
};

/* One way to start one role. Of its settings the host has engine_cmd and engine_args, or
 * controller_cmd and controller_args, for itself. All of it must be there, `aliases` and what says
 * otherwise excepted. Names and aliases are those of one class alone, in whatever plugin and case:
 * of two that have the same the one that is installed, or was found first, is taken. */
struct ipcl_launcher_class {
    const char *name;    /* "MPIExecEngineSetLauncher" */
    const char *aliases; /* short names, comma separated: "mpi,mpiexec"; may be NULL */
    enum ipcl_role role;
    const char *summary; /* one line */
    /* Makes a launcher; `services` outlives it. NULL with `error` set on failure. */
    void *(*create)(const struct ipcl_launcher_services *services, struct ipcl_error *error);
    /* Begins to start; called once. Returns 0, and reports copies that cannot be started through
     * services.stopped(); -1 with `error` set where nothing was started. */
    int (*start)(void *self, const struct ipcl_launch *launch, struct ipcl_error *error);
    /* Sends a signal to all copies that run. Returns 0 or -1 with `error` set. */
    int (*signal)(void *self, int signum, struct ipcl_error *error);
    /* Ends all copies, first politely; services.stopped() tells when each is gone. Returns 0 or -1
     * with `error` set. */
    int (*stop)(void *self, struct ipcl_error *error);
    /* The file with the output of copy `index` (copies may share one). Returns 0 or -1 where there
     * is none. */
    int (*output)(void *self, unsigned index, char *path, size_t path_bytes);
    /* What a later supervisor needs to find the jobs again: one JSON object, freed by the caller
     * with free(). */
    char *(*to_json)(void *self);
    /* On a launcher that was not started: takes over the jobs that `json` names, and reports the
     * copies that have gone through services.stopped(). Returns 0; -1 with `error` set where all
     * are gone. */
    int (*from_json)(void *self, const char *json, struct ipcl_error *error);
    /* Forgets everything; what runs goes on running. Takes NULL. */
    void (*destroy)(void *self);
    /* Since ABI 1.2. */
    unsigned properties; /* of those above; 0: all is on this machine, and ends with it */
    /* how long stop() may take before what is left is killed; 0: half a minute */
    unsigned stop_ms;
    /* For --dry-run: what start() would run, as text that the caller frees with free(); NULL with
     * `error` set. It leaves nothing behind, and there may be no controller yet. Where a class has
     * none, start() is called and the commands are shown that it would run. */
    char *(*preview)(void *self, const struct ipcl_launch *launch, struct ipcl_error *error);
};

struct ipcl_launcher_operations {
    const struct ipcl_launcher_class *classes; /* may be NULL where class_count is 0 */
    size_t class_count;
    /* Since ABI 1.2: batch systems, from whose tables the host makes classes (<ipcluster/batch.h>).
     * Of classes and systems there is at least one. May be NULL where system_count is 0. */
    const struct ipcl_batch_system *const *systems;
    size_t system_count;
};

/* All that a plugin has beside the table of one batch system. Behind the table stand the members of
 * the descriptor that are the plugin's own: IPCL_BATCH_PLUGIN(slurm, .name = "slurm", .version =
 * "1.0", .summary = "Slurm jobs", .license = "BSD-2-Clause", .author = "...") */
#define IPCL_BATCH_PLUGIN(table, ...)                                                              \
    static const struct ipcl_batch_system *const ipcl_batch_systems[] = {&(table)};                \
    static const struct ipcl_launcher_operations ipcl_batch_operations = {                         \
        .systems = ipcl_batch_systems, .system_count = 1};                                         \
    extern const struct ipcl_plugin ipcl_plugin;                                                   \
    IPCL_EXPORT const struct ipcl_plugin ipcl_plugin = {                                           \
        IPCL_PLUGIN_HEAD, .kind = "launcher", .operations = &ipcl_batch_operations, __VA_ARGS__}

#ifdef __cplusplus
}
#endif
#endif
