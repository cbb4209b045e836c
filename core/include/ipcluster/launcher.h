/* Launcher plugins (kind "launcher"): start a controller or a set of engines somewhere, and stop
 * them. One plugin may offer several launcher classes. All functions run in the supervisor's one
 * thread; none may block. */
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
    /* the user has not said how many: `count` is a guess, and a launcher that knows better calls
     * resize() */
    bool any_count;
    /* Since ABI 1.3. */
    /* how many copies of the same engines other launchers have started: the copies of this launch
     * are numbered from there on */
    unsigned first;
    /* For a launcher that gives copies places: what to_json() returns for each launcher of this
     * class whose copies run, NULL-terminated. The new copies take the places that are left, such
     * as those of engines that have died. A copy that cannot be started is reported as stopped.
     * NULL: this launch is the first. */
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
    bool timed_out;     /* it took longer than timeout_ms, and was killed */
    const char *output; /* what it printed on its standard output, at most 1 MiB */
    const char *errors; /* the same for its standard error */
};

/* A short command, such as qsub, qdel or qstat. */
struct ipcl_command {
    const char *const *argv; /* looked up on PATH; NULL-terminated */
    const char *input;       /* for its standard input; may be NULL */
    unsigned timeout_ms;     /* after which it is killed; 0: never */
    void (*done)(void *self, void *context, const struct ipcl_command_end *end);
    void *context; /* handed to done() */
};

/* What a launcher may ask of the supervisor. A child runs in a session of its own. So an interrupt
 * typed at the terminal reaches it only through the launcher. */
struct ipcl_launcher_services {
    /* call base.log(base.host, ...) and so on; `base.host` is the `host` of all functions below,
     * too */
    struct ipcl_services base;
    /* Starts a child. Returns its pid, or -1 with `error` set. `exited` is called with the
     * launcher's self. */
    int64_t (*spawn)(void *host, const struct ipcl_spawn *spawn, struct ipcl_error *error);
    /* Watches a process that an earlier supervisor started. It is known by its pid and by `born`,
     * the value that process_born() returned then. Returns 0, or -1 with `error` set if it is gone
     * (or another process has its pid). */
    int (*adopt)(void *host, int64_t pid, int64_t born,
                 void (*exited)(void *self, int64_t pid, int status, int signum),
                 struct ipcl_error *error);
    /* When a process was started, in clock ticks since boot. Together with the pid this is a name
     * that is never used again. -1 if the process is gone. */
    int64_t (*process_born)(void *host, int64_t pid);
    /* Sends a signal to a child's or adopted process's whole session. Returns 0, or -1 with `error`
     * set. */
    int (*kill)(void *host, int64_t pid, int signum, struct ipcl_error *error);
    /* Runs a short command (qsub, qdel, qstat) with `input` on its standard input (may be NULL).
     * Calls `done` with its exit status (-1 if a signal ended it) and all that it printed, at most
     * 1 MiB. */
    int (*run)(void *host, const char *const *argv, const char *input,
               void (*done)(void *self, int status, const char *output), struct ipcl_error *error);
    /* Calls `fire` once after `delay_ms`. Returns 0, or -1 with `error` set. */
    int (*timer)(void *host, unsigned delay_ms, void (*fire)(void *self), struct ipcl_error *error);
    /* Reports that what start() began is running now (a batch job may wait long in its queue). */
    void (*started)(void *host);
    /* Reports that copy `index` ended (IPCL_ALL_COPIES: all of them), with its exit status.
     * `reason` is a sentence if there is more to say, otherwise NULL. */
    void (*stopped)(void *host, unsigned index, int status, const char *reason);
    /* Since ABI 1.2. */
    /* Reports that `count` more copies run, for a launcher whose copies start one by one; started()
     * is for all at once. The time that copies wait for their start counts against no time-out. */
    void (*started_some)(void *host, unsigned count);
    /* Says in one line what is happening ("pending: Priority, starts at 14:20"), for the progress
     * and for ipcluster list; "" if there is nothing to say. Call it also when the value of
     * to_json() has changed: to_json() is called again, and its value is saved before this
     * returns. */
    void (*status)(void *host, const char *text);
    /* Runs a command as run() does. Returns 0, or -1 with `error` set; then done() is not
     * called. */
    int (*run_command)(void *host, const struct ipcl_command *command, struct ipcl_error *error);
    /* Calls `fire` once after `delay_ms`. Returns the timer, which is valid until it fires; NULL
     * with `error` set. */
    void *(*timer_start)(void *host, unsigned delay_ms, void (*fire)(void *self, void *context),
                         void *context, struct ipcl_error *error);
    /* Cancels a timer that has not fired. Takes NULL. */
    void (*timer_stop)(void *host, void *timer);
    /* Says that `count` copies run or will run. Call it in start() if the launch asked for another
     * number, and later if some cannot be started and the others go on without them. Copies that
     * are dropped so are not reported as stopped, and the others keep their index. `why` is a
     * sentence for the user, or NULL. The start fails if no copy is left. */
    void (*resize)(void *host, unsigned count, const char *why);
    /* For create(): says how long stop() may take, if that depends on settings. It counts instead
     * of the class's stop_ms. */
    void (*stop_takes)(void *host, unsigned stop_ms);
    /* For create(): says that what start() starts may be on other machines, if that depends on
     * settings. IPCL_STARTS_ELSEWHERE says it for a whole class. */
    void (*starts_elsewhere)(void *host);
    /* Since ABI 1.3. */
    /* Says why copy `index` (IPCL_ALL_COPIES: all of them) ends or has ended. Call it as soon as
     * that is known, also before or without stopped(). `reason` is a sentence. If it is about each
     * copy of a batch job, it begins with the job ("Slurm job 88 ran out of memory"), as the engine
     * names it. For a batch system that ipcluster does not know, `--IPEngine.batch_job` tells the
     * engine that name. `cut_short`: the copy was not ended by what it ran. */
    void (*explain)(void *host, unsigned index, const char *reason, bool cut_short);
    /* Reports that `count` copies that ran no longer run, and wait for a new start as they did the
     * first time: their job was put back into its queue. started_some() reports it when they run
     * again. */
    void (*waiting)(void *host, unsigned count);
};

