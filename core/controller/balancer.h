/* The load balancer's books: which engines there are, how busy they are, which tasks wait and which
 * run where. It knows of no sockets.
 *
 * A task that may run anywhere waits in one queue; one that is bound to some engines waits in a
 * queue of each of these. Each step costs O(log engines) at most, and O(engines named) for a task
 * that names some. */
#ifndef CONTROLLER_BALANCER_H
#define CONTROLLER_BALANCER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uthash.h>

#include "controller/heap.h"
#include "controller/notice.h"

enum balancer_scheme {
    BALANCER_LEASTLOAD,   /* the engine with the fewest tasks; among these the one that got its last
                             task first */
    BALANCER_LRU,         /* the one that got its last task first */
    BALANCER_PLAINRANDOM, /* any */
    BALANCER_TWOBIN,      /* of two at random, the one that got its last task first */
    BALANCER_WEIGHTED, /* of two at random, drawn by the inverse of their loads, the less loaded */
};
/* The scheme of this name. Returns 0 or -1. */
int balancer_scheme_of(const char *name, enum balancer_scheme *scheme);

struct task;
struct slot;

struct worker {
    struct heap_item item; /* among those that take tasks */
    int id;
    char uuid[ENGINE_UUID_BYTES];
    size_t load;             /* tasks that it has */
    unsigned long long used; /* when it got its last task: a counter */
    bool suspended;          /* it takes no tasks until balancer_resume() */
    struct task *running;
    struct slot *bound;  /* its own queue */
    struct slot *claims; /* of tasks that are bound to it and run, here or elsewhere */
    struct worker *ready_prev,
        *ready_next; /* among those that take tasks and have a queue of their own */
    bool ready;
    UT_hash_handle hh;
};

struct task {
    struct heap_item deadline_item; /* while it waits, among those with a time-out */
    long long deadline_ms;          /* when to give up waiting; 0 for never */
    const char *msg_id;             /* kept by the owner of the task; likewise `data` */
    size_t msg_id_size;
    void *data;
    int retries;              /* left */
    unsigned long long order; /* of submission */
    enum { TASK_NEW, TASK_WAITING, TASK_RUNNING, TASK_STRANDED } state;
    bool lost;     /* stranded: its engine went while it ran there */
    bool reported; /* the owner's, likewise `sent`: how often it went to an engine */
    int sent;
    bool open;             /* bound to some engines, and to all that are yet to come */
    struct worker *worker; /* while it runs */
    struct slot *slots;    /* while it is bound, one for each engine it may go to */
    size_t slot_count;
    struct task *prev, *next; /* in the common queue, an engine's running, or the stranded */
    struct task *open_prev, *open_next; /* among the open */
    UT_hash_handle hh;
};

struct balancer;

/* NULL when memory is short. */
struct balancer *balancer_create(enum balancer_scheme scheme, int high_water);
/* Calls `release` for each task that is left. */
void balancer_destroy(struct balancer *balancer, void (*release)(struct task *task));

/* NULL when memory is short or the uuid is there already. */
struct worker *balancer_add_engine(struct balancer *balancer, int id, const char *uuid);
struct worker *balancer_engine(const struct balancer *balancer, const char *uuid, size_t size);
/* Forgets an engine. Tasks that it was running, and those that waited for no other, become
 * stranded. */
void balancer_remove_engine(struct balancer *balancer, struct worker *worker);
/* An engine that cannot be reached yet gets no tasks until all are resumed. */
void balancer_suspend(struct balancer *balancer, struct worker *worker);
void balancer_resume(struct balancer *balancer);
bool balancer_suspended(const struct balancer *balancer);

/* A task of this msg_id that waits or runs; NULL where there is none. */
struct task *balancer_task(const struct balancer *balancer, const char *msg_id, size_t size);
/* Enters a task, zeroed but for deadline_ms, msg_id, data and retries. `targets` are the engines it
 * may go to; none means any. Returns 0 or -1 (memory is short). The msg_id is not there yet. */
int balancer_submit(struct balancer *balancer, struct task *task, struct worker *const *targets,
                    size_t target_count);
/* The next task that can run now, which then counts as running at `task->worker`; NULL where none
 * can. */
struct task *balancer_next(struct balancer *balancer);
/* Puts a task that has just come from balancer_next() back where it was: its engine could not be
 * reached, and is suspended. */
void balancer_put_back(struct balancer *balancer, struct task *task);
/* Puts a running or stranded task in the queue again. `elsewhere`: at another engine than the one
 * that had it. Where the task was bound and no such engine is left, returns -1: it is stranded
 * then; a task that was free waits for an engine to come. */
int balancer_retry(struct balancer *balancer, struct task *task, bool elsewhere);
/* A task that is stranded: it ran at an engine that has gone (`task->lost`), or waited for engines
 * that have; NULL where there is none. The caller retries or removes it. */
struct task *balancer_stranded(const struct balancer *balancer);
/* Forgets a task, in whatever state; the caller frees it. */
void balancer_remove(struct balancer *balancer, struct task *task);

/* A waiting task whose deadline has passed, or NULL. */
struct task *balancer_late(const struct balancer *balancer, long long now_ms);
/* The next deadline, or -1. */
long long balancer_deadline(const struct balancer *balancer);
/* Whether more than one engine is there for a task: those it is bound to, or all. */
bool balancer_has_choice(const struct balancer *balancer, const struct task *task);

#endif
