/* What the supervisor's files share: its state, and the steps from one phase to the next. */
#ifndef CLUSTER_SUPERVISOR_SUPERVISOR_PRIVATE_H
#define CLUSTER_SUPERVISOR_SUPERVISOR_PRIVATE_H

#include <sys/stat.h>
#include <uv.h>

#include "cluster/launching/children.h"
#include "cluster/control/control.h"
#include "cluster/watch/hub_watch.h"
#include "cluster/launching/instances.h"
#include "cluster/supervisor/slots.h"
#include "cluster/supervisor/supervisor.h"

#define SIGNAL_COUNT 5
#define HEARD_MS     2000 /* for engines to leave the hub, which they do as soon as they hear it */
#define KILLED_MS    5000 /* for copies to go after SIGKILL */

enum phase {
    PHASE_CONTROLLER,   /* waiting for the connection files */
    PHASE_DELAY,        /* waiting for the hub's first answer, or for the time that the user set */
    PHASE_REGISTRATION, /* waiting for the engines of the start */
    PHASE_UP,
    PHASE_STOPPING_ENGINES, /* all sets */
    PHASE_STOPPING_CONTROLLER,
    PHASE_DONE
};

enum set_phase {
    SET_WAITING,  /* waiting for the controller */
    SET_STARTING, /* waiting for its engines */
    SET_UP,
    SET_ASKED,    /* its engines were asked to end, by messages */
    SET_STOPPING, /* its launcher stops them */
    SET_ENDED
};

struct engine_set;
struct joined;

/* The controller, or a set's engines. */
struct supervised_job {
    struct supervisor *supervisor;
    struct engine_set *set; /* NULL: it is the controller */
    struct launcher_choice choice;
    struct instances *launcher; /* NULL: not started */
    unsigned count;
    unsigned running;        /* copies that have not ended */
    unsigned started;        /* copies that have begun to run, ended or not: a batch job may wait */
    bool answered;           /* its launcher has told its status, if that has to be asked for */
    bool noted;              /* its launcher has said how copies are found again */
    struct state_job *saved; /* where that is noted */
    int status;              /* the first exit status that was not 0 */
};

/* The bounds within which a set grows and shrinks by itself: supervisor_elastic.c */
struct elastic {
    bool on;
    unsigned n_min, n_max;
    unsigned step;          /* if there is room, it grows by multiples of that: a batch job */
    long long idle_ms;      /* engines end that have had nothing to do for this long */
    long long next_ms;      /* when it may grow again */
    unsigned pause_ms;      /* how long that was after it last grew */
    unsigned long arrivals; /* how many engines had ever registered when it last grew */
    long long wanted_ms;    /* when more engines than it has were last wanted */
    unsigned kept;          /* how many surplus engines stay, as the user was last told */
};

/* An engine set: the set of the start, whose failure ends all, or one that has joined since. */
struct engine_set {
    struct engine_set *next;
    struct supervised_job job;
    struct state_set *saved;   /* its name, and what a later supervisor needs */
    struct joined *joined;     /* NULL: it is the set of the start */
    struct cluster *cluster;   /* has its settings */
    struct progress *progress; /* shows its users how it is */
    enum set_phase phase;
    long long phase_ms;  /* when the phase began, or last made progress */
    uv_timer_t timer;    /* the phase's */
    unsigned long since; /* the hub_watch_mark() at which it was started */
    unsigned registered; /* how many of its engines the hub has had at most at a time */
    unsigned present;    /* how many of its engines the hub has now */
    long long left_ms;   /* when one of these was last seen to have gone; 0: none has */
    unsigned minimum;    /* its start is done when as many engines, or all, have registered */
    unsigned arrived;    /* how many of the started ones have been registered at most at a time */
    bool late;           /* some are missing, and the user was told */
    struct slots slots;
    struct elastic elastic;
    unsigned barren;        /* starts in a row whose engines all died before one had registered */
    unsigned long arrivals; /* how many engines had ever registered at the last of these starts */
    char refusal[IPCL_ERROR_BYTES];  /* why the controller refused an engine, as last shown */
    char told[2 * IPCL_ERROR_BYTES]; /* how engines of one of several batch jobs ended last */
    int exit_code;
};

/* What the files of jobs and sets call in the files above them. */
struct supervisor_hooks {
    struct instances_events job; /* with a job as their context */
    /* The start is done. */
    void (*set_up)(struct supervisor *supervisor);
    /* The set of the start cannot go on. */
    void (*set_failed)(struct supervisor *supervisor, int exit_code);
    /* A set has ended, of a cluster that is being stopped. */
    void (*set_ended)(struct supervisor *supervisor);
    /* Engines have ended, perhaps the last ones. */
    void (*engines_left)(struct supervisor *supervisor);
};

