/* A task scheduler that takes a previous one's place: what the records tell of its tasks. Those
 * that have ended are remembered, those that never were at an engine run now, and for those that an
 * engine may have an answer is awaited: the engine's, or in its place an error. The task thread.
 *
 * Meanwhile some tasks wait aside: those that depend on one which may yet become known, and those
 * that name engines, or follow tasks to theirs, as these may yet come back. */
#include "controller/restart/restart.h"

#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "base/clock.h"
#include "base/log.h"
#include "controller/records/store.h"
#include "controller/restart/restored.h"
#include "controller/restart/task_restart.h"

/* How many set-aside tasks are tried again before the sockets get their turn. */
#define BATCH 256

struct aside {
    struct held *held;
    bool recorded;
    struct handout before; /* if it is recorded */
    struct aside *prev, *next;
};

static bool task_restart_awaits_tasks(const struct scheduler *scheduler)
{
    const struct task_restart *restore = scheduler->restart;
    return restore->socket && (!restore->told || (restore->aside && !restore->strict));
}

static int task_restart_may_have_begun(const struct scheduler *scheduler,
                                       const struct ipcl_member *msg_id)
{
    char id[REPORT_TEXT_MAX + 1];
    if (scheduler->restart->socket && !scheduler->restart->told)
        return -1;
    snprintf(id, sizeof(id), "%.*s", (int)msg_id->size, msg_id->data);
    return handouts_may_have(scheduler->handouts, id);
}

/* Returns 0, or -1 if memory is short. */
static int keep_aside(struct scheduler *scheduler, struct message *message,
                      const struct handout *before)
{
    struct task_restart *restore = scheduler->restart;
    struct aside *aside = calloc(1, sizeof(*aside));
    if (!aside || !(aside->held = held_create(message, scheduler->pool))) {
        free(aside);
        return -1;
    }
    aside->recorded = before;
    if (before)
        aside->before = *before;
    if (!restore->aside)
        restore->next_pass_ms = clock_ms() + PASS_MS;
    DL_APPEND(restore->aside, aside);
    return 0;
}

static void task_restart_set_aside(struct scheduler *scheduler, struct message *message,
                                   const struct ipcl_member *msg_id, const struct handout *before)
{
    if (keep_aside(scheduler, message, before))
        scheduler_refuse(scheduler, message, msg_id, "RuntimeError",
                         "the controller is out of memory");
}

static void aside_drop(struct scheduler *scheduler, struct aside *aside)
{
    DL_DELETE(scheduler->restart->aside, aside);
    held_destroy(aside->held);
    free(aside);
}

/* Finds a task's msg_id. Returns whether the task may be entered. */
static bool is_new(const struct scheduler *scheduler, struct message *message, bool recorded,
                   struct ipcl_member *msg_id)
{
    bool success;
    *msg_id = (struct ipcl_member){.name = "msg_id"};
    return !session_find(scheduler->sessions.clients, message_part(message, MESSAGE_HEADER), msg_id,
                         1) &&
           msg_id->state == IPCL_MEMBER_TEXT && msg_id->size && msg_id->size <= REPORT_TEXT_MAX &&
           !balancer_task(scheduler->balancer, msg_id->data, msg_id->size) &&
           !(recorded &&
             balancer_has_ended(scheduler->balancer, msg_id->data, msg_id->size, &success));
}

/* Returns whether it need not wait any more. */
static bool aside_try_again(struct scheduler *scheduler, struct aside *aside)
{
    struct ipcl_member msg_id;
    struct message message;
    message_init(&message);
    int status = held_restore(aside->held, &message);
    if (!status && is_new(scheduler, &message, aside->recorded, &msg_id))
        status =
            scheduler_accept(scheduler, &message, &msg_id, aside->recorded ? &aside->before : NULL);
    else if (!status)
        status = -1;
    message_close(&message);
    return status <= 0;
}

/* Goes on with a pass through the set-aside tasks. A task may depend on one that stands behind it.
 * So when nothing more can come from outside, passes are made until one changes nothing. */
static void aside_pass(struct scheduler *scheduler, long long now_ms)
{
    struct task_restart *restore = scheduler->restart;
    size_t count = 0;
    if (!restore->passing) {
        restore->passing = true;
        restore->progress = false;
        restore->next = restore->aside;
    }
    while (count++ < BATCH && restore->next) {
        struct aside *aside = restore->next;
        restore->next = aside->next;
        if (aside_try_again(scheduler, aside)) {
            aside_drop(scheduler, aside);
            restore->progress = true;
        }
    }
    if (restore->next)
        return;
    bool last = restore->told && now_ms >= restore->back_ms;
    restore->passing = false;
    restore->strict = restore->aside && last && !restore->progress;
    restore->next_pass_ms = last ? now_ms : now_ms + PASS_MS;
}

