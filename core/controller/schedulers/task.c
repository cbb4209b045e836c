/* The task thread: takes tasks from clients (ROUTER), sends each to the engine that the balancer
 * chooses (ROUTER), and relays the replies.
 *
 * A task is put aside as long as it waits or runs, so that it can run elsewhere when its engine
 * dies, fails or does not meet its dependencies, and when the tasks have ended that it depends on.
 * Of a message only the header's msg_id and the scheduler's own metadata are read. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "controller/door/gate.h"
#include "controller/delivery/handouts.h"
#include "controller/delivery/reply.h"
#include "controller/schedulers/task.h"

/* An engine may be registered before its socket has connected: then it gets no tasks for this
 * long. */
#define RETRY_MS 20
/* How often the hub hears at most how many tasks wait. */
#define WAITING_MS 100
/* The most that is sent, or answered in an engine's place, before the sockets get their turn. */
#define BATCH 256

static void free_task(struct task *task)
{
    guests_remove(task);
    held_destroy(task->data);
    free(task);
}

void scheduler_end(struct scheduler *scheduler, struct task *task, bool success)
{
    balancer_finish(scheduler->balancer, task, success);
    free_task(task);
}

/* Makes the message of a task that was sent before differ from then, by a count in its metadata: an
 * engine accepts each signature once, and may get this task again. Returns 0 or -1. */
static int renew(struct scheduler *scheduler, const struct task *task, struct message *message)
{
    const struct ipcl_serial_operations *serial = session_serial(scheduler->sessions.clients);
    zmq_msg_t *part = message_part(message, MESSAGE_METADATA);
    json_t *metadata = session_unpack(scheduler->sessions.clients, part, NULL);
    size_t size;
    json_object_set_new(metadata, "attempt", json_integer(task->sent));
    char *packed = metadata ? serial->pack(metadata, &size, NULL) : NULL;
    json_decref(metadata);
    int status = packed ? message_replace(part, packed, size) : -1;
    free(packed);
    return status;
}

static struct handout handout_of(const struct task *task)
{
    return (struct handout){.retries = task->retries, .deaths = task->deaths};
}

int scheduler_send_to(struct scheduler *scheduler, struct worker *worker, struct message *message,
                      const struct task *task)
{
    const char *name = routes_of(&scheduler->routes, worker->uuid);
    struct seal *seal = &scheduler->sessions.engine_seal;
    size_t size = strlen(name);
    if (task && recall_begin(scheduler, worker))
        return -1;
    if (seal_sign(seal, message, name, size, worker->sealed, NULL))
        return -1;
    if (task) {
        struct handout handout = handout_of(task);
        handout.engine = handouts_hash(worker->uuid, strlen(worker->uuid));
        handout.counter = worker->sealed ? seal->counter : 0;
        handouts_add(scheduler->handouts, task->msg_id, task->msg_id_size, &handout);
    }
    if (!message_send_to(message, scheduler->engines, name, size))
        return 0;
    if (task)
        handouts_undo(scheduler->handouts);
    return -1;
}

void scheduler_rest(struct scheduler *scheduler, int delay_ms)
{
    long long then = clock_ms() + delay_ms;
    if (!balancer_suspended(scheduler->balancer) || then > scheduler->next_try_ms)
        scheduler->next_try_ms = then;
}

/* Sends a task to the engine that the balancer chose for it, or ends it where it cannot be sent
 * again. `message`, where not NULL, is the task as it came; otherwise it is restored. Returns
 * whether it was sent; where the engine is not connected the task waits again, and `message` is as
 * it was. */
static bool send_task(struct scheduler *scheduler, struct task *task, struct message *message)
{
    bool restored = true;
    if (!message) {
        message = &scheduler->outgoing;
        message_clear(message);
        restored = !held_restore(task->data, message);
        if (restored && task->sent && renew(scheduler, task, message)) {
            scheduler_fail(
                scheduler, task, "ValueError",
                "the task cannot run once more: its metadata cannot be packed anew, as with "
                "a number beyond 64 bits");
            return false;
        }
    }
    if (!restored || scheduler_send_to(scheduler, task->worker, message, task)) {
        scheduler_rest(scheduler, RETRY_MS);
        balancer_put_back(scheduler->balancer, task);
        return false;
    }
    task->sent++;
    task->cut = false;
    return true;
}

