/* The load balancer's books: which engines there are, how busy they are, which tasks wait for what
 * and which run where. It knows of no sockets.
 *
 * A task that may run anywhere waits in its client's queue; one that is bound to some engines waits
 * in its client's line at each of these; one that depends on others waits for these first. A step
 * costs O(log engines + log clients) at most, and O(engines named) or O(tasks named) for a task
 * that names some, in each of whose lines it finds its place by the logarithm of their lengths; and
 * O(engines) where one is to run elsewhere, and O(clients log clients) where those with lines at an
 * engine have been given others meanwhile. Nothing else depends on how many tasks wait or have
 * finished. */
#ifndef CONTROLLER_BALANCER_BALANCER_H
#define CONTROLLER_BALANCER_BALANCER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uthash.h>

#include "base/table.h"
#include "controller/balancer/heap.h"
#include "controller/balancer/schemes.h"
#include "controller/exchange/notice.h"

struct task;
struct share;   /* share.c */
struct binding; /* binding.c */
struct line;    /* binding.c */
struct edge;    /* dependency.c */
struct needs;   /* dependency.c */

struct worker {
    struct heap_item item; /* among those that take tasks */
    int id;
    char uuid[ENGINE_UUID_BYTES];
    uint32_t serial;         /* what is remembered of where tasks ran: it goes by the uuid, so that
                                an engine that was given up and comes back has it again */
    size_t load;             /* tasks that it has */
    unsigned long long used; /* when it got its last task: a counter */
    unsigned long long mark; /* the owner's */
    bool sealed;             /* the owner's: it takes only what is sealed */
    bool recalled;           /* the owner's */
    bool suspended;          /* it takes no tasks until balancer_resume() */
    bool retired;            /* it takes no tasks any more */
    bool gone;               /* stranded tasks still name it */
    bool blameless;          /* the owner's: it was not what it ran that ended it */
    char *end;               /* then: the sentence that says so; NULL where memory is short */
    struct task *running;
    struct heap bound;      /* its own queue: a line of each client with tasks in it */
    struct binding *claims; /* of other tasks that are bound to it */
    size_t lines;           /* of the clients with tasks in either */
    struct worker *ready_prev,
        *ready_next; /* among those that take tasks and have a queue of their own */
    bool ready;
    UT_hash_handle hh;
    UT_hash_handle hh_serial;
};

enum task_state {
    TASK_NEW,
    TASK_BLOCKED, /* it waits for other tasks */
    TASK_WAITING, /* it waits for an engine */
    TASK_RUNNING,
    TASK_STRANDED,
    TASK_AWAY, /* the previous controller gave it out */
    TASK_STATES
};

/* Why a task is stranded. */
enum task_fate {
    FATE_LOST,       /* its engine, `task->worker`, went while it ran there */
    FATE_ALONE,      /* none is left of the engines that it may run on */
    FATE_IMPOSSIBLE, /* tasks that it depends on have ended otherwise than it needs */
    FATE_APART,      /* it follows tasks, all of them, that ran at different engines, or at none */
    FATE_UNWANTED,   /* balancer_give_up() */
};

struct guest; /* task_clients.c */

struct task {
    struct heap_item deadline_item; /* while it waits, among those with a time-out */
    long long deadline_ms;          /* when to give up waiting; 0 for never */
    struct table_item item;         /* among all, by msg_id */
    const char *msg_id;             /* kept by the owner of the task; likewise `data` */
    const void *client;             /* likewise: whose it is */
    size_t client_size;
    void *data;
    struct task *prev, *next; /* in a queue, an engine's running, the stranded or those away */
    struct worker *worker;    /* while it runs, or is lost */
    struct share *share;      /* its client's */
    unsigned long long order; /* of its client's tasks the lowest is the next */
    struct binding *slots;    /* while it is bound: where it may go */
    struct needs *needs;      /* what it depends on; NULL for nothing */
    struct edge *dependents;  /* those that depend on it */
    int retries;              /* left */
    long long since_ns;  /* the owner's: since when it waits, or an engine has it (trace_clock()) */
    int deaths;          /* the owner's: how many engines have died while they ran it */
    struct guest *guest; /* likewise: it is dropped once its client has gone; NULL: it is not */
    struct task *guest_prev, *guest_next; /* among that client's */
    int sent; /* the owner's: how often it went to an engine; likewise `timeout` and `reported` */
    float timeout;             /* seconds */
    unsigned char msg_id_size; /* 1 to 255 */
    unsigned char state;       /* enum task_state */
    unsigned char fate;        /* enum task_fate */
    unsigned char cuts;        /* the owner's: its interruptions that used up no retry */
    bool cut : 1;              /* the owner's: its engine has interrupted it, as that ends */
    bool bound : 1;            /* to the engines of its slots */
    bool targeted : 1;         /* the engines are those that it names, whatever it follows */
    bool released : 1;         /* it waited for other tasks, and is in the queue of these */
    bool reported : 1;
    bool open : 1; /* it is counted by balancer_waiting() */
};

/* The tasks that a task depends on. */
struct dependency {
    const char *const *ids;
    size_t count;
    bool all;     /* of them; otherwise any */
    bool success; /* at least one of these: which end is meant */
    bool failure;
};

struct balancer;

/* NULL when memory is short. */
struct balancer *balancer_create(const struct balancer_scheme *scheme, int high_water,
                                 size_t finished_max);
