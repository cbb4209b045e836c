/* Tasks that their client takes back. The task thread.
 *
 * The request comes by the way that the tasks came by, so that none of them is behind it. What
 * waits here is answered at once. What an engine has may not have begun; its client asks the
 * engine, by the control thread, which is never behind work. */
#include <string.h>

#include "controller/schedulers/task.h"

static bool is_from_client(struct scheduler *scheduler, const struct abort_request *request,
                           struct task *task)
{
    size_t size;
    const void *header = held_part(task->data, MESSAGE_HEADER, &size);
    return abort_request_is_from(request, session_serial(scheduler->sessions.clients), header,
                                 size);
}

/* Adds a task to the list of those that its engine has. */
static void add_handed_out(json_t *handed_out, const char *engine, const char *msg_id)
{
    json_t *there = json_object_get(handed_out, engine);
    if (!there) {
        there = json_array();
        json_object_set_new(handed_out, engine, there);
    }
    json_array_append_new(there, json_string(msg_id));
}

static void abort_named(struct scheduler *scheduler, const struct abort_request *request,
                        const char *msg_id, json_t *aborted, json_t *handed_out)
{
    struct task *task = balancer_task(scheduler->balancer, msg_id, strlen(msg_id));
    if (!task || !is_from_client(scheduler, request, task))
        return;
    const char *engine = task->state == TASK_RUNNING ? task->worker->uuid
                         : task->state == TASK_AWAY  ? scheduler->hooks->engine_of(task)
                                                     : NULL;
    if (!engine) {
        json_array_append_new(aborted, json_string(msg_id));
        scheduler_answer(scheduler, task, json_pack("{s:s}", "status", "aborted"));
    } else if (*engine) {
        /* It may be on its way back when the engine is asked. */
        task->unwanted = true;
        add_handed_out(handed_out, engine, msg_id);
    }
}

static json_t *abort_named_tasks(struct scheduler *scheduler, const struct abort_request *request)
{
    json_t *aborted = json_array(), *handed_out = json_object(), *value;
    const char *msg_id;
    json_object_foreach (request->named, msg_id, value)
        abort_named(scheduler, request, msg_id, aborted, handed_out);
    if (scheduler->hooks)
        scheduler->hooks->abort_aside(scheduler, request, aborted);
    return json_pack("{s:s s:o s:o}", "status", "ok", "aborted", aborted, "handed_out", handed_out);
}

/* Does what is asked. Returns the reply's content, or NULL with `error` set. */
static json_t *abort_answer(struct scheduler *scheduler, struct message *message,
                            const json_t *content, struct ipcl_error *error)
{
    struct abort_request request;
    json_t *answer = NULL;
    if (json_is_true(json_object_get(content, "leaving"))) {
        guests_leave(scheduler, message_peer(message));
        return json_pack("{s:s}", "status", "ok");
    }
    if (abort_request_read(&request, scheduler->sessions.clients, message, content, error))
        return NULL;
    if (json_object_size(request.named))
        answer = abort_named_tasks(scheduler, &request);
    else
        ipcl_error_set(error, "an abort request to a scheduler names msg_ids: give at least one");
    abort_request_clear(&request);
    return answer;
}

void abort_serve(struct scheduler *scheduler, struct message *message)
{
    struct reply_request asked;
    struct message reply;
    struct ipcl_error error;
    json_t *content =
        session_unpack(scheduler->sessions.clients, message_part(message, MESSAGE_CONTENT), &error);
    json_t *answer = content ? abort_answer(scheduler, message, content, &error) : NULL;
    if (!answer)
        answer = reply_error_content("ValueError", error.text);
    json_decref(content);
    message_init(&reply);
    reply_request_of(message, &asked);
    if (!reply_make(scheduler->sessions.clients, &reply, &asked, NULL, answer))
        replies_send(&scheduler->replies, &reply);
    json_decref(answer);
    message_close(&reply);
}