/* Runs all that can run now. `fresh`, where not NULL, has just come, and its message is at hand. */
static void dispatch(struct scheduler *scheduler, struct task *fresh, struct message *message)
{
    struct task *task;
    size_t count = 0;
    while (!scheduler->draining && count++ < BATCH && (task = balancer_next(scheduler->balancer))) {
        if (!send_task(scheduler, task, task == fresh ? message : NULL))
            continue;
        if (task->reported && report_add(&scheduler->report, REPORT_ASSIGNED, REPORT_TASK,
                                         task->worker->id, task->msg_id, task->msg_id_size, NULL))
            handouts_doubt(scheduler->handouts);
        if (!task->reported && !scheduler->report.recording)
            report_add(&scheduler->report, REPORT_SUBMITTED, REPORT_TASK, task->worker->id,
                       task->msg_id, task->msg_id_size, NULL);
        task->reported = true;
    }
    scheduler->more = count > BATCH;
}

/* A task that did not run at once, or that a store records, is made known before it is assigned. */
static void report_submission(struct scheduler *scheduler, struct task *task,
                              struct message *message)
{
    report_add(&scheduler->report, REPORT_SUBMITTED, REPORT_TASK, -1, task->msg_id,
               task->msg_id_size, message);
    task->reported = true;
}

long scheduler_find_targets(struct scheduler *scheduler, const struct task_metadata *metadata,
                            struct worker ***targets)
{
    size_t named = json_array_size(metadata->targets), count = 0;
    *targets = malloc((named + 1) * sizeof(struct worker *));
    if (!*targets)
        return -1;
    scheduler->mark++;
    for (size_t i = 0; i < named; i++) {
        const char *uuid = json_string_value(json_array_get(metadata->targets, i));
        struct worker *worker = balancer_engine(scheduler->balancer, uuid, strlen(uuid));
        if (!worker || worker->mark == scheduler->mark)
            continue;
        worker->mark = scheduler->mark;
        (*targets)[count++] = worker;
    }
    return (long)count;
}

static struct task *create_task(struct scheduler *scheduler, struct message *message,
                                const struct ipcl_member *msg_id,
                                const struct task_metadata *metadata)
{
    struct task *task = calloc(1, sizeof(*task));
    if (!task || !(task->data = held_create(message, scheduler->pool))) {
        free(task);
        return NULL;
    }
    zmq_msg_t *header = message_part(message, MESSAGE_HEADER);
    size_t size, offset = (size_t)(msg_id->data - (char *)zmq_msg_data(header));
    task->msg_id =
        (const char *)held_frame(task->data, message->delimiter + 1 + MESSAGE_HEADER, &size) +
        offset;
    task->msg_id_size = (unsigned char)msg_id->size;
    task->client = held_frame(task->data, 0, &task->client_size);
    task->retries = metadata->retries;
    task->timeout = (float)metadata->timeout;
    scheduler_start_clock(task);
    return task;
}

/* Why a task was not entered. */
static void explain(enum submission status, const char *unknown, const char **ename,
                    struct ipcl_error *why)
{
    if (status == SUBMISSION_NO_MEMORY) {
        ipcl_error_set(why, "the controller is out of memory");
        return;
    }
    *ename = "InvalidDependency";
    if (status == SUBMISSION_ITSELF)
        ipcl_error_set(why, "the task depends on itself");
    else
        ipcl_error_set(why,
                       "the task depends on %.255s, of which nothing is known: it was never a "
                       "task here, or so many have finished since then that it is forgotten "
                       "(TaskScheduler.finished_max says how many are remembered)",
                       unknown);
}

/* Enters a task. Returns 0, 1 where it has to wait for what is being restored, or -1 with why it is
 * not entered. */
