/* A client of the hub that only watches: which engines are registered, and whether the controller
 * is there. Runs on the event loop. */
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
    const char *job; /* its batch job, as it names it; "": none */
    bool ranked;     /* it is a rank of an MPI world */
    bool elsewhere;  /* it is on another host, or does not say where it is */
    int64_t pid;
    long long idle_ms; /* since when it has done nothing; 0: it works, or is not measured */
    const char *python, *executable; /* its version, and where it is; "": it does not say */
};

/* What there is to do. */
struct hub_work {
    bool known;
    unsigned waiting; /* tasks that would go to an engine that came */
    unsigned busy;    /* engines that have something to do */
    unsigned awaited; /* of the previous controller: they may be on their way */
    double task_s;    /* how long a task takes at present */
};

struct hub_watch_events {
    /* The set of engines has changed, the hub answered for the first time, or the controller
     * ends. */
    void (*changed)(void *context, struct hub_watch *watch);
    /* An engine of that set has gone; `job` is its batch job, "" for none. Before `changed`. */
    void (*gone)(void *context, const char *engine_set, const char *job);
    /* The sets of whose engines it can be told why they end, where a batch system is asked: a new
     * list. The hub asks by `gone`, and waits a moment for hub_watch_explain(). */
    json_t *(*explains)(void *context);
    /* An engine that was asked to end if nobody would miss it does not. */
    void (*stays)(void *context, const char *uuid);
    void *context;
};

enum hub_presence {
    HUB_THERE,
    HUB_ENDING, /* it was told to end, or says that it does */
    HUB_LOST    /* the connection has ended, and no other controller has come in its place */
};

/* Connects with what the connection file at `path` says. NULL with `error` set on failure. What is
 * pointed to outlives it. */
struct hub_watch *hub_watch_create(uv_loop_t *loop, struct registry *registry, const char *path,
                                   const struct hub_watch_events *events, struct ipcl_error *error);
/* Memory goes when the loop next turns. Takes NULL. */
void hub_watch_destroy(struct hub_watch *watch);

/* All that follow take NULL, which knows of nothing. `engine_set` counts those alone that belong to
 * it; NULL counts all. */
enum hub_presence hub_watch_presence(const struct hub_watch *watch);
bool hub_watch_answered(const struct hub_watch *watch);
/* A mark in the order in which engines come: those of now are before it. */
unsigned long hub_watch_mark(const struct hub_watch *watch);
/* How many engines are registered now, of those that came after a mark; 0: all. */
unsigned hub_watch_count(const struct hub_watch *watch, const char *engine_set,
                         unsigned long since);
/* Writes what people call the engine whose process on this host this is or was. */
void hub_watch_name(const struct hub_watch *watch, int64_t pid, char text[ENGINE_NAME_BYTES]);
/* Whether that process is or was an engine. */
bool hub_watch_knows(const struct hub_watch *watch, int64_t pid);
/* The id that its engine has or had; -1: it is none. */
int hub_watch_id(const struct hub_watch *watch, int64_t pid);
/* Calls `see` for each engine of a set that is registered. */
void hub_watch_each(const struct hub_watch *watch, const char *engine_set,
                    void (*see)(void *context, const struct hub_engine *engine), void *context);
/* Why the controller has not let in the engine that came last; "": it has, or does not say. */
const char *hub_watch_refusal(const struct hub_watch *watch);
/* Whether anybody has asked anything of engines, ever; true where the hub does not say. */
bool hub_watch_worked(const struct hub_watch *watch);
/* Why engines of a set have ended. */
struct hub_explanation {
    const char *engine_set;
    unsigned index;     /* which copy of its launch; IPCL_ALL_COPIES: all of the set */
    int64_t pid;        /* its process on this host; 0: it is elsewhere, or not one process */
    const char *reason; /* where it is one of a batch job, this begins with the job */
    bool cut_short;     /* it was not what they ran */
};
/* Tells the hub. */
void hub_watch_explain(struct hub_watch *watch, const struct hub_explanation *end);
/* From now on the hub is asked for what there is to do, too. */
void hub_watch_measure(struct hub_watch *watch);
/* Whether it was asked, and does not say. */
bool hub_watch_is_mute(const struct hub_watch *watch);
/* NULL: that is not known. */
const struct hub_work *hub_watch_work(const struct hub_watch *watch);
/* Asks one engine to end, or sends it a signal, which it also hears while it works. */
void hub_watch_end_engine(struct hub_watch *watch, const char *uuid);
/* Asks one to end if nobody would miss it. */
void hub_watch_end_idle(struct hub_watch *watch, const char *uuid);
void hub_watch_signal(struct hub_watch *watch, const char *uuid, int signum);
/* Asks engines that are registered to end, each once. */
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
 * may change. Of engines this is {"time", "metrics", "engines": an object by their ids}: of each
 * its "values", "time" and "host", or an "error" and "host". As long as
 * `each` returns true it asks again after so many milliseconds, also where another controller has
 * taken the place of the first by then. Returns 0, or -1 with `error` set where no hub answers
 * within some times `timeout_ms`. */
int hub_stats(struct registry *registry, const char *path, enum hub_stats_of of, int interval_ms,
              bool (*each)(void *self, json_t *answer), void *self, int timeout_ms,
              struct ipcl_error *error);
/* Sends engines, a list of their uuids, a control message each, and waits up to `timeout_ms` for
 * the next that answers. Returns 0, or -1 with `error` set where not all have answered. */
int hub_tell_engines(struct registry *registry, const char *path, const json_t *uuids,
                     const char *msg_type, const json_t *content, int timeout_ms,
                     struct ipcl_error *error);
/* Begins or ends the traces of the controller and of all engines, each on its host, and waits up to
 * `timeout_ms` for the next that answers. Returns a list of the files, {"file", and of an engine its "id"}, with an "error" in place of "file" where there
 * is none; NULL with `error` set where no hub answers. */
json_t *hub_trace(struct registry *registry, const char *path, bool on, int timeout_ms,
                  struct ipcl_error *error);
/* Asks engines, a list of objects that have their "uuid", one after the other to end if nobody
 * would miss them, until `most` of them do, and notes in each whether it "ends". Waits up to
 * `timeout_ms` for each answer. Returns 0, or -1 with `error` set where no hub answers. */
int hub_end_idle(struct registry *registry, const char *path, json_t *engines, size_t most,
                 int timeout_ms, struct ipcl_error *error);
/* Asks all engines to end, waits up to `timeout_ms` until they have left, and asks the controller,
 * which waits until those that have left have ended. Returns 0, or -1 with `error` set where some
 * engines have not left. */
int hub_end(struct registry *registry, const char *path, int timeout_ms, struct ipcl_error *error);

#endif
