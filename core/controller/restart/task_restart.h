/* The previous controller's tasks in the task thread, for the files that restore them:
 * task_restore.c (what the records tell of them) and task_recall.c (what engines say of them). */
#ifndef CONTROLLER_RESTART_TASK_RESTART_H
#define CONTROLLER_RESTART_TASK_RESTART_H

#include "controller/schedulers/task.h"

/* A task that has to wait until more of the past is known. */
struct aside;

struct task_restart {
    void *socket;      /* PULL, from the records thread; NULL where nothing is restored */
    bool told;         /* it has told all */
    long long back_ms; /* when the engines have had time to come back */
    struct aside *aside;
    struct aside *next; /* the one to try next, in a pass through all */
    bool passing;
    bool progress; /* in this pass */
    bool strict;   /* what is unknown now stays so */
    long long next_pass_ms;
    long long lost_ms; /* when to try again what has lost its engine; CLOCK_NEVER: there is none */
    long long recall_ms; /* when to ask engines what they have; CLOCK_NEVER: there is no need */
};

/* A task that the previous controller gave out. */
struct away {
    struct task task;
    char engine[ENGINE_UUID_BYTES]; /* "": it is not known which has it, if any */
    struct handout handout;
    bool whole;   /* it is here, so that it can run again */
    bool lost;    /* its engine has gone: it waits for another that it names */
    bool unbegun; /* likewise, but its engine has never had it */
    bool asked;   /* its engine is asked for it */
};

/* Whether the engine of this uuid has it, as far as is known. */
bool away_is_at(struct away *away, const char *uuid);
/* A task's engine has gone, or has nothing of it any more, as `why` says: it runs again where it
 * may be tried again, and is answered with that as an error otherwise. Where its engine never had
 * it (`unbegun`) it runs as if it had not been given out. */
void restore_lose(struct scheduler *scheduler, struct task *task, bool unbegun, const char *why);

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
