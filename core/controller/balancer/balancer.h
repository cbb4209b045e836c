/* The load balancer's state: which engines there are, how busy they are, which tasks wait for what
 * and which run where. It knows nothing about sockets.
 *
 * A task that may run anywhere waits in its client's queue. A task that is bound to some engines
 * waits in its client's line at each of these. A task that depends on others first waits for them.
 * A step costs O(log engines + log clients) at most. There are three exceptions. A task that names
 * engines or tasks costs O(engines named) or O(tasks named), each with the logarithm of its line's
 * length. A task that must run elsewhere costs O(engines). If clients with lines at an engine were
 * given other engines meanwhile, it is O(clients log clients). Nothing else depends on how many
 * tasks wait or have finished. */
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
    struct heap_item item; /* in the heap of engines that take tasks */
    int id;
    char uuid[ENGINE_UUID_BYTES];
    uint32_t serial;         /* names it in what is remembered of where tasks ran. It follows from
                                the uuid, so that an engine that was given up and comes back has the
                                same one */
    size_t load;             /* how many tasks it has */
    size_t window;           /* how many it may have; 0: any number */
    unsigned long long used; /* when it got its last task: a counter */
    unsigned long long mark; /* used by the owner */
    bool sealed;             /* used by the owner: it takes only sealed messages */
    bool recalled;           /* used by the owner */
    bool reached;            /* used by the owner: the last task could be sent */
    bool suspended;          /* it takes no tasks until balancer_resume() */
    bool retired;            /* it takes no tasks any more */
    bool gone;               /* stranded tasks still name it */
    bool blameless;          /* used by the owner: it ended for a reason other than what it ran */
    char *end;               /* once it has gone: the sentence that says so; NULL if memory was
                                short */
    struct task *running;
    struct heap bound;      /* its own queue: the lines of clients that have tasks in it */
    struct binding *claims; /* on it, of other tasks that are bound to it */
    size_t lines;           /* how many clients have tasks in one of these two */
    struct worker *ready_prev,
        *ready_next; /* in the list of engines that take tasks and have tasks in their own queue */
    bool ready;
    struct {
        bool asked;            /* to give back what it has not begun */
        bool listed;           /* in the list of those that have more than one task */
        long long listed_ns;   /* since when */
        long long answered_ns; /* when it answered last, or got a task while it had none */
        long long task_ns;     /* how long its tasks take */
        struct worker *prev, *next;
    } pace; /* used by the owner */
    UT_hash_handle hh;
    UT_hash_handle hh_serial;
};

enum task_state {
    TASK_NEW,
    TASK_BLOCKED, /* it waits for other tasks */
    TASK_WAITING, /* it waits for an engine */
    TASK_RUNNING,
    TASK_STRANDED,
    TASK_AWAY, /* the previous controller had given it out */
    TASK_STATES
};

/* Why a task is stranded. */
enum task_fate {
    FATE_LOST,       /* its engine, `task->worker`, ended while the task ran there */
    FATE_ALONE,      /* none of the engines that it may run on is left */
    FATE_IMPOSSIBLE, /* tasks that it depends on did not end as it needs */
    FATE_APART,      /* it needs all of the tasks that it follows, and they ran at different engines
                        or at none */
    FATE_UNWANTED,   /* balancer_give_up() */
};

struct guest; /* task_clients.c */

struct task {
    struct heap_item deadline_item; /* in the heap of waiting tasks with a time-out */
    long long deadline_ms;          /* when to give up waiting; 0: never */
    struct table_item item;         /* in the table of all, by msg_id */
    const char *msg_id;             /* the task's owner keeps it, and `client` and `data` */
    const void *client;             /* the name of its client */
    size_t client_size;
    void *data;
    struct task *prev, *next; /* in a queue, or a list: an engine's running tasks, the stranded ones
                                 or those away */
    struct worker *worker;    /* while it runs, or if it was lost */
    struct share *share;      /* its client's */
    unsigned long long order; /* the lowest of a client's tasks is the next */
    struct binding *slots;    /* the engines it may go to, while it is bound */
    struct needs *needs;      /* what it depends on; NULL: nothing */
    struct edge *dependents;  /* the tasks that depend on it */
    int retries;              /* how many are left */
    long long since_ns;       /* used by the owner: since when it waits, or an engine has it
                            (clock_ns()) */
    int deaths;               /* used by the owner: how many engines have died while they ran it */
    struct guest *guest; /* used by the owner: it is dropped when its client has gone; NULL: it is
                            not */
    struct task *guest_prev, *guest_next; /* in the list of that client's */
    int sent;      /* used by the owner: how often it was sent to an engine; so are `timeout` and
                 `reported` */
    float timeout; /* seconds */
    unsigned char msg_id_size; /* 1 to 255 */
    unsigned char state;       /* enum task_state */
    unsigned char fate;        /* enum task_fate */
    unsigned char cuts;        /* used by the owner: interruptions that used up no retry */
    bool cut : 1;              /* used by the owner: its engine ended, and interrupted it */
    bool bound : 1;            /* to the engines of its slots */
    bool targeted : 1;         /* these are the engines that it names, whatever tasks it follows */
    bool released : 1;         /* it waited for other tasks, and is in the queue for such tasks */
    bool reported : 1;
    bool unwanted : 1; /* used by the owner: its client does not want it to begin any more */
    bool unsent : 1;   /* used by the owner: what was to be sent with it was not */
    bool open : 1;     /* balancer_waiting() counts it */
};

/* The tasks that a task depends on. */
struct dependency {
    const char *const *ids;
    size_t count;
    bool all;     /* all of them; otherwise any */
    bool success; /* which ends count: at least one of these is true */
    bool failure;
};

struct balancer;

