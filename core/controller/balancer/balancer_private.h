/* What the files of the load balancer share: its state, and how they change a task's place in
 * it. */
#ifndef CONTROLLER_BALANCER_BALANCER_PRIVATE_H
#define CONTROLLER_BALANCER_BALANCER_PRIVATE_H

#include "controller/balancer/balancer.h"
#include "controller/balancer/finished.h"

struct balancer {
    const struct balancer_scheme *scheme;
    size_t window; /* of engines that come */
    struct worker *workers;
    struct worker *by_serial;
    struct heap takers; /* engines that take tasks */
    struct worker *ready;
    size_t suspended;
    struct table tasks;
    struct finished *finished;
    struct share *shares;     /* clients that have tasks */
    struct heap waiting;      /* those of the clients with waiting tasks that may run anywhere */
    unsigned long long turn;  /* the last one that a client was given */
    unsigned long long order; /* the last one that a task was given */
    struct binding *coming;   /* of tasks that may go to engines that will come later */
    size_t in_state[TASK_STATES];
    size_t open; /* how many waiting tasks would go to a new engine */
    struct task *stranded;
    struct task *away;
    struct heap deadlines;
    unsigned long long clock;
    uint64_t random;
};

/* share.c: the clients whose tasks wait. */
struct share {
    struct heap_item item;       /* in a heap of clients with tasks in these two queues */
    struct task *common;         /* tasks that may run anywhere */
    struct task *released;       /* such tasks that first waited for other tasks */
    struct line *lines;          /* binding.c: a hash by engine */
    unsigned long long turn;     /* the client with the lowest is next */
    unsigned long long previous; /* its previous turn */
    size_t tasks;
    UT_hash_handle hh;
    char client[];
};

bool share_before(const struct heap_item *a, const struct heap_item *b);
/* Makes a task one of its client's, after the others. Returns 0 or -1 (memory is short). */
int share_join(struct balancer *balancer, struct task *task);
void share_leave(struct balancer *balancer, struct task *task);
/* Moves a task that is in no queue behind the others of its client. */
void share_fall_behind(struct balancer *balancer, struct task *task);
/* A client has got an engine: now it is the turn of the others. */
void share_pass_on(struct balancer *balancer, struct share *share);
/* The client could not use the engine: it is its turn again. */
void share_take_back(struct balancer *balancer, struct share *share);
/* Whether `task` comes before `other`. */
bool share_is_earlier(const struct task *task, const struct task *other);
/* Puts a task that may run anywhere into its client's queue, or removes it. */
void share_queue(struct balancer *balancer, struct task *task, bool first);
void share_unqueue(struct balancer *balancer, struct task *task);
/* The next task in these queues; NULL if they are empty. */
struct task *share_first(const struct balancer *balancer);

/* binding.c: the engines that a task may go to. */
/* Binds a task that is in no queue or list to an engine that it names. If it also follows tasks, it
 * is not `allowed` there yet. Returns 0 or -1 (memory is short). */
int binding_add(struct task *task, struct worker *worker, bool allowed);
/* The order of the lines in an engine's own queue. */
bool binding_before(const struct heap_item *a, const struct heap_item *b);
/* Lets a task go to an engine where a task ran that it follows, if nothing else forbids it. If
 * memory is short the task cannot go there, as if the engine had gone. */
void binding_allow(struct task *task, struct worker *worker);
/* Binds a task that is in no queue or list to all engines that it may go to except `avoided`, and
 * to engines that will come later. Returns 0 or -1 (memory is short). */
int binding_avoid(struct balancer *balancer, struct task *task, const struct worker *avoided);
/* Lets tasks that may go to all engines except some go to a new engine. If memory is short they
 * wait for another. */
void binding_open_to(struct balancer *balancer, struct worker *worker);
/* Unbinds a task from an engine that goes, and returns the task; NULL if none is left. */
struct task *binding_lose(struct balancer *balancer, struct worker *worker);
void binding_drop_all(struct balancer *balancer, struct task *task);
/* Puts a task into the queues of the engines that it may go to, or removes it from them. */
void binding_queue(struct balancer *balancer, struct task *task);
void binding_claim(struct balancer *balancer, struct task *task);
/* The first task of an engine's own queue, which must not be empty. */
struct task *binding_first(struct worker *worker);
/* Whether there is an engine that the task may go to, now or later. */
bool binding_leads_somewhere(const struct task *task);
/* Whether there is an engine that a task may go to when the tasks that it follows allow it. */
bool binding_hopes(const struct task *task);
/* The best engine that a bound task may go to and that takes tasks now; NULL if there is none. */
struct worker *binding_choose(const struct balancer *balancer, const struct task *task);

/* dependency.c */
/* Gives a task that is in the table its needs. */
enum submission needs_create(struct balancer *balancer, struct task *task,
                             const struct dependency *after, const struct dependency *follow,
                             const char **unknown);
void needs_destroy(struct task *task);
/* Forgets which tasks depend on this one, because they go too. */
void needs_forget(struct task *task);
enum needs_state { NEEDS_MET, NEEDS_OPEN, NEEDS_NEVER };
/* `*fate` is set if they can never be met. */
enum needs_state needs_check(const struct task *task, enum task_fate *fate);
/* A task's needs are met: lets it go where the tasks ran that it follows. */
void needs_allow(struct balancer *balancer, struct task *task);
/* Whether a task may get more engines from an unfinished task that it follows. */
bool needs_more_engines(const struct task *task);
/* Lets a task go to the engine of this serial (0: none), where a task ran that it follows, if the
 * engine is still there. */
void needs_allow_at(const struct balancer *balancer, struct task *task, uint32_t serial);
/* A task has ended: takes the next of the tasks that depend on it, NULL if there is none left.
 * `*ran_at` is the serial of an engine that it may follow to, or 0. */
struct task *needs_end(struct task *task, struct task_outcome outcome, uint32_t *ran_at);

/* places.c: a task's place. */
/* Puts a task that is in no queue or list where it belongs: it waits for an engine or for other
 * tasks, or is stranded. Returns 0, or -1 if it is stranded. */
int balancer_place(struct balancer *balancer, struct task *task, bool first);
/* Removes a task from its queue or list. */
void balancer_detach(struct balancer *balancer, struct task *task);
/* Strands a task that is in no queue or list. */
void balancer_strand(struct balancer *balancer, struct task *task, enum task_fate fate);
/* Gives a waiting task to an engine. */
void balancer_start(struct balancer *balancer, struct task *task, struct worker *worker);
/* A task that is in no queue or list is at an engine of the previous controller. */
void balancer_keep_away(struct balancer *balancer, struct task *task);

/* workers.c: which engines there are, and which of them take tasks. */
/* Puts an engine in its place after its load, its suspension or its queue has changed. If memory is
 * short it gets no tasks until the next change. */
void balancer_settle(struct balancer *balancer, struct worker *worker);
struct worker *balancer_engine_of_serial(const struct balancer *balancer, uint32_t serial);
/* The serial that an engine of this uuid usually has. */
uint32_t worker_usual_serial(const struct balancer *balancer, const char *uuid);
/* Frees an engine that has gone, once no stranded task names it. */
void worker_release(struct worker *worker);
/* Frees all engines. */
void workers_release(struct balancer *balancer);

#endif