static bool task_restart_adopt(struct scheduler *scheduler, struct task *task)
{
    return !away_take_over(scheduler, task);
}

/* Whether an answer that an engine has sent once more is to an earlier attempt at this task, which
 * was given out again later, under another counter. */
static bool is_of_earlier(const struct task *task, uint64_t repeats)
{
    uint64_t counter = ((const struct away *)task)->handout.counter;
    return repeats && counter && repeats != counter;
}

/* A reply to a task that this controller did not give out. The task may be one of the previous
 * controller's: its client, which connects under its old identity, still waits for the reply.
 * Returns whether it is.
 *
 * A client that has been told that its task was lost gets no second answer; but it is recorded. */
static bool take_late_reply(struct scheduler *scheduler, struct message *message)
{
    struct ipcl_member parent = {.name = "msg_id"};
    char engine[ENGINE_UUID_BYTES] = "";
    size_t size = zmq_msg_size(message_peer(message));
    bool success;
    if (size >= sizeof(engine) ||
        session_find(scheduler->sessions.clients, message_part(message, MESSAGE_PARENT), &parent,
                     1) ||
        parent.state != IPCL_MEMBER_TEXT)
        return false;
    memcpy(engine, zmq_msg_data(message_peer(message)), size);
    struct task_reply reply;
    enum task_end end =
        task_metadata_of_reply(&scheduler->reader, message_part(message, MESSAGE_METADATA), &reply);
    struct task *away = away_of_reply(scheduler, parent.data, parent.size, engine);
    if (away && is_of_earlier(away, reply.repeats))
        return false;
    if (away) /* the engine that it ran at, for the next attempt or for tasks that follow it */
        away->worker = balancer_engine(scheduler->balancer, engine, strlen(engine));
    if (away && scheduler_try_again(scheduler, away, end))
        return true;
    bool first = away || balancer_finish_foreign(scheduler->balancer, parent.data, parent.size,
                                                 engine, end == END_SUCCESS);
    if (!first &&
        (balancer_task(scheduler->balancer, parent.data, parent.size) ||
         !balancer_has_ended(scheduler->balancer, parent.data, parent.size, &success) || success))
        return false;
    bool ran = end != END_RETURNED && end != END_UNBEGUN;
    if (first || ran)
        report_add(&scheduler->report, REPORT_DONE, REPORT_TASK, -1, parent.data, parent.size,
                   message);
    if (!first)
        return false;
    message_swap_identities(message);
    replies_send(&scheduler->replies, message);
    if (away)
        scheduler_end(scheduler, away, end == END_SUCCESS);
    return true;
}

/* Reads what a task needs to run again. */
static void read_away(struct scheduler *scheduler, struct task *task, zmq_msg_t *part)
{
    struct task_metadata metadata;
    const char *ename, *why;
    if (!task_metadata_read(&scheduler->reader, part, &metadata, &ename, &why)) {
        task->retries = metadata.retries;
        task->timeout = (float)metadata.timeout;
        if (metadata.dropped)
            guests_add(scheduler, task);
    }
    task_metadata_clear(&metadata);
}

static void take_away(struct scheduler *scheduler, const struct restored *restored,
                      struct message *message)
{
    struct ipcl_member msg_id;
    struct away *away = is_new(scheduler, message, true, &msg_id) ? calloc(1, sizeof(*away)) : NULL;
    if (!away || !(away->task.data = held_create(message, scheduler->pool))) {
        free(away);
        return;
    }
    size_t size, offset = (size_t)(msg_id.data -
                                   (char *)zmq_msg_data(message_part(message, MESSAGE_HEADER)));
    away->task.msg_id = (const char *)held_part(away->task.data, MESSAGE_HEADER, &size) + offset;
    away->task.msg_id_size = (unsigned char)msg_id.size;
    away->task.client = held_peer(away->task.data, &away->task.client_size);
    away->handout = restored->handout;
    /* The store may not have heard which engine had it last. */
    if (!away->handout.engine ||
        away->handout.engine == handouts_hash(restored->engine, strlen(restored->engine)))
        memcpy(away->engine, restored->engine, sizeof(away->engine));
    away->whole = restored->whole;
    away->task.deaths = restored->handout.deaths;
    if (balancer_expect(scheduler->balancer, &away->task)) {
        held_destroy(away->task.data);
        free(away);
        return;
    }
    read_away(scheduler, &away->task, message_part(message, MESSAGE_METADATA));
    report_add(&scheduler->report, REPORT_RESTORED, REPORT_TASK, -1, away->task.msg_id,
               away->task.msg_id_size, NULL);
    recall_soon(scheduler);
}