/* Calls `release` for each task that is left. */
void balancer_destroy(struct balancer *balancer, void (*release)(struct task *task));

/* NULL when memory is short or the uuid is there already. */
struct worker *balancer_add_engine(struct balancer *balancer, int id, const char *uuid);
struct worker *balancer_engine(const struct balancer *balancer, const char *uuid, size_t size);
/* The first engine; the others by its `hh.next`. */
struct worker *balancer_engines(const struct balancer *balancer);
/* Forgets an engine. Tasks that it was running, and those that waited for no other, become
 * stranded. `end` says what became of it. */
void balancer_remove_engine(struct balancer *balancer, struct worker *worker, const char *end);
/* An engine takes no tasks any more, as it is to go. */
void balancer_retire(struct balancer *balancer, struct worker *worker);
/* Engines that could not be reached (balancer_put_back()) get no tasks until all are resumed. */
void balancer_resume(struct balancer *balancer);
bool balancer_suspended(const struct balancer *balancer);

/* How many tasks are here. */
size_t balancer_count(const struct balancer *balancer);
/* How many of them are in this state. */
size_t balancer_in_state(const struct balancer *balancer, enum task_state state);
/* How many of them wait for an engine, and would go to one that came. */
size_t balancer_waiting(const struct balancer *balancer);
/* A task of this msg_id that waits or runs; NULL where there is none. */
struct task *balancer_task(const struct balancer *balancer, const char *msg_id, size_t size);

enum submission { SUBMISSION_DONE, SUBMISSION_NO_MEMORY, SUBMISSION_UNKNOWN, SUBMISSION_ITSELF };
/* Enters a task, zeroed but for deadline_ms, msg_id, its size, data, client, its size, retries and
 * timeout, whose msg_id is not there yet. `targets` are the engines it may go to; none means any.
 * `after` says when it may run, `follow` when and where: where those ran. Where it is not done, the
 * task is not entered: it depends on itself, or on one of which nothing is known, which `*unknown`
 * names. */
enum submission balancer_submit(struct balancer *balancer, struct task *task,
                                struct worker *const *targets, size_t target_count,
                                const struct dependency *after, const struct dependency *follow,
                                const char **unknown);
/* Remembers that a task failed that was never entered, for those that depend on it. */
void balancer_note_failure(struct balancer *balancer, const char *msg_id, size_t size);
/* The next task that can run now, which then counts as running at `task->worker`; NULL where none
 * can. */
struct task *balancer_next(struct balancer *balancer);
/* An engine takes no tasks until balancer_resume(). */
void balancer_suspend(struct balancer *balancer, struct worker *worker);
/* Puts a task that has just come from balancer_next() back where it was: its engine could not be
 * reached, and is suspended. */
void balancer_put_back(struct balancer *balancer, struct task *task);
/* Puts a running or stranded task in the queue again: where it was, or behind all others where it
 * has `failed`. `elsewhere`: at another engine than the one that had it. Where the task was bound
 * and no such engine is left, returns -1: it is stranded then; a task that was free waits for an
 * engine to come. */
int balancer_retry(struct balancer *balancer, struct task *task, bool elsewhere, bool failed);
/* Strands a task that waits, for an engine or for other tasks: nobody wants it any more. */
void balancer_give_up(struct balancer *balancer, struct task *task);
/* A task that is stranded, as `task->fate` says; NULL where there is none. The caller retries or
 * finishes it. */
struct task *balancer_stranded(const struct balancer *balancer);
/* Ends a task, in whatever state, which the caller frees. Its success or failure and where it ran
 * are remembered. Of those that depend on it, some can run now, and others never can, and are
 * stranded. */
void balancer_finish(struct balancer *balancer, struct task *task, bool success);
/* Remembers the end of a task that the previous controller gave out, to the engine of this uuid,
 * which may not be here ("" for none). Returns whether it did: not where this one has had a task of
 * that msg_id. */
bool balancer_finish_foreign(struct balancer *balancer, const char *msg_id, size_t size,
                             const char *engine, bool success);
/* Whether it is remembered how a task of this msg_id ended. */
bool balancer_has_ended(const struct balancer *balancer, const char *msg_id, size_t size,
                        bool *success);
/* Enters a task that the previous controller gave out, in the form of balancer_submit(): others may
 * depend on it. It ends with balancer_finish(), before which `worker` is set where that is known.
 * Returns 0 or -1 (memory is short). */
int balancer_expect(struct balancer *balancer, struct task *task);
/* Takes such a task over, which is to go to one of these engines, or to any where none is given:
 * for balancer_retry(). Returns 0, or -1 with the task as it is (memory is short). */
int balancer_adopt(struct balancer *balancer, struct task *task, struct worker *const *targets,
                   size_t target_count);
/* The first of those. */
struct task *balancer_away(const struct balancer *balancer);

/* A waiting task whose deadline has passed, or NULL. */
struct task *balancer_late(const struct balancer *balancer, long long now_ms);
/* The next deadline, or CLOCK_NEVER. */
long long balancer_deadline(const struct balancer *balancer);
/* Whether more than one engine is there for a task: those it is bound to, or all. */
bool balancer_has_choice(const struct balancer *balancer, const struct task *task);
/* Whether a task may go to engines that are yet to come. */
bool balancer_is_open(const struct task *task);

#endif