struct supervisor {
    const struct supervisor_hooks *hooks;
    struct cluster *cluster;
    struct progress *progress;
    struct daemon *daemon;
    struct state state;
    uv_loop_t loop;
    uv_signal_t signals[SIGNAL_COUNT];
    uv_timer_t timer; /* the phase's: polling, or its end */
    uv_timer_t heal;  /* runs while engines are expected to come back or to end */
    struct children *children;
    struct control *control; /* the control socket; NULL: none */
    struct supervised_job controller;
    struct engine_set *sets; /* in the order in which they were added */
    struct hub_watch *hub;
    bool empty; /* no engine is registered any more, and the user was told */
    char client_file[PATH_BYTES];
    char engine_file[PATH_BYTES];
    /* The files as they were before the controller was started, or when they were read. */
    struct path_mark old_client_file, old_engine_file;
    long long labelled; /* the time in the names of the last output files; 0: the state's */
    bool own_controller;
    bool dry;      /* writes what would be started, and starts nothing */
    bool adopting; /* it takes over jobs of an earlier supervisor: ended ones are only counted */
    enum phase phase;
    long long phase_ms; /* when the phase began, or last made progress */
    unsigned interrupts;
    int exit_code;
};

extern const struct supervisor_hooks supervisor_hooks; /* supervisor_events.c */

/* From here on as the files stand, each above those before it. supervisor.c: what it knows and
 * saves. */

/* How many engines all sets have that have not ended; and how many were asked for. */
unsigned supervisor_running(const struct supervisor *supervisor);
unsigned supervisor_asked(const struct supervisor *supervisor);
/* Whether a job may wait in the queue of a batch system. */
bool supervisor_queues(const struct supervised_job *job);
/* Copies that run: they were started and have not ended. Waiting ones do not count. */
unsigned supervisor_at_work(const struct supervised_job *job);
/* Whether a job is being stopped, or was stopped. */
bool supervisor_stops(const struct supervised_job *job);
/* Shows users how a job is. */
struct progress *supervisor_progress_of(const struct supervised_job *job);
/* The set with that name; NULL: there is none. */
struct engine_set *supervisor_find_set(const struct supervisor *supervisor, const char *name);
void supervisor_phase(struct supervisor *supervisor, enum phase phase);
/* Asks the launcher how its copies are found again, and notes that in the state. Returns 0, or -1
 * with `error` set: then the state stays as it was. */
int supervisor_note(struct supervised_job *job, struct ipcl_error *error);
/* Saves what a later supervisor needs; a failure is logged. */
void supervisor_save(struct supervisor *supervisor, const char *phase);

/* supervisor_joined.c: sets that ipcluster engines asked for. */

/* Whether whoever asked for a set waits until it ends. */
bool supervisor_is_followed(const struct engine_set *set);
/* Where a set is started; NULL: where this process is. */
const struct workplace *supervisor_workplace(const struct engine_set *set);
/* TIME-PID, for the names of its output files. */
const char *supervisor_label(const struct engine_set *set);
/* Tells whoever asked for a set that it is up, or has ended. NULL does nothing. */
void supervisor_tell_up(const struct joined *joined);
void supervisor_tell_end(struct joined *joined, int exit_code);
void supervisor_free_joined(struct joined *joined);

/* supervisor_jobs.c */

/* Makes the launcher of a job. Returns 0 or -1 with `error` set. */
int supervisor_make(struct supervisor *supervisor, struct supervised_job *job,
                    struct ipcl_error *error);
/* Returns 0, or -1 with `error` set if its launcher cannot start single engines once more. */
int supervisor_can_restart(const struct supervised_job *job, struct ipcl_error *error);
/* Starts `count` copies of a job; engines get these ids ("3,5"; "": any). Returns 0 or -1 with
 * `error` set. */
int supervisor_start_job(struct supervisor *supervisor, struct supervised_job *job, unsigned count,
                         const char *ids, struct ipcl_error *error);
/* Takes over a job that the state names; all of it may have ended. Returns 0, or -1 with `error`
 * set if it cannot be taken over though some of it may run. */
int supervisor_adopt(struct supervisor *supervisor, struct supervised_job *job,
                     struct ipcl_error *error);
/* Shows the last lines of a copy's output. `ended`: it has ended, and its last words may still
 * come. */
void supervisor_show_tail(const struct supervised_job *job, unsigned index, bool ended);
/* How long it may take until a job has ended; then it is killed. */
unsigned supervisor_stopping_ms(const struct supervised_job *job);
/* If the job has not ended in its time, counted from `since_ms`, kills it, and gives up if that did
 * not help. Returns whether to wait. */
bool supervisor_job_late(struct supervised_job *job, long long since_ms);

/* supervisor_scale.c */

/* Returns 0, or -1 with `error` set if a set cannot get another number of engines. */
int supervisor_can_scale(const struct engine_set *set, bool more, struct ipcl_error *error);
/* Changes the number of engines of a set that is up. Returns how many engines are then too many and
 * have to be ended otherwise, or -1 with `error` set. */
int supervisor_scale(struct engine_set *set, unsigned n, struct ipcl_error *error);
/* Cancels batch jobs that wait, with `most` engines at most. Returns how many engines they have. */
unsigned supervisor_cancel_waiting(struct engine_set *set, unsigned most);

/* supervisor_elastic.c: sets that grow and shrink by themselves. */