static int enter(struct scheduler *scheduler, struct message *message,
                 const struct ipcl_member *msg_id, const struct task_metadata *metadata,
                 const struct handout *before, const char **ename, struct ipcl_error *why)
{
    struct worker **targets = NULL;
    const char *unknown = NULL;
    long count = 0;
    enum submission status = SUBMISSION_NO_MEMORY;
    *ename = "RuntimeError";
    if (metadata->targets) {
        scheduler_read_notices(scheduler);
        count = scheduler_find_targets(scheduler, metadata, &targets);
    }
    if (count >= 0 && restore_awaits_engines(scheduler, metadata, (size_t)count)) {
        free(targets);
        return 1;
    }
    if (metadata->targets && count == 0) {
        free(targets);
        *ename = "ImpossibleDependency";
        return ipcl_error_set(why, "none of the engines that the task names is registered");
    }
    struct task *task = count < 0 ? NULL : create_task(scheduler, message, msg_id, metadata);
    if (task && before)
        task->deaths = before->deaths;
    if (task)
        status = balancer_submit(scheduler->balancer, task, targets, (size_t)count,
                                 &metadata->after, &metadata->follow, &unknown);
    free(targets);
    if (status != SUBMISSION_DONE) {
        explain(status, unknown, ename, why);
        if (task)
            free_task(task);
        return status == SUBMISSION_UNKNOWN && restore_awaits_tasks(scheduler) ? 1 : -1;
    }
    if (metadata->dropped)
        guests_add(scheduler, task);
    task->reported = before;
    if (scheduler->report.recording && !before)
        report_submission(scheduler, task, message);
    dispatch(scheduler, task, message);
    if (!task->reported)
        report_submission(scheduler, task, message);
    return 0;
}

/* Answers a message that names no new task. */
static void refuse_message(struct scheduler *scheduler, struct message *message, const char *ename,
                           const char *evalue)
{
    struct reply_request request;
    reply_request_of(message, &request);
    replies_error(&scheduler->replies, &request, NULL, ename, evalue);
}

int scheduler_accept(struct scheduler *scheduler, struct message *message,
                     const struct ipcl_member *msg_id, const struct handout *before)
{
    struct task_metadata metadata;
    struct ipcl_error why;
    const char *sentence, *ename;
    int status = 0;
    bool valid = !task_metadata_read(&scheduler->reader, message_part(message, MESSAGE_METADATA),
                                     &metadata, &ename, &sentence);
    if (valid && scheduler->pure && !task_metadata_is_plain(&metadata)) {
        valid = false;
        ename = "ValueError";
        sentence = "this cluster's task scheme is 'pure', which knows no after, follow, targets, "
                   "retries and timeout: start it with another scheme, such as leastload, to use "
                   "these";
    }
    if (valid && metadata.again && !before)
        status = restore_admit(scheduler, msg_id, &metadata);
    if (valid && status < 0) {
        refuse_message(scheduler, message, "ConnectionError",
                       "the connection to the controller was lost, and this task may have run: "
                       "submit it again");
        task_metadata_clear(&metadata);
        return -1;
    }
    if (!valid)
        status = ipcl_error_set(&why, "%s", sentence);
    else if (!status)
        status = enter(scheduler, message, msg_id, &metadata, before, &ename, &why);
    task_metadata_clear(&metadata);
    if (status < 0)
        scheduler_refuse(scheduler, message, msg_id, ename, why.text);
    return status;
}

/* Whether a client sends a task again that was lost, as it thinks. */
static bool is_sent_again(struct scheduler *scheduler, struct message *message)
{
    struct task_metadata metadata;
    const char *ename, *sentence;
    bool again = !task_metadata_read(&scheduler->reader, message_part(message, MESSAGE_METADATA),
                                     &metadata, &ename, &sentence) &&
                 metadata.again;
    task_metadata_clear(&metadata);
    return again;
}

static void from_client(void *self, struct message *message)
{
    struct scheduler *scheduler = self;
    if (!replies_verify(&scheduler->replies, &scheduler->bad_task, message, 1))
        return;
    early_meet(&scheduler->replies.early, message);
    struct ipcl_member msg_id = message->msg_id;
    if (member_is(&message->msg_type, "abort_request"))
        abort_serve(scheduler, message);
    else if (!msg_id.size || msg_id.size > REPORT_TEXT_MAX)
        refuse_message(scheduler, message, "ValueError", "a task's msg_id has 1 to 255 bytes");
    else if (!balancer_task(scheduler->balancer, msg_id.data, msg_id.size))
        restore_accept(scheduler, message, &msg_id, NULL);
    else if (!is_sent_again(scheduler, message))
        refuse_message(scheduler, message, "ValueError",
                       "a task of this msg_id is pending already");
}

/* The task that a reply belongs to, where it is this engine's; NULL where it is none. */
static struct task *task_of_reply(struct scheduler *scheduler, struct message *message)
{
    struct ipcl_member parent = {.name = "msg_id"};
    zmq_msg_t *engine = &message->frames[0];
    struct task *task = NULL;
    if (!session_find(scheduler->sessions.clients, message_part(message, MESSAGE_PARENT), &parent,
                      1) &&
        parent.state == IPCL_MEMBER_TEXT)
        task = balancer_task(scheduler->balancer, parent.data, parent.size);
    if (!task || task->state != TASK_RUNNING ||
        task->worker !=
            balancer_engine(scheduler->balancer, zmq_msg_data(engine), zmq_msg_size(engine)))
        return NULL;
    return task;
}

