/* Submitting a request: to an engine, the load balancer or the hub. Any thread. */
#include <stdlib.h>
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

/* The future of a request, with its number. NULL with `error` set. */
static struct ipcl_future *make_future(struct ipcl_client *client,
                                       const struct ipcl_submission *request, int engine_id,
                                       struct ipcl_error *error)
{
    struct ipcl_future *future = future_create(request->channel);
    if (!future)
        ipcl_error_set(error, "out of memory");
    if (!future || check_abort(client, request, error) ||
        submission_address(client, future, engine_id, error)) {
        ipcl_future_release(future);
        return NULL;
    }
    future->number = atomic_fetch_add(&client->next_number, 1);
    session_message_id(client->session_id, future->number, future->id);
    return future;
}

struct ipcl_future *ipcl_submit(struct ipcl_client *client,
                                const struct ipcl_submission *submission, struct ipcl_error *error)
{
    struct ipcl_future *future = NULL;
    if (submission->channel == IPCL_CHANNEL_BROADCAST)
        return ipcl_broadcast(client, submission, &submission->engine_id, 1, &future, error)
                   ? NULL
                   : future;
    future = make_future(client, submission, submission->engine_id, error);
    if (!future) {
        submission_release_buffers(submission, 0);
        return NULL;
    }
    if (submission_push(client, submission, ipcl_future_hold(future), NULL, error)) {
        ipcl_future_release(future);
        ipcl_future_release(future);
        return NULL;
    }
    return future;
}

/* Submits a request with buffers that others have, too. NULL with `error` set. */
static struct ipcl_future *submit_shared(struct ipcl_client *client,
                                         const struct ipcl_submission *request, zmq_msg_t *buffers,
                                         int engine_id, struct ipcl_error *error)
{
    struct ipcl_future *future = make_future(client, request, engine_id, error);
    if (!future ||
        !submission_push_shared(client, request, buffers, ipcl_future_hold(future), error))
        return future;
    ipcl_future_release(future);
    ipcl_future_release(future);
    return NULL;
}

int ipcl_submit_each(struct ipcl_client *client, const struct ipcl_submission *submission,
                     const int *engine_ids, size_t count, struct ipcl_future **futures,
                     struct ipcl_error *error)
{
    zmq_msg_t *buffers = calloc(submission->buffer_count + 1, sizeof(*buffers));
    size_t made = 0;
    if (!buffers) {
        submission_release_buffers(submission, 0);
        return ipcl_error_set(error, "out of memory");
    }
    if (submission_make_buffers(client, submission, buffers, count > 1, error)) {
        free(buffers);
        return -1;
    }
    while (made < count &&
           (futures[made] = submit_shared(client, submission, buffers, engine_ids[made], error)))
        made++;
    for (size_t i = 0; i < submission->buffer_count; i++)
        zmq_msg_close(&buffers[i]);
    free(buffers);
    if (made == count)
        return 0;
    while (made > 0)
        ipcl_future_release(futures[--made]);
    return -1;
}