static void take_task(struct scheduler *scheduler, const struct restored *restored,
                      struct message *message)
{
    struct ipcl_member msg_id;
    if (!is_new(scheduler, message, true, &msg_id))
        return;
    report_add(&scheduler->report, REPORT_RESTORED, REPORT_TASK, -1, msg_id.data, msg_id.size,
               NULL);
    if (scheduler_accept(scheduler, message, &msg_id, &restored->handout) > 0)
        task_restart_set_aside(scheduler, message, &msg_id, &restored->handout);
}

static void take_outcomes(struct scheduler *scheduler, zmq_msg_t *frame)
{
    const struct restored_outcome *outcomes = zmq_msg_data(frame);
    size_t count = zmq_msg_size(frame) / sizeof(*outcomes);
    for (size_t i = 0; i < count; i++)
        balancer_finish_foreign(scheduler->balancer, outcomes[i].msg_id, strlen(outcomes[i].msg_id),
                                outcomes[i].engine, outcomes[i].success);
}

static void engine_has(struct scheduler *scheduler, const struct restored *restored)
{
    struct task *task =
        balancer_task(scheduler->balancer, restored->msg_id, strlen(restored->msg_id));
    if (task && task->state == TASK_AWAY)
        memcpy(((struct away *)task)->engine, restored->engine, sizeof(restored->engine));
}

static void try_lost(struct scheduler *scheduler)
{
    struct task *task = balancer_away(scheduler->balancer), *next;
    scheduler->restart->lost_ms = CLOCK_NEVER;
    for (; task; task = next) {
        next = task->next;
        if (((const struct away *)task)->lost)
            away_lose_engine(scheduler, task);
    }
}

static long long restore_tick(struct scheduler *scheduler, long long now_ms)
{
    struct task_restart *restore = scheduler->restart;
    if (now_ms >= restore->lost_ms)
        try_lost(scheduler);
    if (restore->aside && (restore->passing || now_ms >= restore->next_pass_ms))
        aside_pass(scheduler, now_ms);
    long long aside_ms = restore->passing ? now_ms : restore->next_pass_ms;
    return restore->aside ? clock_sooner(aside_ms, restore->lost_ms) : restore->lost_ms;
}

static void engine_gone(struct scheduler *scheduler, const char *engine)
{
    struct task *task = balancer_away(scheduler->balancer), *next;
    if (task)
        scheduler_read_notices(scheduler);
    if (task)
        scheduler_hear_engines(scheduler);
    for (task = balancer_away(scheduler->balancer); task; task = next) {
        next = task->next;
        if (!away_is_at((struct away *)task, engine))
            continue;
        away_lose_engine(scheduler, task);
    }
}

static void lose_named(struct scheduler *scheduler, const char *msg_id)
{
    struct task *task = balancer_task(scheduler->balancer, msg_id, strlen(msg_id));
    if (task && task->state == TASK_AWAY)
        away_lose_engine(scheduler, task);
}

/* What is behind the note, as it came from a client. Returns 0 or -1. */
static int unwrap(struct message *message, struct message *inner)
{
    message_init(inner);
    if (message_unwrap(inner, message))
        return -1;
    return message_identities(inner) == 1 && message_is_whole(inner) ? 0 : -1;
}

static void on_restored(void *self, struct message *message)
{
    struct scheduler *scheduler = self;
    struct restored restored;
    struct message inner;
    memcpy(&restored, zmq_msg_data(message_note(message)), sizeof(restored));
    switch (restored.kind) {
    case RESTORED_AWAY:
    case RESTORED_TASK:
        if (unwrap(message, &inner))
            log_error("task: a task of the previous controller is lost: out of memory");
        else if (restored.kind == RESTORED_AWAY)
            take_away(scheduler, &restored, &inner);
        else
            take_task(scheduler, &restored, &inner);
        message_close(&inner);
        break;
    case RESTORED_AT:
        engine_has(scheduler, &restored);
        break;
    case RESTORED_GONE:
        engine_gone(scheduler, restored.engine);
        break;
    case RESTORED_LOST:
        lose_named(scheduler, restored.msg_id);
        break;
    case RESTORED_OUTCOMES:
        take_outcomes(scheduler, message_frame(message, 1));
        break;
    case RESTORED_ALL:
        scheduler->restart->told = true;
        scheduler->restart->next_pass_ms = 0;
        break;
    }
}

