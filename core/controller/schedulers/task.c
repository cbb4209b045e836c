/* A task's way through the task thread, in the order of this file: it comes from a client, is
 * entered with the balancer, is sent to the engine that the balancer chooses (task_dispatch.c), and
 * its reply goes back to the client.
 *
 * A task is kept as long as it waits or runs, so that it can run elsewhere when its engine dies,
 * fails or does not meet its dependencies, and when the tasks have ended that it depends on. Of a
 * message only the header's msg_id and the scheduler's own metadata are read. */
#include <stdlib.h>
#include <string.h>

#include "base/trace.h"
#include "controller/schedulers/task.h"

static int task_enter(struct scheduler *scheduler, struct message *message,
                      const struct ipcl_member *msg_id, const struct task_metadata *metadata,
                      const struct handout *before, const char **ename, struct ipcl_error *why);

/* Whether a client sends a task again because it thinks that the task was lost. */
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

/* Enters a task that has come. Only after a restart it may have to be set aside before. */
static void arrive(struct scheduler *scheduler, struct message *message,
                   const struct ipcl_member *msg_id)
{
    if (scheduler_accept(scheduler, message, msg_id, NULL) > 0)
        scheduler->hooks->set_aside(scheduler, message, msg_id, NULL);
}

void scheduler_from_client(void *self, struct message *message)
{
    struct scheduler *scheduler = self;
    if (!replies_verify(&scheduler->replies, &scheduler->bad_task, message, 1))
        return;
    early_meet(&scheduler->replies.early, message);
    struct ipcl_member msg_id = message->msg_id;
    trace_step(TRACE_RECEIVE, msg_id.data, msg_id.size, -1);
    if (member_is(&message->msg_type, "abort_request"))
        abort_serve(scheduler, message);
    else if (!msg_id.size || msg_id.size > REPORT_TEXT_MAX)
        scheduler_reject(scheduler, message, "ValueError", "a task's msg_id has 1 to 255 bytes");
    else if (!balancer_task(scheduler->balancer, msg_id.data, msg_id.size))
        arrive(scheduler, message, &msg_id);
    else if (!is_sent_again(scheduler, message))
        scheduler_reject(scheduler, message, "ValueError",
                         "a task of this msg_id is pending already");
}

/* Whether a task may run that its client sends again because no controller knows it any more. It
 * may if it has certainly not begun, or if it has retries left; then one is used up. Returns 0; 1
 * if it has to wait; or -1. */
static int admit(struct scheduler *scheduler, const struct ipcl_member *msg_id,
                 struct task_metadata *metadata)
{
    const struct task_hooks *hooks = scheduler->hooks;
    int begun = hooks ? hooks->may_have_begun(scheduler, msg_id) : 0;
    bool success;
    if (begun < 0)
        return 1;
    if (!begun)
        begun = balancer_has_ended(scheduler->balancer, msg_id->data, msg_id->size, &success);
    int left = metadata->retries - (begun ? metadata->again : metadata->again - 1);
    metadata->retries = left > 0 ? left : 0;
    return begun && left < 0 ? -1 : 0;
}

/* Reads what a task asks for. Returns 0, or -1 with why it is not entered. `metadata` is to be
 * cleared in any case. */
static int task_read_metadata(const struct scheduler *scheduler, struct message *message,
                              struct task_metadata *metadata, const char **ename,
                              struct ipcl_error *why)
{
    const char *sentence;
    if (task_metadata_read(&scheduler->reader, message_part(message, MESSAGE_METADATA), metadata,
                           ename, &sentence))
        return ipcl_error_set(why, "%s", sentence);
    if (!scheduler->scheme->pure || task_metadata_is_plain(metadata))
        return 0;
    *ename = "ValueError";
    return ipcl_error_set(why,
                          "this cluster's task scheme is '%s', which does not support after, "
                          "follow, targets, retries and timeout: to use these, start the cluster "
                          "with another scheme, such as %s",
                          scheduler->scheme->name, balancer_scheme_at(0)->name);
}

int scheduler_accept(struct scheduler *scheduler, struct message *message,
                     const struct ipcl_member *msg_id, const struct handout *before)
{
    struct task_metadata metadata;
    struct ipcl_error why;
    const char *ename;
    int status = 0;
    bool valid = !task_read_metadata(scheduler, message, &metadata, &ename, &why);
    if (valid && metadata.again && !before)
        status = admit(scheduler, msg_id, &metadata);
    if (valid && status < 0) {
        scheduler_reject(scheduler, message, "ConnectionError",
                         "the connection to the controller was lost, and this task may have run: "
                         "submit it again");
        task_metadata_clear(&metadata);
        return -1;
    }
    if (!valid)
        status = -1;
    else if (!status)
        status = task_enter(scheduler, message, msg_id, &metadata, before, &ename, &why);
    task_metadata_clear(&metadata);
    if (status < 0)
        scheduler_refuse(scheduler, message, msg_id, ename, why.text);
    return status;
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
    task->msg_id = (const char *)held_part(task->data, MESSAGE_HEADER, &size) + offset;
    task->msg_id_size = (unsigned char)msg_id->size;
    task->client = held_peer(task->data, &task->client_size);
    task->retries = metadata->retries;
    task->timeout = (float)metadata->timeout;
    scheduler_start_clock(task);
    return task;
}