static void from_engine(void *self, struct message *message)
{
    struct scheduler *scheduler = self;
    if (refusal_verify(&scheduler->bad_reply, &scheduler->sessions.engine_seal, message, 2) !=
        SESSION_ACCEPTED)
        return;
    if (!routes_translate(&scheduler->routes, &message->frames[0])) {
        refusal_note(&scheduler->bad_reply, "it comes from an engine that is not registered");
        return;
    }
    struct task *task = task_of_reply(scheduler, message);
    if (!task) {
        if (!recall_answered(scheduler, message) && !restore_reply(scheduler, message))
            refusal_note(&scheduler->bad_reply, "it answers no task that its sender has");
        dispatch(scheduler, NULL, NULL);
        return;
    }
    struct task_reply reply;
    enum task_end end =
        task_metadata_of_reply(&scheduler->reader, message_part(message, MESSAGE_METADATA), &reply);
    if (reply.repeats) {
        refusal_note(&scheduler->bad_reply, "it is an earlier attempt's, which was answered");
        return;
    }
    if (reply.last)
        balancer_retire(scheduler->balancer, task->worker);
    if (!scheduler_try_again(scheduler, task, end)) {
        report_add(&scheduler->report, REPORT_DONE, REPORT_TASK, task->worker->id, task->msg_id,
                   task->msg_id_size, message);
        message_swap_identities(message);
        replies_send(&scheduler->replies, message);
        scheduler_end(scheduler, task, end == END_SUCCESS);
    }
    dispatch(scheduler, NULL, NULL);
}

void scheduler_dispatch(struct scheduler *scheduler)
{
    dispatch(scheduler, NULL, NULL);
}

/* Answers tasks that waited too long, and those that can run nowhere. Returns whether there may be
 * more. */
static bool settle(struct scheduler *scheduler, long long now_ms)
{
    struct task *task;
    size_t count = 0;
    while (count++ < BATCH && (task = balancer_late(scheduler->balancer, now_ms)))
        scheduler_fail(scheduler, task, "TaskTimeout",
                       "the task waited longer than its timeout allows");
    while (count++ < BATCH && (task = balancer_stranded(scheduler->balancer)))
        scheduler_settle(scheduler, task);
    return count > BATCH;
}

/* Tells the hub how many tasks wait, after a change and not too often. Returns when to be called
 * again, or CLOCK_NEVER. */
static long long tell_waiting(struct scheduler *scheduler, long long now_ms)
{
    size_t waiting = balancer_waiting(scheduler->balancer);
    if (waiting == scheduler->waiting_told)
        return CLOCK_NEVER;
    if (now_ms < scheduler->waiting_ms)
        return scheduler->waiting_ms;
    report_waiting(&scheduler->report, waiting);
    scheduler->waiting_told = waiting;
    scheduler->waiting_ms = now_ms + WAITING_MS;
    return CLOCK_NEVER;
}

static long long on_tick(void *self, long long now_ms)
{
    struct scheduler *scheduler = self;
    long long engines_ms = leaving_tick(scheduler, now_ms);
    long long guests_ms = guests_tick(scheduler, now_ms);
    bool more = settle(scheduler, now_ms);
    long long restore_ms = restore_tick(scheduler, now_ms);
    long long recall_ms = recall_tick(scheduler, now_ms);
    if (balancer_suspended(scheduler->balancer) && now_ms >= scheduler->next_try_ms)
        balancer_resume(scheduler->balancer);
    dispatch(scheduler, NULL, NULL);
    long long waiting_ms = tell_waiting(scheduler, now_ms);
    report_flush(&scheduler->report);
    if (more || scheduler->more)
        return now_ms;
    long long due = balancer_deadline(scheduler->balancer);
    long long replies_ms = replies_tick(&scheduler->replies, now_ms);
    long long trim_ms = trim_tick(&scheduler->trim, balancer_count(scheduler->balancer), now_ms);
    if (due < 0 || replies_ms < due)
        due = replies_ms;
    if (engines_ms < due)
        due = engines_ms;
    if (restore_ms < due)
        due = restore_ms;
    if (recall_ms < due)
        due = recall_ms;
    if (trim_ms < due)
        due = trim_ms;
    if (guests_ms < due)
        due = guests_ms;
    if (waiting_ms < due)
        due = waiting_ms;
    if (balancer_suspended(scheduler->balancer) && scheduler->next_try_ms < due)
        due = scheduler->next_try_ms;
    return due;
}

