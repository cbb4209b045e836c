/* What engines say of the tasks that the previous controller gave them. The task thread.
 *
 * A controller that is killed leaves tasks of which it is not known whether they came to their
 * engine: they were on their way, or their answers were. An engine of ours that lives is asked for
 * them, with a recall_request on the way that tasks take, whose `tasks` is a mapping of their
 * msg_ids to the counters under which they were sealed (0: not known). What it has answered lately
 * it answers once more, and says so with the counter of the task that it answers (`repeats` in the
 * metadata), as it is no answer to an attempt that came later. Then its recall_reply says which of
 * them have not come (`unbegun`: their counters are above those of all that came before the first
 * question of this controller's `life`), and will not, as the engine takes nothing any more that
 * was sent before that; and which are not there any more (`gone`). So the first that a controller
 * sends an engine is a question, if only about no task. */
#include <string.h>

#include "base/clock.h"
#include "controller/restart/task_restart.h"

/* An engine that is not connected yet is asked again. */
#define AGAIN_MS 20
/* The question comes from no client. */
#define SENDER "scheduler"

void recall_soon(struct scheduler *scheduler)
{
    if (scheduler->restart->socket)
        scheduler->restart->recall_ms = 0;
}

/* The engine that a task was given to; NULL if it is not registered, or not known. */
static struct worker *recall_engine_of(const struct scheduler *scheduler, struct away *away)
{
    struct worker *worker = balancer_engines(scheduler->balancer);
    if (*away->engine)
        return balancer_engine(scheduler->balancer, away->engine, strlen(away->engine));
    if (!away->handout.engine)
        return NULL;
    while (worker && !away_is_at(away, worker->uuid))
        worker = worker->hh.next;
    return worker;
}

/* The tasks to ask for, by the uuids of their engines. A new reference. */
static json_t *tasks_to_ask_for(const struct scheduler *scheduler)
{
    json_t *questions = json_object();
    char msg_id[REPORT_TEXT_MAX + 1];
    for (struct task *task = balancer_away(scheduler->balancer); task; task = task->next) {
        struct away *away = (struct away *)task;
        const struct worker *worker = away->asked ? NULL : recall_engine_of(scheduler, away);
        if (!worker || !worker->sealed)
            continue;
        json_t *tasks = json_object_get(questions, worker->uuid);
        if (!tasks && !json_object_set_new(questions, worker->uuid, json_object()))
            tasks = json_object_get(questions, worker->uuid);
        snprintf(msg_id, sizeof(msg_id), "%.*s", (int)task->msg_id_size, task->msg_id);
        json_object_set_new(tasks, msg_id, json_integer((json_int_t)away->handout.counter));
    }
    return questions;
}

/* Returns 0 or -1. */
static int recall_ask(struct scheduler *scheduler, struct worker *worker, json_t *tasks)
{
    struct message message;
    char life[SEAL_LIFE_TEXT];
    seal_write_life(scheduler->sessions.client_seal.life, life);
    json_t *content = json_pack("{s:s s:O}", "life", life, "tasks", tasks);
    struct session_parts parts = {.msg_type = "recall_request", .content = content};
    message_init(&message);
    int failed = !content || message_append(&message, SENDER, strlen(SENDER)) ||
                 session_build(scheduler->sessions.engines, &message, &parts, NULL, NULL) ||
                 scheduler_send_to(scheduler, worker, &message, NULL);
    message_close(&message);
    json_decref(content);
    worker->recalled = worker->recalled || !failed;
    return failed ? -1 : 0;
}

int recall_begin(struct scheduler *scheduler, struct worker *worker)
{
    if (worker->recalled || !worker->sealed || !scheduler->restart->socket)
        return 0;
    json_t *none = json_object();
    int status = recall_ask(scheduler, worker, none);
    json_decref(none);
    return status;
}

static struct away *recall_task(const struct scheduler *scheduler, const char *msg_id)
{
    struct task *task = balancer_task(scheduler->balancer, msg_id, strlen(msg_id));
    return task && task->state == TASK_AWAY ? (struct away *)task : NULL;
}

long long recall_tick(struct scheduler *scheduler, long long now_ms)
{
    struct task_restart *restore = scheduler->restart;
    if (now_ms < restore->recall_ms)
        return restore->recall_ms;
    restore->recall_ms = CLOCK_NEVER;
    json_t *questions = tasks_to_ask_for(scheduler), *tasks, *counter;
    const char *uuid, *msg_id;
    json_object_foreach (questions, uuid, tasks) {
        bool asked =
            !recall_ask(scheduler, balancer_engine(scheduler->balancer, uuid, strlen(uuid)), tasks);
        if (!asked)
            restore->recall_ms = now_ms + AGAIN_MS;
        json_object_foreach (tasks, msg_id, counter) {
            struct away *away = recall_task(scheduler, msg_id);
            if (away)
                away->asked = asked;
        }
    }
    json_decref(questions);
    return restore->recall_ms;
}

/* The engine does not have these tasks any more or, if `unbegun`, has never had them. */
static void recall_lose(struct scheduler *scheduler, const struct worker *worker,
                        const json_t *msg_ids, bool unbegun)
{
    char text[2 * REPORT_TEXT_MAX];
    const json_t *msg_id;
    size_t i;
    snprintf(text, sizeof(text),
             "the answer of engine %d to this task was lost when the controller ended: it may have "
             "run, and is not run again",
             worker->id);
    json_array_foreach (msg_ids, i, msg_id) {
        struct away *away =
            json_is_string(msg_id) ? recall_task(scheduler, json_string_value(msg_id)) : NULL;
        if (away && away->asked && !strcmp(away->engine, worker->uuid))
            away_lose(scheduler, &away->task, unbegun, text);
    }
}

bool recall_answered(struct scheduler *scheduler, struct message *message)
{
    zmq_msg_t *engine = message_peer(message);
    const struct worker *worker =
        balancer_engine(scheduler->balancer, zmq_msg_data(engine), zmq_msg_size(engine));
    if (!worker || !member_is(&message->msg_type, "recall_reply"))
        return false;
    json_t *content =
        session_unpack(scheduler->sessions.engines, message_part(message, MESSAGE_CONTENT), NULL);
    recall_lose(scheduler, worker, json_object_get(content, "unbegun"), true);
    recall_lose(scheduler, worker, json_object_get(content, "gone"), false);
    json_decref(content);
    return true;
}
