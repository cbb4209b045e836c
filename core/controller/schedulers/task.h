/* The task thread's state, for the files that make it up: task.c (a task's way), task_thread.c
 * (sockets and the clock), task_answers.c (answers in an engine's place), task_retry.c (tasks that
 * go back to the queue), task_engines.c (engines that come and go), task_clients.c (clients that
 * go) and task_abort.c (tasks that are taken back). task_hooks.h has the places at which a restart
 * hooks in. */
#ifndef CONTROLLER_SCHEDULERS_TASK_H
#define CONTROLLER_SCHEDULERS_TASK_H

#include "controller/balancer/balancer.h"
#include "controller/exchange/channels.h"
#include "controller/exchange/controller.h"
#include "controller/delivery/handouts.h"
#include "controller/delivery/replies.h"
#include "wire/held.h"
#include "controller/exchange/refusal.h"
#include "controller/exchange/report.h"
#include "controller/exchange/routes.h"
#include "controller/schedulers/task_hooks.h"
#include "controller/schedulers/task_metadata.h"
#include "controller/delivery/trim.h"
#include "wire/abort_request.h"
#include "wire/loop.h"

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
    const struct balancer_scheme *scheme;
    int deaths_max;          /* 0: any number */
    struct leaving *leaving; /* task_engines.c */
    bool more;               /* there may be more to send than a round's batch */
    bool draining;           /* engines' answers are read to their end: nothing is sent meanwhile */
    long long next_try_ms;
    size_t waiting_told;  /* tasks, to the hub */
    long long waiting_ms; /* when to tell it again at the earliest */
    unsigned long long mark;
    struct trim trim;
    const struct task_hooks *hooks; /* NULL: this controller follows no other */
    struct task_restart *restart;   /* theirs */
    struct guests guests;
    struct replies replies;
    struct message outgoing;
    struct report report;
    struct refusal bad_task;
    struct refusal bad_reply;
};

/* Take in what comes by these sockets. */
loop_receive scheduler_from_client, scheduler_from_engine;
/* Enters a task whose msg_id is good and not pending. `before`: what is known of its hand-outs,
 * where the hub and the store know the task; NULL: it comes from a client now. The message is used
 * up, and `msg_id` with it, unless it has to wait. Returns 0, 1 where it has to wait, as only a
 * hook can say, or -1 where it was answered with an error. */
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
/* Frees a task that the balancer does not have. */
void scheduler_free(struct task *task);
/* Ends a task, and frees it. */
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

/* Answers a message that is no new task with an error. */
void scheduler_reject(struct scheduler *scheduler, struct message *message, const char *ename,
                      const char *evalue);

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

#endif