static int task_restart_open(struct scheduler *scheduler, struct controller *controller,
                             struct ipcl_error *error)
{
    struct task_restart *restore = scheduler->restart =
        controller_allocate(sizeof(*restore), error);
    if (!restore)
        return -1;
    restore->lost_ms = restore->recall_ms = CLOCK_NEVER;
    if (!store_restores(controller))
        return 0;
    restore->back_ms = clock_ms() + CONTROLLER_RETURN_MS;
    restore->socket = channel_bind(controller, CHANNEL_RESTORED, error);
    return loop_add(scheduler->loop, restore->socket, on_restored, scheduler);
}

/* The msg_id of a set-aside task if a request to abort names it; NULL otherwise. */
static json_t *meant_aside(struct scheduler *scheduler, const struct abort_request *request,
                           struct held *held)
{
    const struct ipcl_serial_operations *serial = session_serial(scheduler->sessions.clients);
    struct ipcl_member msg_id = {.name = "msg_id"};
    size_t size;
    const void *header = held_part(held, MESSAGE_HEADER, &size);
    if (serial->find(header, size, &msg_id, 1) || msg_id.state != IPCL_MEMBER_TEXT ||
        !abort_request_is_from(request, serial, header, size))
        return NULL;
    json_t *text = json_stringn(msg_id.data, msg_id.size);
    if (json_object_get(request->named, json_string_value(text)))
        return text;
    json_decref(text);
    return NULL;
}

/* Answers a set-aside task as aborted. Returns 0, or -1 if memory is short. */
static int abort_one(struct scheduler *scheduler, struct aside *aside)
{
    struct message message;
    struct ipcl_member msg_id = {.name = "msg_id"};
    message_init(&message);
    int failed = held_restore(aside->held, &message) ||
                 session_find(scheduler->sessions.clients, message_part(&message, MESSAGE_HEADER),
                              &msg_id, 1);
    if (!failed)
        scheduler_decline(scheduler, &message, &msg_id, json_pack("{s:s}", "status", "aborted"));
    message_close(&message);
    return failed ? -1 : 0;
}

static void task_restart_abort_aside(struct scheduler *scheduler,
                                     const struct abort_request *request, json_t *aborted)
{
    struct task_restart *restore = scheduler->restart;
    struct aside *aside, *next;
    DL_FOREACH_SAFE (restore->aside, aside, next) {
        json_t *msg_id = meant_aside(scheduler, request, aside->held);
        if (!msg_id || abort_one(scheduler, aside)) {
            json_decref(msg_id);
            continue;
        }
        json_array_append_new(aborted, msg_id);
        if (restore->next == aside)
            restore->next = next;
        aside_drop(scheduler, aside);
    }
}

static const char *task_restart_engine_of(const struct task *task)
{
    return ((const struct away *)task)->engine;
}

static struct task *task_restart_oldest_at(const struct scheduler *scheduler,
                                           const struct worker *worker)
{
    struct task *task = balancer_away(scheduler->balancer);
    while (task && !away_is_at((struct away *)task, worker->uuid))
        task = task->next;
    return task;
}

static bool task_restart_take_reply(struct scheduler *scheduler, struct message *message)
{
    return recall_answered(scheduler, message) || take_late_reply(scheduler, message);
}

static long long task_restart_tick(struct scheduler *scheduler, long long now_ms)
{
    long long due = restore_tick(scheduler, now_ms);
    return clock_sooner(due, recall_tick(scheduler, now_ms));
}

static void task_restart_release(struct scheduler *scheduler)
{
    while (scheduler->restart && scheduler->restart->aside)
        aside_drop(scheduler, scheduler->restart->aside);
    free(scheduler->restart);
}

const struct task_hooks task_restart_hooks = {
    .open = task_restart_open,
    .release = task_restart_release,
    .tick = task_restart_tick,
    .may_have_begun = task_restart_may_have_begun,
    .awaits_engines = restart_awaits_engines,
    .awaits_tasks = task_restart_awaits_tasks,
    .set_aside = task_restart_set_aside,
    .meet = recall_soon,
    .prepare = recall_begin,
    .take_reply = task_restart_take_reply,
    .adopt = task_restart_adopt,
    .oldest_at = task_restart_oldest_at,
    .abort_aside = task_restart_abort_aside,
    .engine_of = task_restart_engine_of,
};
