/* The previous controller's tasks in the task thread, for the files that restore them:
 * task_restore.c (what the records say about them), task_recall.c (what engines say about them)
 * and task_away.c (those that engines have). */
#ifndef CONTROLLER_RESTART_TASK_RESTART_H
#define CONTROLLER_RESTART_TASK_RESTART_H

#include "controller/schedulers/task.h"

/* How often tasks are tried again that are set aside, or that have lost their engine. */
#define PASS_MS 1000

/* A set-aside task: it waits until more of what was before the restart is known. */
struct aside;

struct task_restart {
    void *socket;      /* PULL, from the records thread; NULL: nothing is restored */
    bool told;         /* the records thread has told everything */
    long long back_ms; /* when the engines have had enough time to come back */
    struct aside *aside;
    struct aside *next; /* the one to try next, in a pass over all */
    bool passing;
    bool progress; /* in this pass */
    bool strict;   /* what is unknown now will stay unknown */
    long long next_pass_ms;
    long long lost_ms;   /* when to try tasks again that have lost their engine; CLOCK_NEVER: there
                          are none */
    long long recall_ms; /* when to ask engines what they have; CLOCK_NEVER: never */
};

/* A task that the previous controller gave out. */
struct away {
    struct task task;
    char engine[ENGINE_UUID_BYTES]; /* "": it is not known which engine has it, or whether one
                                       has */
    struct handout handout;
    bool whole;   /* the message is here, so it can run again */
    bool lost;    /* its engine has gone: it waits for another engine that it names */
    bool unbegun; /* the same, but its engine has never had it */
    bool asked;   /* its engine was asked whether it has it */
};

/* task_away.c: */
/* Whether the engine of this uuid has it, as far as we know. */
bool away_is_at(struct away *away, const char *uuid);
/* The task of this reply, if the previous controller gave it to this engine; NULL otherwise. */
struct task *away_of_reply(const struct scheduler *scheduler, const char *msg_id, size_t size,
                           const char *engine);
/* A hook (task_hooks.h). */
bool restart_awaits_engines(const struct scheduler *scheduler, const struct task_metadata *metadata,
                            size_t found);
/* Makes a task that the previous controller gave out one of this scheduler's own, which can be
 * tried again. Returns 0; 1 if none of the engines that it names is back yet; -1 if that cannot
 * be. */
int away_take_over(struct scheduler *scheduler, struct task *task);
/* A task's engine has gone, or no longer has the task; `why` says so. The task runs again if it may
 * be tried again; otherwise it is answered with `why` as an error. If its engine never had it
 * (`unbegun`) it runs as if it had not been given out. */
void away_lose(struct scheduler *scheduler, struct task *task, bool unbegun, const char *why);
/* A task's engine has gone, or no engine came back with it. */
void away_lose_engine(struct scheduler *scheduler, struct task *task);

/* task_recall.c: */
/* There are engines or tasks of the previous controller which were not here before. */
void recall_soon(struct scheduler *scheduler);
/* Before an engine gets its first task: asks it, where it may have tasks of the previous
 * controller. Returns 0, or -1 where it is not connected. */
int recall_begin(struct scheduler *scheduler, struct worker *worker);
/* Asks engines for tasks that the previous controller gave out. Returns when to be called again,
 * or CLOCK_NEVER. */
long long recall_tick(struct scheduler *scheduler, long long now_ms);
/* Takes an engine's answer to that. Returns whether the message is one. */
bool recall_answered(struct scheduler *scheduler, struct message *message);

#endif
