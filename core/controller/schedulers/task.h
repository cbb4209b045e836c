/* The task thread's state, for the files that make it up: task.c (a task's way), task_thread.c
 * (sockets and the clock), task_dispatch.c (tasks are given to engines), task_send.c (messages to
 * engines), task_answers.c (the ends of tasks, and answers in an engine's place), task_retry.c
 * (tasks that go back to the queue), task_window.c (how many tasks an engine has), task_engines.c
 * (engines that come and go), task_clients.c (clients that go) and task_abort.c (tasks that are
 * taken back). task_hooks.h has the places at which a restart hooks in. */
#ifndef CONTROLLER_SCHEDULERS_TASK_H
#define CONTROLLER_SCHEDULERS_TASK_H

#include "controller/balancer/balancer.h"
#include "controller/exchange/channels.h"
#include "controller/exchange/controller.h"
#include "controller/delivery/handouts.h"
#include "controller/delivery/replies.h"
#include "wire/envelope.h"
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
    int losses; /* reports answers that are too large to be read (gate.h) */
    struct balancer *balancer;
    struct routes routes; /* of the engines */
    struct held_pool *pool;
    struct handouts *handouts;
    struct task_metadata_reader reader;
    const struct balancer_scheme *scheme;
    int deaths_max;          /* 0: any number */
    bool window_follows;     /* how many tasks an engine has follows from how long they take */
    struct worker *ahead;    /* engines with more than one task: who answered last is the last */
    struct leaving *leaving; /* task_engines.c */
    bool more;               /* a round's batch may have left something to send */
    bool draining;           /* all answers of engines are being read: nothing is sent until then */
    long long next_try_ms;
    size_t waiting_told;  /* how many tasks the hub was told to be waiting */
    long long waiting_ms; /* the earliest time to tell it again */
    unsigned long long mark;
    struct trim trim;
    const struct task_hooks *hooks; /* NULL: there is no previous controller */
    struct task_restart *restart;   /* of the hooks */
    struct guests guests;
    struct replies replies;
    struct message outgoing;
    struct envelopes to_engines; /* tasks and requests that are not sent yet */
    struct report report;
    struct refusal bad_task;
    struct refusal bad_reply;
};

/* Take messages that come by these sockets. */
loop_receive scheduler_from_client, scheduler_from_engine;
/* Enters a task whose msg_id is good and not pending. `before`: what is known of its hand-outs,
 * where the hub and the store know the task; NULL: it comes from a client now. The message is used
 * up, and `msg_id` with it, unless it has to wait. Returns 0, 1 where it has to wait, as only a
 * hook can say, or -1 where it was answered with an error. */
int scheduler_accept(struct scheduler *scheduler, struct message *message,
                     const struct ipcl_member *msg_id, const struct handout *before);
/* The engines that a task names: a malloc'ed array. Returns how many of them there are, or -1
 * (memory is short). */
long scheduler_find_targets(struct scheduler *scheduler, const struct task_metadata *metadata,
                            struct worker ***targets);

/* task_send.c: */
/* An engine may be registered before its socket has connected: then it gets no tasks for this
 * long. */
#define SCHEDULER_RETRY_MS 20
/* Suspended engines get tasks again after a while: the longest delay that any of them needs. */
void scheduler_rest(struct scheduler *scheduler, int delay_ms);
void scheduler_prepare_sending(struct scheduler *scheduler, int64_t frame_bytes_max);
/* Signs a message for an engine and sends it; if it is a task's, the hand-out is noted first.
 * Returns 0, or -1 with the message unchanged except for its signature. */
int scheduler_send_to(struct scheduler *scheduler, struct worker *worker, struct message *message,
                      const struct task *task);
/* task_dispatch.c: */
/* Sends the tasks that can run now. */
void scheduler_dispatch(struct scheduler *scheduler);
/* The same. `fresh` has just come, and `message` is the task as it came: it need not be
 * restored. */
void scheduler_dispatch_new(struct scheduler *scheduler, struct task *fresh,
                            struct message *message);
/* How long a task has waited or run by now, in microseconds. */
long long scheduler_waited_us(const struct task *task);

/* task_answers.c: */
/* Frees a task that the balancer does not have. */
void scheduler_free(struct task *task);
/* Ends a task, and frees it. */
void scheduler_end(struct scheduler *scheduler, struct task *task, bool success);
/* Answers a task in place of an engine, and ends it. `content` (reply.h) is taken over. */
void scheduler_answer(struct scheduler *scheduler, struct task *task, json_t *content);
/* Answers a task with an error, and ends it. */
void scheduler_fail(struct scheduler *scheduler, struct task *task, const char *ename,
                    const char *evalue);