static struct loop *task_loop(void *self)
{
    return ((struct scheduler *)self)->loop;
}

static void task_destroy(void *self)
{
    struct scheduler *scheduler = self;
    if (!scheduler)
        return;
    refusal_summary(&scheduler->bad_task);
    refusal_summary(&scheduler->bad_reply);
    replies_release(&scheduler->replies);
    restore_release(scheduler);
    leaving_release(scheduler);
    loop_destroy(scheduler->loop);
    if (scheduler->losses > 0)
        close(scheduler->losses);
    balancer_destroy(scheduler->balancer, free_task);
    guests_release(scheduler);
    routes_release(&scheduler->routes);
    held_pool_destroy(scheduler->pool);
    task_metadata_release(&scheduler->reader);
    sessions_destroy(&scheduler->sessions);
    report_release(&scheduler->report);
    message_close(&scheduler->outgoing);
    free(scheduler);
}

static int open_sockets(struct scheduler *scheduler, struct controller *controller,
                        struct ipcl_error *error)
{
    scheduler->notices = controller_inproc_bind(controller, ZMQ_PULL, "task", error);
    if (loop_add_ready(scheduler->loop, scheduler->notices, scheduler_read_notices, scheduler))
        return -1;
    scheduler->losses = gate_watch_losses(error);
    if (loop_add_fd(scheduler->loop, scheduler->losses, scheduler_hear_losses, scheduler))
        return -1;
    scheduler->engines =
        controller_listen_mandatory(controller, "task_out", &controller->engines.task, error);
    if (loop_add(scheduler->loop, scheduler->engines, from_engine, scheduler))
        return -1;
    scheduler->clients =
        controller_listen(controller, ZMQ_ROUTER, "task_in", &controller->clients.task, error);
    /* The hub is a client, too: it submits tasks again. */
    if (scheduler->clients && socket_bind(scheduler->clients, "inproc://tasks", error)) {
        zmq_close(scheduler->clients);
        return -1;
    }
    if (loop_add(scheduler->loop, scheduler->clients, from_client, scheduler))
        return -1;
    if (restore_open(scheduler, controller, error))
        return -1;
    if (replies_prepare(&scheduler->replies, controller, &scheduler->sessions.client_seal,
                        scheduler->clients, "task, client side", error))
        return -1;
    replies_await_clients(&scheduler->replies, controller);
    scheduler->report.socket = controller_inproc_connect(controller, ZMQ_PUSH, "hub", error);
    return loop_keep(scheduler->loop, scheduler->report.socket);
}

static void *task_create(struct controller *controller, struct ipcl_error *error)
{
    struct scheduler *scheduler = calloc(1, sizeof(*scheduler));
    if (!scheduler)
        return NULL;
    message_init(&scheduler->outgoing);
    scheduler->bad_task.socket = "task, client side";
    scheduler->bad_reply.socket = "task, engine side";
    scheduler->report.recording = controller->store != NULL;
    scheduler->restarted = controller->restarted;
    scheduler->handouts = controller->handouts;
    scheduler->pure = controller->scheme == BALANCER_PURE;
    scheduler->deaths_max = controller->deaths_max;
    scheduler->guests.grace_ms = controller->client_grace_ms;
    scheduler->balancer =
        balancer_create(controller->scheme, controller->high_water, controller->finished_max);
    scheduler->pool = held_pool_create();
    scheduler->loop = loop_create("task", error);
    if (!scheduler->balancer || !scheduler->pool)
        ipcl_error_set(error, "out of memory: TaskScheduler.finished_max may be too large");
    if (!scheduler->balancer || !scheduler->pool || !scheduler->loop ||
        controller_sessions(controller, SEAL_TASK, &scheduler->sessions, error) ||
        task_metadata_prepare(&scheduler->reader, controller->serial, error) ||
        open_sockets(scheduler, controller, error)) {
        task_destroy(scheduler);
        return NULL;
    }
    loop_set_tick(scheduler->loop, on_tick, scheduler);
    return scheduler;
}

const struct module task_module = {"task", task_create, task_loop, task_destroy};
