/* The task thread's state, for the files that make it up: task.c (sockets, and each task's way),
 * task_answers.c (answers in an engine's place), task_retry.c (tasks that go back to the queue),
 * task_engines.c (engines that come and go), task_clients.c (clients that go), task_abort.c (tasks
 * that are taken back), task_restore.c (what the records tell of an earlier controller's tasks) and
 * task_recall.c (what engines say of these). */
#ifndef CONTROLLER_SCHEDULERS_TASK_H
#define CONTROLLER_SCHEDULERS_TASK_H

#include "controller/balancer/balancer.h"
#include "controller/controller.h"
#include "controller/delivery/handouts.h"
#include "controller/delivery/replies.h"
#include "controller/delivery/held.h"
#include "controller/exchange/refusal.h"
#include "controller/exchange/report.h"
#include "controller/exchange/routes.h"
#include "controller/schedulers/task_metadata.h"
#include "controller/delivery/trim.h"
#include "wire/abort_request.h"
#include "wire/loop.h"

/* A task that cannot be entered as long as the controller's past comes back. */
struct aside;

struct task_restore {
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

/* A task that another controller gave out. */
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

struct guests {
    struct guest *all; /* a hash by identity */
    long long grace_ms;
    long long next_look_ms;
};

struct scheduler {
    struct loop *loop;
    struct sessions sessions;
    void *clients;
    void *engines;
    void *notices;
    int losses; /* of answers that are too large to be read (gate.h) */
    struct balancer *balancer;
    struct routes routes; /* of its engines */
    struct held_pool *pool;
    struct handouts *handouts;
    struct task_metadata_reader reader;
    bool pure;
    int deaths_max;          /* 0: any number */
    struct leaving *leaving; /* task_engines.c */
    bool more;               /* there may be more to send than a round's batch */
    bool draining;           /* engines' answers are read to their end: nothing is sent meanwhile */
    long long next_try_ms;
    size_t waiting_told;  /* tasks, to the hub */
    long long waiting_ms; /* when to tell it again at the earliest */
    unsigned long long mark;
    struct trim trim;
    bool restarted; /* engines may have tasks of an earlier controller */
    struct task_restore restore;
    struct guests guests;
    struct replies replies;
    struct message outgoing;
    struct report report;
    struct refusal bad_task;
    struct refusal bad_reply;
};

/* Enters a task whose msg_id is good and not pending. `before`: what is known of its hand-outs,
 * where the hub and the store know the task; NULL: it comes from a client now. The message is used
 * up, and `msg_id` with it, unless it has to wait. Returns 0, 1 where it has to wait for what is
 * being restored, or -1 where it was answered with an error. */
int scheduler_accept(struct scheduler *scheduler, struct message *message,
                     const struct ipcl_member *msg_id, const struct handout *before);
/* Signs a message for an engine and sends it; where it is a task's, that is noted before. Returns 0
 * or -1, with the message as it was but for its signature. */
int scheduler_send_to(struct scheduler *scheduler, struct worker *worker, struct message *message,
                      const struct task *task);
/* Engines that are suspended take tasks again after a while: the longest that any of them needs. */
void scheduler_rest(struct scheduler *scheduler, int delay_ms);
/* Gives out what can run now. */
void scheduler_dispatch(struct scheduler *scheduler);
/* The engines that a task names: a malloc'ed array. Returns how many are there, or -1 (memory is
 * short). */
long scheduler_find_targets(struct scheduler *scheduler, const struct task_metadata *metadata,
                            struct worker ***targets);
/* Ends a task. */
void scheduler_end(struct scheduler *scheduler, struct task *task, bool success);

/* task_answers.c: */
/* Answers a task in an engine's place, and ends it. `content` (reply.h) is taken over. */
void scheduler_answer(struct scheduler *scheduler, struct task *task, json_t *content);
/* Answers a task with an error, and ends it. */
void scheduler_fail(struct scheduler *scheduler, struct task *task, const char *ename,
                    const char *evalue);
/* Ends a task whose client has gone, as aborted. */
void scheduler_drop(struct scheduler *scheduler, struct task *task);
/* Answers a task that is not entered. `content` (reply.h) is taken over. */
void scheduler_decline(struct scheduler *scheduler, struct message *message,
                       const struct ipcl_member *msg_id, json_t *content);
/* The same with an error. */
void scheduler_refuse(struct scheduler *scheduler, struct message *message,
                      const struct ipcl_member *msg_id, const char *ename, const char *evalue);

/* task_retry.c: */
/* The time that a task may wait begins when it is put in the queue, each time. */
void scheduler_start_clock(struct task *task);
/* Puts a task back in the queue that its engine has not begun. */
void scheduler_give_back(struct scheduler *scheduler, struct task *task);
/* Puts a task in the queue again that may have run, where it may be tried again. That uses up one
 * of its retries; not where its engine ended `blameless` of it, unless that happens again and
 * again. Returns whether it does. */
bool scheduler_retry(struct scheduler *scheduler, struct task *task, bool blameless);
/* Puts a task in the queue again whose end says that it is to be tried again; one that was cut
 * stays with its engine until that has gone. Returns whether it does. */
bool scheduler_try_again(struct scheduler *scheduler, struct task *task, enum task_end end);

/* task_engines.c: */
/* Takes in what engines have answered, before one that has gone is forgotten. They get nothing new
 * meanwhile, as with what busy ones answer then this would not end. */
void scheduler_hear_engines(struct scheduler *scheduler);
/* Learns which engines have come and gone. */
void scheduler_read_notices(void *self);
/* The engine that had a task has gone: it runs again where it may be tried again, and is answered
 * with this error otherwise. `blameless`: the engine did not end of what it ran, and in general no
 * retry is used up. */
void scheduler_lose(struct scheduler *scheduler, struct task *task, bool blameless,
                    const char *evalue);
/* Answers a stranded task, which can run nowhere, or whose client has gone; or lets it run
 * elsewhere, where its engine went and it may be tried again. */
void scheduler_settle(struct scheduler *scheduler, struct task *task);
/* Forgets engines that have left, once they have answered all. Returns when to be called again, or
 * CLOCK_NEVER. */
long long leaving_tick(struct scheduler *scheduler, long long now_ms);
void leaving_release(struct scheduler *scheduler);
/* Answers tasks whose answers are lost. */
void scheduler_hear_losses(void *self);

/* task_clients.c: */
/* Notes a task that is to be dropped once its client has gone. Where memory is short it is kept. */
void guests_add(struct scheduler *scheduler, struct task *task);
/* Forgets a task, whether it is noted or not. */
void guests_remove(struct task *task);
/* A client goes: drops what it has waiting of those tasks. */
void guests_leave(struct scheduler *scheduler, zmq_msg_t *client);
/* Looks which of these clients are there. Returns when to be called again, or CLOCK_NEVER. */
long long guests_tick(struct scheduler *scheduler, long long now_ms);
void guests_release(struct scheduler *scheduler);

/* task_abort.c: */
/* Serves an abort_request: of its client's tasks that it names, those that wait are answered with
 * "aborted". The reply has their msg_ids, and those that engines have, by the engines' uuids: these
 * are to be asked themselves. Or it says that its client is leaving. */
void abort_serve(struct scheduler *scheduler, struct message *message);

/* task_restore.c: */
/* Opens the way from the records thread, where there is something to restore. Returns 0, or -1 with
 * `error` set. */
int restore_open(struct scheduler *scheduler, struct controller *controller,
                 struct ipcl_error *error);
/* Whether a task has to wait, as it names engines that are not there or follows other tasks. */
bool restore_awaits_engines(const struct scheduler *scheduler, const struct task_metadata *metadata,
                            size_t found);
/* Whether a task has to wait that depends on one of which nothing is known. */
bool restore_awaits_tasks(const struct scheduler *scheduler);
/* Whether a task may run that its client sends again, as no controller knows it any more. It may
 * where it has certainly not begun, and where it has retries, of which one is used up then. Returns
 * 0, 1 where it has to wait, or -1. */
int restore_admit(const struct scheduler *scheduler, const struct ipcl_member *msg_id,
                  struct task_metadata *metadata);
/* scheduler_accept(), which puts aside what has to wait. */
void restore_accept(struct scheduler *scheduler, struct message *message,
                    const struct ipcl_member *msg_id, const struct handout *before);
/* A reply to a task that this controller did not give out. Where it has taken the place of another,
 * the task may be one of that one's: its client, which connects under its old identity, still waits
 * for the reply. Returns whether it is.
 *
 * A client that has been told that its task was lost gets no second answer; but it is recorded. */
bool restore_reply(struct scheduler *scheduler, struct message *message);
/* Takes over a task that another controller gave out, to run again. Returns whether that can be. */
bool restore_adopt(struct scheduler *scheduler, struct task *task);
/* A task's engine has gone, or has nothing of it any more, as `why` says: it runs again where it
 * may be tried again, and is answered with that as an error otherwise. Where its engine never had
 * it
 * (`unbegun`) it runs as if it had not been given out. */
void restore_lose(struct scheduler *scheduler, struct task *task, bool unbegun, const char *why);
/* Tries again what was put aside. Returns when to be called again, or CLOCK_NEVER. */
long long restore_tick(struct scheduler *scheduler, long long now_ms);
/* Aborts what a request names that is set aside: adds the msg_ids to `aborted`. */
void restore_abort(struct scheduler *scheduler, const struct abort_request *request,
                   json_t *aborted);
/* The uuid of the engine that has a task which another controller gave out; "" where that is not
 * known. */
const char *restore_engine_of(const struct task *task);
void restore_release(struct scheduler *scheduler);

/* task_recall.c: */
/* There are engines or tasks that another controller gave out which were not here before. */
void recall_soon(struct scheduler *scheduler);
/* Before an engine gets its first task: asks it, where it may have tasks of another controller.
 * Returns 0, or -1 where it is not connected. */
int recall_begin(struct scheduler *scheduler, struct worker *worker);
/* Asks engines for tasks that another controller gave out. Returns when to be called again, or
 * CLOCK_NEVER. */
long long recall_tick(struct scheduler *scheduler, long long now_ms);
/* Takes an engine's answer to that. Returns whether the message is one. */
bool recall_answered(struct scheduler *scheduler, struct message *message);

#endif