#define IPCL_ALL_COPIES ((unsigned)-1)

/* Properties of a launcher class. */
enum {
    /* what it starts may be on other machines: the controller listens where they can reach it */
    IPCL_STARTS_ELSEWHERE = 1,
    /* its jobs are known and can be stopped from any machine that has the profile, also after a
     * reboot */
    IPCL_OUTLIVES_MACHINE = 2,
    /* no other launcher of the class can start more of the same engines, or replace one of them */
    IPCL_STARTS_ONCE = 4
};

/* One way to start one role. ipcluster itself reads the class's settings engine_cmd and
 * engine_args, or controller_cmd and controller_args. All members must be there, except `aliases`
 * and those whose comment says otherwise. A name or alias belongs to one class only, in all plugins
 * and in upper or lower case. If two classes have the same, the one that is installed, or was found
 * first, is taken. */
struct ipcl_launcher_class {
    const char *name;    /* "MPIExecEngineSetLauncher" */
    const char *aliases; /* short names, comma separated: "mpi,mpiexec"; may be NULL */
    enum ipcl_role role;
    const char *summary; /* one line */
    /* Makes a launcher; `services` outlives it. NULL with `error` set on failure. */
    void *(*create)(const struct ipcl_launcher_services *services, struct ipcl_error *error);
    /* Begins to start; called once. Returns 0, and reports copies that cannot be started through
     * services.stopped(); -1 with `error` set if nothing was started. */
    int (*start)(void *self, const struct ipcl_launch *launch, struct ipcl_error *error);
    /* Sends a signal to all copies that run. Returns 0 or -1 with `error` set. */
    int (*signal)(void *self, int signum, struct ipcl_error *error);
    /* Ends all copies, politely at first; services.stopped() reports each copy when it is gone.
     * Returns 0 or -1 with `error` set. */
    int (*stop)(void *self, struct ipcl_error *error);
    /* Writes the path of the file with the output of copy `index` to `path` (copies may share a
     * file). Returns 0, or -1 if there is none. */
    int (*output)(void *self, unsigned index, char *path, size_t path_bytes);
    /* What a later supervisor needs to find the jobs again: one JSON object, freed by the caller
     * with free(). */
    char *(*to_json)(void *self);
    /* For a launcher that was not started: takes over the jobs that `json` names, and reports
     * copies that are gone through services.stopped(). Returns 0; -1 with `error` set if all are
     * gone. */
    int (*from_json)(void *self, const char *json, struct ipcl_error *error);
    /* Forgets everything; what runs goes on running. Takes NULL. */
    void (*destroy)(void *self);
    /* Since ABI 1.2. */
    unsigned properties; /* of the enum above; 0: all is on this machine, and ends with it */
    /* how long stop() may take before what is left is killed; 0: half a minute */
    unsigned stop_ms;
    /* For --dry-run: what start() would run, as text that the caller frees with free(); NULL with
     * `error` set. It leaves nothing behind, and there may be no controller yet. If a class has no
     * preview, start() is called, and the commands that it would run are shown. */
    char *(*preview)(void *self, const struct ipcl_launch *launch, struct ipcl_error *error);
};

struct ipcl_launcher_operations {
    const struct ipcl_launcher_class *classes; /* may be NULL where class_count is 0 */
    size_t class_count;
    /* Since ABI 1.2: batch systems. ipcluster makes classes from their tables
     * (<ipcluster/batch.h>). There must be at least one class or system. May be NULL if
     * system_count is 0. */
    const struct ipcl_batch_system *const *systems;
    size_t system_count;
};

/* All that a plugin needs beside the table of one batch system. After the table come the plugin's
 * own members of the descriptor: IPCL_BATCH_PLUGIN(slurm, .name = "slurm", .version = "1.0",
 * .summary = "Slurm jobs", .license = "BSD-2-Clause", .author = "...") */
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
