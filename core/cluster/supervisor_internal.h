/* What the supervisor's files share: its state, and the steps from one phase to the next. */
#ifndef CLUSTER_SUPERVISOR_INTERNAL_H
#define CLUSTER_SUPERVISOR_INTERNAL_H

#include <sys/stat.h>
#include <uv.h>

#include "cluster/children.h"
#include "cluster/control.h"
#include "cluster/hub_watch.h"
#include "cluster/instances.h"
#include "cluster/slots.h"
#include "cluster/supervisor.h"

#define SIGNAL_COUNT 5

enum phase {
    PHASE_CONTROLLER,   /* waiting for the connection files */
    PHASE_DELAY,        /* waiting for the hub's first answer, or as long as the user wants */
    PHASE_REGISTRATION, /* waiting for the engines */
    PHASE_UP,
    PHASE_ASKING_ENGINES, /* to end, over the wire */
    PHASE_STOPPING_ENGINES,
    PHASE_STOPPING_CONTROLLER,
    PHASE_DONE
};

struct engine_set;

/* A controller or a set's engines. */
struct job {
    struct supervisor *supervisor;
    struct engine_set *set; /* NULL: it is the controller */
    struct launcher_choice choice;
    struct instances *launcher; /* NULL: not started */
    unsigned count;
    unsigned running; /* copies that have not ended */
    unsigned started; /* copies of which its launcher says that they run: a batch job may wait
                       */
    bool answered;    /* its launcher has said how it is, where that has to be asked for */
    bool noted;       /* its launcher has said how they are found again */
    struct state_job *saved; /* where that stands */
    int status;              /* the first that was not 0 */
};

/* A set of engines. */
struct engine_set {
    struct engine_set *next;
    struct job job;
    struct state_set *saved; /* its name, and what a later supervisor needs */
    unsigned registered;     /* the most engines that the hub has had at a time, of those that end
                                with this set */
    unsigned present;        /* how many of these there are now */
    unsigned minimum;        /* with so many registered engines, or all, its start is done */
    unsigned arrived; /* the most of those that were started that have been registered at a time */
    bool late;        /* some are, and that has been said */
    struct slots slots;
    char told[2 * IPCL_ERROR_BYTES]; /* how engines of one of several batch jobs ended last */
};

struct supervisor {
    struct cluster *cluster;
    struct progress *progress;
    struct daemon *daemon;
    struct state state;
    uv_loop_t loop;
    uv_signal_t signals[SIGNAL_COUNT];
    uv_timer_t timer; /* the phase's: polling, or its end */
    uv_timer_t heal;  /* runs while engines are to come back, or to end */
    struct children *children;
    struct control *control; /* where it is asked; NULL: nowhere */
    struct job controller;
    struct engine_set *sets; /* in the order in which they were added */
    struct hub_watch *hub;
    bool empty; /* nobody is registered any more, and that has been said */
    char client_file[PATH_BYTES];
    char engine_file[PATH_BYTES];
    /* What was there before the controller was started, or when its file was read. */
    struct path_mark old_client_file, old_engine_file;
    char refusal[IPCL_ERROR_BYTES]; /* the controller's of an engine, that was said */
    long long labelled; /* the time in the names of the last output files; 0: the state's */
    bool own_controller;
    bool dry;      /* what would be started is written, and nothing is */
    bool adopting; /* jobs of an earlier supervisor: those that have gone are only counted */
    enum phase phase;
    long long phase_ms; /* when it began, or last made progress */
    unsigned interrupts;
    int exit_code;
};

/* Makes the loop and its handles. Returns 0 or -1 with `error` set; supervisor_close() in any case.
 */
int supervisor_open(struct supervisor *supervisor, struct cluster *cluster,
                    struct progress *progress, struct ipcl_error *error);
void supervisor_close(struct supervisor *supervisor);
/* Appends a set that is noted in the state as `saved`, which stays there. NULL with `error` set
 * where memory is short. */
struct engine_set *supervisor_add_set(struct supervisor *supervisor, struct state_set *saved,
                                      struct ipcl_error *error);
