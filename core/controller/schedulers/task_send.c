/* Messages to engines: signed, noted as given out, and sent. The task thread. */
#include <string.h>

#include "base/clock.h"
#include "controller/exchange/segments.h"
#include "controller/schedulers/task.h"

/* Of a task that has just got a counter for an engine. */
static struct handout handout_of(const struct worker *worker, const struct task *task,
                                 const struct seal *seal)
{
    return (struct handout){.engine = handouts_hash(worker->uuid, strlen(worker->uuid)),
                            .counter = worker->sealed ? seal->counter : 0,
                            .retries = task->retries,
                            .deaths = task->deaths};
}

void scheduler_rest(struct scheduler *scheduler, int delay_ms)
{
    long long then = clock_ms() + delay_ms;
    if (!balancer_suspended(scheduler->balancer) || then > scheduler->next_try_ms)
        scheduler->next_try_ms = then;
}

/* The task of this message, if it is still with that engine; otherwise NULL. */
static struct task *task_of(const struct scheduler *scheduler, const struct worker *worker,
                            struct message *message)
{
    struct ipcl_member msg_id = {.name = "msg_id"};
    struct task *task = NULL;
    if (!session_find(scheduler->sessions.engines, message_part(message, MESSAGE_HEADER), &msg_id,
                      1) &&
        msg_id.state == IPCL_MEMBER_TEXT)
        task = balancer_task(scheduler->balancer, msg_id.data, msg_id.size);
    return task && task->state == TASK_RUNNING && task->worker == worker ? task : NULL;
}

/* An engine whose connection has gone has not begun what was to be sent by it. The last first: each
 * is put before what waits. */
static void take_back(struct scheduler *scheduler, struct worker *worker, struct message *envelope)
{
    struct envelope_reader reader = {0};
    struct message message;
    struct task *task, *before;
    size_t unsent = 0;
    scheduler_rest(scheduler, SCHEDULER_RETRY_MS);
    balancer_suspend(scheduler->balancer, worker);
    worker->reached = false;
    message_init(&message);
    envelope_open(&reader, envelope);
    while (envelope_next(&reader, &message))
        if ((task = task_of(scheduler, worker, &message)) && !task->unsent) {
            task->unsent = true;
            unsent++;
        }
    message_close(&message);
    envelope_close(&reader);
    for (task = unsent ? worker->running->prev : NULL; unsent; task = before) {
        before = task->prev;
        if (!task->unsent)
            continue;
        task->unsent = false;
        unsent--;
        scheduler_give_back(scheduler, task);
    }
    scheduler->more = true; /* other engines may be free */
}

static int enclose(void *self, struct message *message)
{
    return seal_enclose(&((struct scheduler *)self)->sessions.engine_seal, message);
}

static void send_envelope(void *self, struct message *envelope)
{
    struct scheduler *scheduler = self;
    zmq_msg_t *engine = message_peer(envelope);
    if (!seal_close_envelope(&scheduler->sessions.engine_seal, envelope, zmq_msg_data(engine),
                             zmq_msg_size(engine)) &&
        !message_send(envelope, scheduler->engines))
        return;
    struct worker *worker = NULL;
    if (routes_translate(&scheduler->routes, engine))
        worker = balancer_engine(scheduler->balancer, zmq_msg_data(engine), zmq_msg_size(engine));
    if (worker)
        take_back(scheduler, worker, envelope);
}

void scheduler_prepare_sending(struct scheduler *scheduler, int64_t frame_bytes_max)
{
    envelopes_prepare(&scheduler->to_engines, frame_bytes_max, enclose, send_envelope, scheduler);
}

/* Puts a task into the envelope for its engine. Returns whether it is there. */
static bool put_task(struct scheduler *scheduler, struct worker *worker, const char *name,
                     struct message *message, const struct task *task)
{
    /* The first task goes alone: if the engine is not connected yet, it stays where it is. */
    if (!worker->sealed || !worker->reached ||
        !envelopes_put(&scheduler->to_engines, name, strlen(name), message, 0))
        return false;
    struct handout handout = handout_of(worker, task, &scheduler->sessions.engine_seal);
    handouts_add(scheduler->handouts, task->msg_id, task->msg_id_size, &handout);
    worker->reached = true;
    return true;
}

int scheduler_send_to(struct scheduler *scheduler, struct worker *worker, struct message *message,
                      const struct task *task)
{
    const char *name = routes_of(&scheduler->routes, worker->uuid);
    struct seal *seal = &scheduler->sessions.engine_seal;
    size_t size = strlen(name);
    if ((task && scheduler->hooks && scheduler->hooks->prepare(scheduler, worker)) ||
        segments_give_to(name, message))
        return -1;
    if (task && put_task(scheduler, worker, name, message, task))
        return 0;
    if (seal_sign(seal, message, name, size, worker->sealed, NULL))
        return -1;
    if (!task) { /* its sender acts on whether it has gone */
        envelopes_close_for(&scheduler->to_engines, name, size);
        return message_send_to(message, scheduler->engines, name, size) ? -1 : 0;
    }
    struct handout handout = handout_of(worker, task, seal);
    handouts_add(scheduler->handouts, task->msg_id, task->msg_id_size, &handout);
    if (!message_send_to(message, scheduler->engines, name, size)) {
        worker->reached = true;
        return 0;
    }
    segments_recall_from(name, message);
    handouts_undo(scheduler->handouts);
    return -1;
}