/* Ends a task whose client has gone: it counts as aborted. */
void scheduler_drop(struct scheduler *scheduler, struct task *task);
/* Answers a task that is not accepted. `content` (reply.h) is taken over. */
void scheduler_decline(struct scheduler *scheduler, struct message *message,
                       const struct ipcl_member *msg_id, json_t *content);
/* The same with an error. */
void scheduler_refuse(struct scheduler *scheduler, struct message *message,
                      const struct ipcl_member *msg_id, const char *ename, const char *evalue);

/* Answers a message that is not a new task with an error. */
void scheduler_reject(struct scheduler *scheduler, struct message *message, const char *ename,
                      const char *evalue);

/* task_retry.c: */
/* Starts the time that a task may wait, each time it is put into the queue. */
void scheduler_start_clock(struct task *task);
/* Puts a task that its engine has not begun back into the queue; or answers it, if its client has
 * asked meanwhile to abort it. */
void scheduler_give_back(struct scheduler *scheduler, struct task *task);
/* Puts a task that may have run into the queue again, if it may be tried again. That uses up one of
 * its retries. It does not if its engine ended `blameless`, unless that happens again and again.
 * Returns whether it is tried again. */
bool scheduler_retry(struct scheduler *scheduler, struct task *task, bool blameless);
/* Puts a task into the queue again if its end says that it is to be tried again; a task that was
 * cut stays with its engine until the engine has gone. Returns whether it is tried again. */
bool scheduler_try_again(struct scheduler *scheduler, struct task *task, enum task_end end);

/* task_window.c: how many tasks an engine has at a time, if no setting says it. */
/* A task was sent to an engine, as a message of so many bytes. */
void window_sent(struct scheduler *scheduler, struct worker *worker, size_t bytes);
/* An engine has answered a task; `ran`: the task has run there. */
void window_answered(struct scheduler *scheduler, struct worker *worker, bool ran);
/* Asks engines without progress for what they have not begun. Returns the time of the next call,
 * or CLOCK_NEVER. */
long long window_tick(struct scheduler *scheduler, long long now_ms);
/* An engine goes. */
void window_forget(struct scheduler *scheduler, struct worker *worker);

/* task_engines.c: */
/* Reads everything that engines have answered, before one that has gone is forgotten. Engines get
 * nothing new until then: with the answers of busy engines this would not end. */
void scheduler_hear_engines(struct scheduler *scheduler);
/* Reads which engines have come and gone. */
void scheduler_read_notices(void *self);
/* The engine that had a task has gone: the task runs again if it may be tried again, and is
 * otherwise answered with this error. `blameless`: the engine ended for a reason other than what it
 * ran, and in general no retry is used up. */
void scheduler_lose(struct scheduler *scheduler, struct task *task, bool blameless,
                    const char *evalue);
/* Answers a stranded task that can run nowhere, or whose client has gone. If its engine has gone
 * and it may be tried again, lets it run elsewhere. */
void scheduler_settle(struct scheduler *scheduler, struct task *task);
/* Forgets engines that have left, when they have answered everything. Returns the time of the next
 * call, or CLOCK_NEVER. */
long long leaving_tick(struct scheduler *scheduler, long long now_ms);
void leaving_release(struct scheduler *scheduler);
/* Answers tasks whose answers are lost. */
void scheduler_hear_losses(void *self);

/* task_clients.c: */
/* Notes a task that is to be dropped when its client has gone. If memory is short, the task is not
 * dropped. */
void guests_add(struct scheduler *scheduler, struct task *task);
/* Forgets a task, noted or not. */
void guests_remove(struct task *task);
/* A client leaves: drops its noted tasks that wait. */
void guests_leave(struct scheduler *scheduler, zmq_msg_t *client);
/* Checks which of these clients are connected. Returns the time of the next call, or
 * CLOCK_NEVER. */
long long guests_tick(struct scheduler *scheduler, long long now_ms);
void guests_release(struct scheduler *scheduler);

/* task_abort.c: */
/* Serves an abort_request: those of its client's tasks that it names and that wait are answered
 * with "aborted". The reply has their msg_ids, and the msg_ids of tasks that engines have, by the
 * engines' uuids: the client must ask these engines itself. An abort_request can also say that its
 * client is leaving. */
void abort_serve(struct scheduler *scheduler, struct message *message);

#endif