/* How many engines there are in all sets that have not ended, and that were asked for. */
unsigned supervisor_running(const struct supervisor *supervisor);
unsigned supervisor_asked(const struct supervisor *supervisor);
/* Whether a job may wait in the queue of a batch system. */
bool supervisor_queues(const struct job *job);
void supervisor_phase(struct supervisor *supervisor, enum phase phase);
/* Makes the launcher of a job. Returns 0 or -1 with `error` set. */
int supervisor_make(struct supervisor *supervisor, struct job *job, struct ipcl_error *error);
/* Asks the launcher how what it started is found again, and notes that in the state. Returns 0, or
 * -1 with `error` set: the state stays as it was. */
int supervisor_note(struct job *job, struct ipcl_error *error);
/* Saves what a later supervisor needs; a failure is logged. */
void supervisor_save(struct supervisor *supervisor, const char *phase);
/* Makes an earlier supervisor's state this one's. Returns 0 or -1 with `error` set. */
int supervisor_take_state(struct supervisor *supervisor, const struct state *state,
                          struct ipcl_error *error);
/* Takes over what the state says of a job; nothing of it may be left. Returns 0, or -1 with `error`
 * set where it cannot be taken over though some of it may run. */
int supervisor_adopt(struct supervisor *supervisor, struct job *job, struct ipcl_error *error);
/* Begins to answer at a control socket, and notes in the state where that is. Where it cannot, that
 * is logged. */
void supervisor_listen(struct supervisor *supervisor);
/* Watches the hub of the connection file. Returns 0 or -1 with `error` set. */
int supervisor_watch_hub(struct supervisor *supervisor, struct ipcl_error *error);
/* Under the lock: nobody runs this cluster, and from now on we do. Returns an exit code, EXIT_FINE
 * to go on. */
int supervisor_claim(struct supervisor *supervisor);
/* Starts the sets of engines, or where there are none to start, is up. */
void supervisor_start_engines(struct supervisor *supervisor);
/* Starts so many engines more of a set whose start is done, under these ids ("3,5"; "": any).
 * Returns 0 or -1 with `error` set. */
int supervisor_start_more(struct engine_set *set, unsigned count, const char *ids,
                          struct ipcl_error *error);
/* What becomes of engines that end (supervisor_heal.c): the hub has listed those it has, or copies
 * of a set have ended. */
void supervisor_see_engines(struct supervisor *supervisor);
void supervisor_note_end(struct engine_set *set, unsigned index, unsigned count, int status);
/* Whether its launcher can start single engines once more. Returns 0 or -1 with `error` set. */
int supervisor_can_restart(const struct job *job, struct ipcl_error *error);
/* Looks at that soon. */
void supervisor_heal(struct supervisor *supervisor);
/* Whether an engine of a set that has ended comes back. */
bool supervisor_hopes(const struct supervisor *supervisor);
/* What follows from no engine's running any more. */
void supervisor_look_for_engines(struct supervisor *supervisor);
/* Asks engines to end, and, where `fate` says so, to come back: adds those that are of our sets to
 * `taken`, and with them those of the same MPI worlds. Returns 0 or -1 with `error` set. */
int supervisor_end_engines(struct supervisor *supervisor, const json_t *ids, enum slot_fate fate,
                           json_t *taken, struct ipcl_error *error);
/* Looks after engines that do not register in time. */
void supervisor_await_engines(struct supervisor *supervisor);
/* The start is done where enough engines have registered, or none has to and they are on their way.
 */
void supervisor_look_up(struct supervisor *supervisor);
/* Shows the last lines of a copy's output. */
void supervisor_show_tail(struct supervisor *supervisor, const struct job *job, unsigned index);
/* Ends everything, in order, and then the loop. Does nothing where that has begun. */
void supervisor_stop(struct supervisor *supervisor, int exit_code);
/* The next step of stopping, where it is time for it: after a process has ended, engines have left
 * the hub, or a while. */
void supervisor_go_on_stopping(struct supervisor *supervisor);
/* Kills the engines, and where they have gone, or the user asks once more, the controller. */
void supervisor_hurry(struct supervisor *supervisor);
/* A job has another number of copies than was asked for: the cluster is up with these. */
void supervisor_job_resized(struct supervisor *supervisor, struct job *job);
/* A copy ended: which is for the start to judge as long as nothing is being stopped. */
void supervisor_job_ended(struct supervisor *supervisor, struct job *job, unsigned index,
                          int status, const char *reason);

#endif