/* Reads the bounds of a set. Returns 0, or -1 with `error` set if they are wrong, or its launcher
 * cannot keep them. */
int supervisor_choose_bounds(struct engine_set *set, struct ipcl_error *error);
/* Sets them. Returns likewise. */
int supervisor_set_bounds(struct engine_set *set, int64_t n_min, int64_t n_max,
                          struct ipcl_error *error);
/* Whether a set that has no engine left may have some again. */
bool supervisor_may_grow(const struct engine_set *set);
/* Grows and shrinks sets as needed. */
void supervisor_adapt(struct supervisor *supervisor);
/* An engine that was asked to end if nobody would miss it stays. */
void supervisor_engine_stays(struct supervisor *supervisor, const char *uuid);
/* {"n_min": ..., "n_max": ..., "kept": how many surplus engines stay}; NULL: it is not elastic. */
json_t *supervisor_bounds(const struct engine_set *set);

/* supervisor_heal.c: engines of a running set that end. */

/* The hub has listed its engines, or copies of a set have ended. */
void supervisor_see_engines(struct supervisor *supervisor);
void supervisor_note_end(struct engine_set *set, unsigned index, unsigned count, int status);
/* Looks at that soon. */
void supervisor_heal(struct supervisor *supervisor);
/* Whether an engine of a set that has ended comes back. */
bool supervisor_hopes(const struct supervisor *supervisor);
/* Asks engines to end, and to come back if `fate` says so. Adds those that belong to our sets to
 * `taken`, and those of the same MPI worlds with them. Returns 0 or -1 with `error` set. */
int supervisor_end_engines(struct supervisor *supervisor, const json_t *ids, enum slot_fate fate,
                           json_t *taken, struct ipcl_error *error);

/* supervisor_sets.c: the life of a set. */

/* Appends a set that is noted in the state as `saved`, which stays there. NULL with `error` set if
 * memory is short. */
struct engine_set *supervisor_add_set(struct supervisor *supervisor, struct state_set *saved,
                                      struct ipcl_error *error);
/* Finds the launcher and the number of engines that its settings say. Returns 0 or -1 with `error`
 * set. */
int supervisor_choose(struct engine_set *set, struct ipcl_error *error);
/* Forgets a set; its engines run on. Memory goes when the loop next turns. */
void supervisor_forget_set(struct engine_set *set);
void supervisor_start_set(struct engine_set *set);
/* The controller can be reached: starts the sets that wait for it. */
void supervisor_start_engines(struct supervisor *supervisor);
/* Ends a set's start if enough engines have registered, or none has to and they are on their
 * way. */
void supervisor_look_up(struct engine_set *set);
/* Notes which of its engines the hub has. */
void supervisor_note_engines(struct engine_set *set);
/* The set cannot go on. The set of the start ends all; another set ends alone. */
void supervisor_give_up(struct engine_set *set, int exit_code);
/* Ends a set. Does nothing if that has begun. */
void supervisor_stop_set(struct engine_set *set, int exit_code);
/* Takes the next step of that, if it is time for it. */
void supervisor_go_on_stopping_set(struct engine_set *set);
/* Kills its engines. */
void supervisor_hurry_set(struct engine_set *set);

/* supervisor_stop.c */

/* Ends everything, in order, and then the loop. Does nothing if that has begun. */
void supervisor_stop(struct supervisor *supervisor, int exit_code);
/* Takes the next step of stopping all, if it is time for it. Call it when a set or the controller
 * has ended, when engines have left the hub, and after a while. */
void supervisor_go_on_stopping(struct supervisor *supervisor);
/* Kills the engines; if they have gone or the user asks once more, also the controller. */
void supervisor_hurry(struct supervisor *supervisor);

/* supervisor_hub.c */

/* Watches the hub of the connection file. Returns 0 or -1 with `error` set. */
int supervisor_watch_hub(struct supervisor *supervisor, struct ipcl_error *error);
/* The start is done: enough engines have registered. */
void supervisor_up(struct supervisor *supervisor);
/* Does what follows if no engine of a set, or none at all, is left or comes back. */
void supervisor_look_for_engines(struct supervisor *supervisor);
/* Engines have come to a set or left it, or the controller ends. */
void supervisor_hub_changed(struct supervisor *supervisor);

/* supervisor_loop.c */

/* Makes the loop and its handles. Returns 0 or -1 with `error` set; call supervisor_close() in any
 * case. */
int supervisor_open(struct supervisor *supervisor, struct cluster *cluster,
                    struct progress *progress, struct ipcl_error *error);
void supervisor_close(struct supervisor *supervisor);

/* supervisor_joining.c */
json_t *supervisor_answer_engines(struct supervisor *supervisor, struct caller *caller,
                                  const json_t *request, struct ipcl_error *error);
/* supervisor_answers.c: opens the control socket, and notes its path in the state. Logs if it
 * cannot. */
void supervisor_listen(struct supervisor *supervisor);
/* supervisor_claim.c: checks under the lock that nobody runs this cluster, and takes it. Returns an
 * exit code; EXIT_FINE: go on. */
int supervisor_claim(struct supervisor *supervisor);

#endif
