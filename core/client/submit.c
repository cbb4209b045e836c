/* Submitting a request: to an engine, the load balancer or the hub. Any thread. */
#include <string.h>

#include "client/submission_private.h"

/* ipyparallel's scheduler would take the request for a task, and give it to an engine that does not
 * answer it. Returns 0 or -1 with `error` set. */
static int check_abort(const struct ipcl_client *client, const struct ipcl_submission *request,
                       struct ipcl_error *error)
{
    if (client->connection.task_aborts || request->channel != IPCL_CHANNEL_TASK ||
        strcmp(request->msg_type, "abort_request"))
        return 0;
    return ipcl_error_set(
        error, "the task scheduler of %s, which is ipyparallel's, aborts nothing: ask the engines",
        client->path);
}

struct ipcl_future *ipcl_submit(struct ipcl_client *client,
                                const struct ipcl_submission *submission, struct ipcl_error *error)
{
    struct ipcl_future *future = NULL;
    if (submission->channel == IPCL_CHANNEL_BROADCAST)
        return ipcl_broadcast(client, submission, &submission->engine_id, 1, &future, error)
                   ? NULL
                   : future;
    future = future_create(submission->channel);
    if (!future)
        ipcl_error_set(error, "out of memory");
    if (!future || check_abort(client, submission, error) ||
        submission_address(client, future, submission->engine_id, error)) {
        submission_release_buffers(submission, 0);
        ipcl_future_release(future);
        return NULL;
    }
    future->number = atomic_fetch_add(&client->next_number, 1);
    session_message_id(client->session_id, future->number, future->id);
    if (submission_push(client, submission, ipcl_future_hold(future), NULL, error)) {
        ipcl_future_release(future);
        ipcl_future_release(future);
        return NULL;
    }
    return future;
}