/* NULL when memory is short. `window`: how many tasks an engine may have until
 * balancer_set_window(); 0: any number. */
struct balancer *balancer_create(const struct balancer_scheme *scheme, int window,
                                 size_t finished_max);
/* Calls `release` for each remaining task. */
void balancer_destroy(struct balancer *balancer, void (*release)(struct task *task));

/* NULL when memory is short or the uuid is there already. */
struct worker *balancer_add_engine(struct balancer *balancer, int id, const char *uuid);
struct worker *balancer_engine(const struct balancer *balancer, const char *uuid, size_t size);
/* The first engine; `hh.next` leads to the others. */
struct worker *balancer_engines(const struct balancer *balancer);
/* Forgets an engine. Tasks that it was running become stranded, and so do those that could go to no
 * other. `end` says how it ended. */
void balancer_remove_engine(struct balancer *balancer, struct worker *worker, const char *end);
/* The engine gets no more tasks, because it will go. */
void balancer_retire(struct balancer *balancer, struct worker *worker);
/* Sets how many tasks an engine may have: 1 or more. */
void balancer_set_window(struct balancer *balancer, struct worker *worker, size_t window);
/* Lets suspended engines, which could not be reached (balancer_put_back()), get tasks again. */
void balancer_resume(struct balancer *balancer);
bool balancer_suspended(const struct balancer *balancer);

/* How many tasks there are. */
size_t balancer_count(const struct balancer *balancer);
/* How many of them are in this state. */
size_t balancer_in_state(const struct balancer *balancer, enum task_state state);
/* How many of them wait for an engine, and would go to a new one. */
size_t balancer_waiting(const struct balancer *balancer);
/* The task with this msg_id that waits or runs; NULL if there is none. */
struct task *balancer_task(const struct balancer *balancer, const char *msg_id, size_t size);

enum submission { SUBMISSION_DONE, SUBMISSION_NO_MEMORY, SUBMISSION_UNKNOWN, SUBMISSION_ITSELF };
/* Adds a task whose msg_id is not there yet. It is zeroed except deadline_ms, msg_id, its size,
 * data, client, its size, retries and timeout. `targets` are the engines it may go to; none means
 * any. `after` says when it may run. `follow` says when and where: at the engine where those tasks
 * ran. If the result is not SUBMISSION_DONE, the task is not added: memory is short, it depends on
 * itself, or it depends on an unknown task, which `*unknown` names. */
enum submission balancer_submit(struct balancer *balancer, struct task *task,
                                struct worker *const *targets, size_t target_count,
                                const struct dependency *after, const struct dependency *follow,
                                const char **unknown);
/* Remembers the failure of a task that was never added, for tasks that depend on it. */
void balancer_note_failure(struct balancer *balancer, const char *msg_id, size_t size);
/* The next task that can run now, which then counts as running at `task->worker`; NULL if there is
 * none. */
struct task *balancer_next(struct balancer *balancer);
/* The engine gets no tasks until balancer_resume(). */
void balancer_suspend(struct balancer *balancer, struct worker *worker);
/* Puts a task that has just come from balancer_next() back to its place: its engine could not be
 * reached, and is suspended. */
void balancer_put_back(struct balancer *balancer, struct task *task);
/* Puts a running or stranded task into the queue again: in its old place, or behind all others if
 * it has `failed`. `elsewhere`: at another engine than the one that had it. Returns 0. Returns -1
 * if the task was bound and no such engine is left: then it is stranded. A task that was not bound
 * waits for a new engine. */
int balancer_retry(struct balancer *balancer, struct task *task, bool elsewhere, bool failed);
/* Strands a task that waits for an engine or for other tasks: nobody wants it any more. */
void balancer_give_up(struct balancer *balancer, struct task *task);
/* A stranded task (`task->fate` says why); NULL if there is none. The caller retries or finishes
 * it. */
struct task *balancer_stranded(const struct balancer *balancer);
/* Ends a task in any state; the caller frees it. Whether it succeeded and where it ran is
 * remembered. Of the tasks that depend on it, some can run now. Others never can: they are
 * stranded. */
void balancer_finish(struct balancer *balancer, struct task *task, bool success);
/* Remembers the end of a task that the previous controller gave out to the engine of this uuid (""
 * for none), which may not be here. Returns whether it did: it does not if this controller has had
 * a task of that msg_id. */
bool balancer_finish_foreign(struct balancer *balancer, const char *msg_id, size_t size,
                             const char *engine, bool success);
/* Whether the end of a task with this msg_id is remembered. */
bool balancer_has_ended(const struct balancer *balancer, const char *msg_id, size_t size,
                        bool *success);
/* Adds a task that the previous controller gave out, filled as for balancer_submit(), so that
 * others may depend on it. It ends with balancer_finish(); `worker` is set before, if it is known.
 * Returns 0 or -1 (memory is short). */
int balancer_expect(struct balancer *balancer, struct task *task);
/* Takes over a task from balancer_expect(), to be given to balancer_retry(). It may go to these
 * engines, or to any if none is given. Returns 0, or -1 (memory is short) with the task
 * unchanged. */
int balancer_adopt(struct balancer *balancer, struct task *task, struct worker *const *targets,
                   size_t target_count);
/* The first task from balancer_expect() that is still away. */
struct task *balancer_away(const struct balancer *balancer);

/* A waiting task whose deadline has passed, or NULL. */
struct task *balancer_late(const struct balancer *balancer, long long now_ms);
/* The next deadline, or CLOCK_NEVER. */
long long balancer_deadline(const struct balancer *balancer);
/* Whether a task has more than one engine to go to: those it is bound to, or all. */
bool balancer_has_choice(const struct balancer *balancer, const struct task *task);
/* Whether a task may go to engines that will come later. */
bool balancer_is_open(const struct task *task);

#endif
