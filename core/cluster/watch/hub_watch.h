/* A client of the hub that sends no work: it knows which engines are registered, and whether the
 * controller is there. Runs on the event loop. */
#ifndef CLUSTER_WATCH_HUB_WATCH_H
#define CLUSTER_WATCH_HUB_WATCH_H

#include <stdbool.h>
#include <uv.h>

#include <ipcluster/error.h>
#include <ipcluster/launcher.h>

#include "cluster/watch/engine_names.h"
#include "plugin/registry.h"

struct hub_watch;

/* A registered engine. */
struct hub_engine {
    int id;
    const char *uuid;
    const char *job; /* its batch job, as it names it: "Slurm job 12"; "": none */
    bool ranked;     /* it is a rank of an MPI world */
    bool elsewhere;  /* it is on another host, or does not say where it is */
    int64_t pid;
    long long idle_ms; /* since when it has nothing to do; 0: it works, or is not measured */
    const char *python, *executable; /* its Python's version and path; "": it does not say */
};

/* What there is to do. */
struct hub_work {
    bool known;
    unsigned waiting; /* tasks that would go to a new engine */
    unsigned busy;    /* engines that have something to do */
    unsigned awaited; /* engines of the previous controller that may still come */
    double task_s;    /* how long a task takes at present */
};

struct hub_watch_events {
    /* The set of engines has changed, the hub answered for the first time, or the controller
     * ends. */
    void (*changed)(void *context, struct hub_watch *watch);
    /* An engine of that set has gone; `job` is its batch job, "" for none. Before `changed`. */
    void (*gone)(void *context, const char *engine_set, const char *job);
    /* A new list of the sets whose batch system can say why engines end. For these, the hub waits a
     * moment after `gone` for hub_watch_explain(). */
    json_t *(*explains)(void *context);
    /* An engine that was asked to end if nobody would miss it stays. */
    void (*stays)(void *context, const char *uuid);
    void *context;
};

enum hub_presence {
    HUB_THERE,
    HUB_ENDING, /* it was told to end, or says that it ends */
    HUB_LOST    /* the connection has ended, and no other controller has taken its place */
};

/* Connects as the connection file at `path` says. NULL with `error` set on failure. `loop` and
 * `path` outlive it; `events` is copied. */
struct hub_watch *hub_watch_create(uv_loop_t *loop, struct registry *registry, const char *path,
                                   const struct hub_watch_events *events, struct ipcl_error *error);
/* Memory goes when the loop next turns. Takes NULL. */
void hub_watch_destroy(struct hub_watch *watch);

/* `watch` may be NULL, which knows nothing, except for those that ask one engine for something
 * (hub_watch_end_engine(), hub_watch_end_idle() and hub_watch_signal()). `engine_set` restricts a
 * function to the engines of a set; NULL: all engines. */
enum hub_presence hub_watch_presence(const struct hub_watch *watch);
bool hub_watch_answered(const struct hub_watch *watch);
/* A mark in the order in which engines come: the present ones are before it. */
unsigned long hub_watch_mark(const struct hub_watch *watch);
/* How many engines are registered now that came after the mark `since` (0: any). */
unsigned hub_watch_count(const struct hub_watch *watch, const char *engine_set,
                         unsigned long since);
/* Writes the name for users of the engine whose process on this host this is or was. */
void hub_watch_name(const struct hub_watch *watch, int64_t pid, char text[ENGINE_NAME_BYTES]);
/* Whether that process is or was an engine. */
bool hub_watch_knows(const struct hub_watch *watch, int64_t pid);
/* The id of the engine that the process is or was; -1: none. */
int hub_watch_id(const struct hub_watch *watch, int64_t pid);
/* Calls `see` for each registered engine of a set. */
void hub_watch_each(const struct hub_watch *watch, const char *engine_set,
                    void (*see)(void *context, const struct hub_engine *engine), void *context);
