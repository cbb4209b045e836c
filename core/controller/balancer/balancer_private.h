/* What the files of the load balancer share: its books, and how they change a task's place in
 * them. */
#ifndef CONTROLLER_BALANCER_BALANCER_PRIVATE_H
#define CONTROLLER_BALANCER_BALANCER_PRIVATE_H

#include "controller/balancer/balancer.h"
#include "controller/balancer/finished.h"

struct balancer {
    const struct balancer_scheme *scheme;
    size_t high_water; /* 0: no limit */
    struct worker *workers;
    struct worker *by_serial;
    struct heap takers; /* engines that take tasks */
    struct worker *ready;
    size_t suspended;
    struct table tasks;
    struct finished *finished;
    struct share *shares;     /* clients that have tasks */
    struct heap waiting;      /* those of them with tasks that wait and may run anywhere */
    unsigned long long turn;  /* the last that a client was given */
    unsigned long long order; /* the last that a task was given */
    struct binding *coming;   /* of tasks that may go to engines that are yet to come */
    size_t in_state[TASK_STATES];
    size_t open; /* tasks that wait and would go to an engine that came */
    struct task *stranded;
    struct task *away;
    struct heap deadlines;
    unsigned long long clock;
    uint64_t random;
};

/* share.c: the clients whose tasks wait. */
struct share {
    struct heap_item item;       /* among the clients with tasks in these queues: */
    struct task *common;         /* tasks that may run anywhere */
    struct task *released;       /* the same, of those that waited for other tasks first */
    struct line *lines;          /* binding.c: a hash by engine */
    unsigned long long turn;     /* the lowest is the next */
    unsigned long long previous; /* its turn before */
    size_t tasks;
    UT_hash_handle hh;
    char client[];
};

bool share_before(const struct heap_item *a, const struct heap_item *b);
/* Makes a task one of its client's, behind the others. Returns 0 or -1 (memory is short). */
int share_join(struct balancer *balancer, struct task *task);
void share_leave(struct balancer *balancer, struct task *task);
/* Puts a task that is in no queue behind the others of its client. */
void share_fall_behind(struct balancer *balancer, struct task *task);
/* A client has been given an engine: the others are next. */
void share_pass_on(struct balancer *balancer, struct share *share);
/* It could not use the engine, and is next again. */
void share_take_back(struct balancer *balancer, struct share *share);
/* Whether a task is next, and not the other one. */
bool share_is_earlier(const struct task *task, const struct task *other);
/* Puts a task that may run anywhere in its client's queue, or takes it out. */
void share_queue(struct balancer *balancer, struct task *task, bool first);
void share_unqueue(struct balancer *balancer, struct task *task);
/* Whose turn it is of those in these queues; NULL where they are empty. */
struct task *share_first(const struct balancer *balancer);

/* binding.c: the places that a task may go to. */
/* Binds a task that is in nothing to an engine that it names; where it also follows others, it is
 * not `allowed` there yet. Returns 0 or -1 (memory is short). */
int binding_add(struct task *task, struct worker *worker, bool allowed);
/* The order of the lines in an engine's own queue. */
bool binding_before(const struct heap_item *a, const struct heap_item *b);
/* Lets a task go to an engine where one ran that it follows, if nothing else is against it. Without
 * memory for it the task cannot go there, as if the engine had gone. */
void binding_allow(struct task *task, struct worker *worker);
/* Binds a task that is in nothing to all engines that it may go to but `avoided`, and to those that
 * are yet to come. Returns 0 or -1 (memory is short). */
int binding_avoid(struct balancer *balancer, struct task *task, const struct worker *avoided);
/* Lets the tasks go to a new engine that may go to any but some. Where memory is short they wait
 * for another. */
void binding_open_to(struct balancer *balancer, struct worker *worker);
/* Unbinds a task from an engine that goes, and returns it; NULL where none is left. */
struct task *binding_lose(struct balancer *balancer, struct worker *worker);
void binding_drop_all(struct balancer *balancer, struct task *task);
/* Puts a task in the queues of the engines that it may go to, or takes it out of these. */
void binding_queue(struct balancer *balancer, struct task *task);
void binding_claim(struct balancer *balancer, struct task *task);
/* The first task of an engine's own queue, which is not empty. */
struct task *binding_first(struct worker *worker);
/* Whether there is a place that the task may go to now or later. */
bool binding_leads_somewhere(const struct task *task);
/* Whether there is an engine that a task may go to once what it follows allows it. */
bool binding_hopes(const struct task *task);
/* Of the engines that a bound task may go to, the best that takes tasks now; NULL where none
 * does. */
struct worker *binding_choose(const struct balancer *balancer, const struct task *task);

/* dependency.c */
/* Gives a task that is in the table its needs. */
enum submission needs_create(struct balancer *balancer, struct task *task,
                             const struct dependency *after, const struct dependency *follow,
                             const char **unknown);
void needs_destroy(struct task *task);
/* Those that depend on a task do so no longer: they go, too. */
void needs_forget(struct task *task);
enum needs_state { NEEDS_MET, NEEDS_OPEN, NEEDS_NEVER };
/* `*fate` is set where they never can be met. */
enum needs_state needs_check(const struct task *task, enum task_fate *fate);
/* Lets a task whose needs are met go where the tasks ran that it follows. */
void needs_allow(struct balancer *balancer, struct task *task);
/* Whether a task may yet be given an engine by one that it follows and that has not finished. */
bool needs_more_engines(const struct task *task);
/* Tells those that depend on a task how it ended. */
void needs_tell(struct balancer *balancer, struct task *task, struct task_outcome outcome);

/* balancer.c: where a task stands. */
/* Puts a task that is in nothing where it belongs: it waits for an engine or for other tasks, or is
 * stranded. Returns 0, or -1 where it is stranded. */
int balancer_place(struct balancer *balancer, struct task *task, bool first);
/* Takes a task out of whatever it is in. */
void balancer_detach(struct balancer *balancer, struct task *task);
/* Strands a task that is in nothing. */
void balancer_strand(struct balancer *balancer, struct task *task, enum task_fate fate);

/* workers.c: the engines. */
/* Puts an engine where it belongs after its load, its suspension or its queue has changed. Where
 * memory is short it takes no tasks until its next change. */
void balancer_settle(struct balancer *balancer, struct worker *worker);
struct worker *balancer_engine_of_serial(const struct balancer *balancer, uint32_t serial);
/* The serial that an engine of this uuid has, as a rule. */
uint32_t worker_usual_serial(const struct balancer *balancer, const char *uuid);
/* Frees an engine that has gone, once no stranded task names it. */
void worker_release(struct worker *worker);
/* Frees all. */
void workers_release(struct balancer *balancer);

#endif