/* Why a task was not entered. */
static void explain_refusal(enum submission status, const char *unknown, const char **ename,
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
        ipcl_error_set(
            why,
            "the task depends on %.255s, which the controller does not know: it was never a task "
            "here, or it finished long ago and is forgotten (TaskScheduler.finished_max sets how "
            "many are remembered)",
            unknown);
}

/* Reports a task before it is assigned, if a store records it, or if it could not run at once. */
static void report_submission(struct scheduler *scheduler, struct task *task,
                              struct message *message)
{
    report_add(&scheduler->report, REPORT_SUBMITTED, REPORT_TASK, -1, task->msg_id,
               task->msg_id_size, message);
    task->reported = true;
}

/* Enters a task. Returns 0; 1 if it has to wait; or -1 with why it is not entered. */
static int task_enter(struct scheduler *scheduler, struct message *message,
                      const struct ipcl_member *msg_id, const struct task_metadata *metadata,
                      const struct handout *before, const char **ename, struct ipcl_error *why)
{
    const struct task_hooks *hooks = scheduler->hooks;
    struct worker **targets = NULL;
    const char *unknown = NULL;
    long count = 0;
    enum submission status = SUBMISSION_NO_MEMORY;
    *ename = "RuntimeError";
    if (metadata->targets) {
        scheduler_read_notices(scheduler);
        count = scheduler_find_targets(scheduler, metadata, &targets);
    }
    if (count >= 0 && hooks && hooks->awaits_engines(scheduler, metadata, (size_t)count)) {
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
        explain_refusal(status, unknown, ename, why);
        if (task)
            scheduler_free(task);
        return status == SUBMISSION_UNKNOWN && hooks && hooks->awaits_tasks(scheduler) ? 1 : -1;
    }
    counter_add(&stats.tasks_submitted, 1);
    if (metadata->dropped)
        guests_add(scheduler, task);
    task->reported = before;
    if (scheduler->report.recording && !before)
        report_submission(scheduler, task, message);
    if (task->state == TASK_BLOCKED)
        trace_step(TRACE_DEPEND, task->msg_id, task->msg_id_size, -1);
    scheduler_dispatch_new(scheduler, task, message);
    if (!task->reported)
        report_submission(scheduler, task, message);
    return 0;
}

/* The task that a reply belongs to; NULL if its engine does not have such a task. */
static struct task *task_of_reply(struct scheduler *scheduler, struct message *message)
{
    struct ipcl_member parent = {.name = "msg_id"};
    zmq_msg_t *engine = message_peer(message);
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

void scheduler_from_engine(void *self, struct message *message)
{
    struct scheduler *scheduler = self;
    if (refusal_verify(&scheduler->bad_reply, &scheduler->sessions.engine_seal, message, 2) !=
        SESSION_ACCEPTED)
        return;
    if (!routes_translate(&scheduler->routes, message_peer(message))) {
        refusal_note(&scheduler->bad_reply, REFUSED_STRANGER,
                     "it comes from an engine that is not registered");
        return;
    }
    struct task *task = task_of_reply(scheduler, message);
    if (!task) {
        if (!scheduler->hooks || !scheduler->hooks->take_reply(scheduler, message))
            refusal_note(&scheduler->bad_reply, REFUSED_NOT_ASKED,
                         "it answers a task that its sender does not have");
        scheduler_dispatch(scheduler);
        return;
    }
    struct task_reply reply;
    trace_step(TRACE_ENGINE_REPLY, task->msg_id, task->msg_id_size, task->worker->id);
    enum task_end end =
        task_metadata_of_reply(&scheduler->reader, message_part(message, MESSAGE_METADATA), &reply);
    if (reply.repeats) {
        refusal_note(&scheduler->bad_reply, REFUSED_NOT_ASKED,
                     "it is from an earlier attempt, which was answered");
        return;
    }
    struct worker *worker = task->worker;
    bool ran = end != END_UNBEGUN && end != END_RETURNED && end != END_ABORTED;
    if (ran)
        histogram_note(&stats.task_work_seconds, scheduler_waited_us(task));
    if (reply.last)
        balancer_retire(scheduler->balancer, task->worker);
    if (!scheduler_try_again(scheduler, task, end)) {
        report_add(&scheduler->report, REPORT_DONE, REPORT_TASK, task->worker->id, task->msg_id,
                   task->msg_id_size, message);
        message_swap_identities(message);
        replies_send(&scheduler->replies, message);
        trace_step_since(TRACE_REPLY, task->msg_id, task->msg_id_size, -1, task->since_ns);
        scheduler_end(scheduler, task, end == END_SUCCESS);
    }
    window_answered(scheduler, worker, ran);
    scheduler_dispatch(scheduler);
}
