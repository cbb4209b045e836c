/* The ends of tasks, and answers in an engine's place: to tasks that no engine answers, and to
 * those that are not entered. The task thread. */
#include <string.h>

#include "base/trace.h"
#include "controller/delivery/reply.h"
#include "controller/schedulers/task.h"

void scheduler_free(struct task *task)
{
    guests_remove(task);
    held_destroy(task->data);
    free(task);
}

void scheduler_end(struct scheduler *scheduler, struct task *task, bool success)
{
    counter_add(&stats.tasks_finished[success ? STATS_END_OK : STATS_END_FAILED], 1);
    balancer_finish(scheduler->balancer, task, success);
    scheduler_free(task);
}

/* The header of a task that is put aside, and the client it came from. */
static void request_of_task(struct task *task, struct reply_request *request)
{
    memset(request, 0, sizeof(*request));
    request->client = held_peer(task->data, &request->client_size);
    request->header = held_part(task->data, MESSAGE_HEADER, &request->header_size);
}

/* `content` is taken over. `heard`: its client may be there. */
static void task_answer(struct scheduler *scheduler, struct task *task, json_t *content, bool heard)
{
    struct reply_request request;
    struct message reply;
    message_init(&reply);
    request_of_task(task, &request);
    reply_make(scheduler->sessions.clients, &reply, &request,
               task->worker ? task->worker->uuid : NULL, content);
    json_decref(content);
    report_add(&scheduler->report, REPORT_DONE, REPORT_TASK,
               task->state == TASK_RUNNING ? task->worker->id : -1, task->msg_id, task->msg_id_size,
               &reply);
    if (reply.count && heard)
        replies_send(&scheduler->replies, &reply);
    bool waited = task->state == TASK_WAITING || task->state == TASK_BLOCKED;
    trace_step_since(TRACE_INSTEAD, task->msg_id, task->msg_id_size, -1,
                     waited ? task->since_ns : 0);
    scheduler_end(scheduler, task, false);
    message_close(&reply);
}

void scheduler_answer(struct scheduler *scheduler, struct task *task, json_t *content)
{
    task_answer(scheduler, task, content, true);
}

void scheduler_fail(struct scheduler *scheduler, struct task *task, const char *ename,
                    const char *evalue)
{
    scheduler_answer(scheduler, task, reply_error_content(ename, evalue));
}

void scheduler_drop(struct scheduler *scheduler, struct task *task)
{
    task_answer(
        scheduler, task,
        json_pack("{s:s s:s s:s}", "status", "aborted", "ename", "TaskAborted", "evalue",
                  "the client of this task has gone, and asked to drop its waiting tasks then "
                  "(keep_tasks=False)"),
        false);
}

void scheduler_decline(struct scheduler *scheduler, struct message *message,
                       const struct ipcl_member *msg_id, json_t *content)
{
    struct reply_request request;
    struct message reply;
    message_init(&reply);
    reply_request_of(message, &request);
    reply_make(scheduler->sessions.clients, &reply, &request, NULL, content);
    json_decref(content);
    /* Tasks that depend on it learn that it failed, and a store records it. */
    balancer_note_failure(scheduler->balancer, msg_id->data, msg_id->size);
    if (scheduler->report.recording) {
        report_add(&scheduler->report, REPORT_SUBMITTED, REPORT_TASK, -1, msg_id->data,
                   msg_id->size, message);
        report_add(&scheduler->report, REPORT_DONE, REPORT_TASK, -1, msg_id->data, msg_id->size,
                   &reply);
    }
    if (reply.count)
        replies_send(&scheduler->replies, &reply);
    trace_step(TRACE_INSTEAD, msg_id->data, msg_id->size, -1);
    message_close(&reply);
}

void scheduler_refuse(struct scheduler *scheduler, struct message *message,
                      const struct ipcl_member *msg_id, const char *ename, const char *evalue)
{
    scheduler_decline(scheduler, message, msg_id, reply_error_content(ename, evalue));
}

void scheduler_reject(struct scheduler *scheduler, struct message *message, const char *ename,
                      const char *evalue)
{
    struct reply_request request;
    reply_request_of(message, &request);
    replies_error(&scheduler->replies, &request, NULL, ename, evalue);
}