/* Why the controller has refused the engine that came last; "": it has not, or does not say. */
const char *hub_watch_refusal(const struct hub_watch *watch);
/* Whether engines have ever got a request; true if the hub does not say. */
bool hub_watch_worked(const struct hub_watch *watch);
/* Why engines of a set have ended. */
struct hub_explanation {
    const char *engine_set;
    unsigned index;     /* which copy of its launch; IPCL_ALL_COPIES: all of the set */
    int64_t pid;        /* its process on this host; 0: it is elsewhere, or not one process */
    const char *reason; /* for a batch job, this begins with the job's name */
    bool cut_short;     /* they ended for another reason than what they ran */
};
/* Tells the hub why engines have ended. */
void hub_watch_explain(struct hub_watch *watch, const struct hub_explanation *end);
/* From now on asks the hub also for its work. */
void hub_watch_measure(struct hub_watch *watch);
/* Whether it was asked for that, and does not say. */
bool hub_watch_is_mute(const struct hub_watch *watch);
/* NULL: not known. */
const struct hub_work *hub_watch_work(const struct hub_watch *watch);
/* Asks one engine to end, also while it works. */
void hub_watch_end_engine(struct hub_watch *watch, const char *uuid);
/* Asks one to end if nobody would miss it. */
void hub_watch_end_idle(struct hub_watch *watch, const char *uuid);
/* Asks one to send itself a signal, also while it works. */
void hub_watch_signal(struct hub_watch *watch, const char *uuid, int signum);
/* Asks the registered engines to end, each once. */
void hub_watch_end_engines(struct hub_watch *watch, const char *engine_set);

/* Asks the hub once how many engines there are, waiting up to `timeout_ms`. Returns the number, or
 * -1 with `error` set. */
int hub_count_engines(struct registry *registry, const char *path, int timeout_ms,
                      struct ipcl_error *error);
/* Asks the hub once for all that it knows of engines: {"engines": a list, by their ids, of what
 * each says of itself (host, pid and so on) and "id", "uuid", "state" (idle, busy; registered where
 * the hub does not say), "tasks" that it has, "completed", "since"; "departed": the last that have
 * gone, a list of {"id", "reason", "ended"}; "unassigned": how many tasks wait for an engine}. What
 * the hub does not know is null. A new reference; NULL with `error` set. */
json_t *hub_details(struct registry *registry, const char *path, int timeout_ms,
                    struct ipcl_error *error);
/* What hub_stats() asks: the controller, or each engine. */
enum hub_stats_of { HUB_STATS_CONTROLLER, HUB_STATS_ENGINES };
/* Asks what the controller has counted, or the engines, and hands `each` the whole answer, which it
 * may change. For engines this is {"time", "metrics", "engines": an object by their ids}; each has
 * "values", "time" and "host", or "error" and "host". As long as `each` returns true, it asks again
 * after `interval_ms`, also if another controller has taken the place of the first by then. Returns
 * 0, or -1 with `error` set if no hub answers within some times `timeout_ms`. */
int hub_stats(struct registry *registry, const char *path, enum hub_stats_of of, int interval_ms,
              bool (*each)(void *self, json_t *answer), void *self, int timeout_ms,
              struct ipcl_error *error);
/* Sends a control message to each engine of a list of uuids, and waits up to `timeout_ms` for each
 * next answer. Returns 0, or -1 with `error` set if not all have answered. */
int hub_tell_engines(struct registry *registry, const char *path, const json_t *uuids,
                     const char *msg_type, const json_t *content, int timeout_ms,
                     struct ipcl_error *error);
/* Begins or ends the traces of the controller and of all engines, each on its host, and waits up to
 * `timeout_ms` for each next answer. Returns a list of {"file", and for an engine its "id"}, with
 * "error" instead of "file" if there is no file; NULL with `error` set if no hub answers. */
json_t *hub_trace(struct registry *registry, const char *path, bool on, int timeout_ms,
                  struct ipcl_error *error);
/* Asks engines, a list of objects with "uuid", one after the other to end if nobody would miss
 * them, until `most` of them do. Sets "ends" in each object. Waits up to `timeout_ms` for each
 * answer. Returns 0, or -1 with `error` set if no hub answers. */
int hub_end_idle(struct registry *registry, const char *path, json_t *engines, size_t most,
                 int timeout_ms, struct ipcl_error *error);
/* Asks all engines to end and waits up to `timeout_ms` until they have left. Then asks the
 * controller to end, which waits until those engines have ended. Returns 0, or -1 with `error` set
 * if some engines have not left. */
int hub_end(struct registry *registry, const char *path, int timeout_ms, struct ipcl_error *error);

#endif
