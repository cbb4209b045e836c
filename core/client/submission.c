/* What is submitted: any thread makes a submission of a request and pushes it on a list without a
 * lock, which the I/O thread takes at one go. */
#include "client/submission_private.h"

#include <stdlib.h>
#include <string.h>

#include "wire/segment.h"

#define TEXT_CACHE_BYTES 256

/* Checks that a text is a JSON mapping. What a thread submits again and again is checked once. */
static int check_mapping(const char *what, const char *text, struct ipcl_error *error)
{
    static _Thread_local char checked[TEXT_CACHE_BYTES];
    json_error_t where;
    if (!strcmp(text, "{}") || (*checked && !strcmp(text, checked)))
        return 0;
    json_t *value = json_loads(text, JSON_ALLOW_NUL, &where);
    bool mapping = json_is_object(value);
    json_decref(value);
    if (!mapping)
        return ipcl_error_set(error, "the %s of a request is not a JSON mapping: %s", what,
                              value ? "it is another value" : where.text);
    if (strlen(text) < sizeof(checked))
        strcpy(checked, text);
    return 0;
}

void submission_release_buffers(const struct ipcl_submission *request, size_t first)
{
    for (size_t i = first; i < request->buffer_count; i++)
        if (request->buffers[i].release)
            request->buffers[i].release(request->buffers[i].owner);
}

static void release_owner(void *data, void *owner)
{
    struct ipcl_buffer *buffer = owner;
    (void)data;
    buffer->release(buffer->owner);
    free(buffer);
}

/* Makes a frame of a buffer, taking it over also on failure. Returns 0 or -1. */
static int make_frame(const struct ipcl_client *client, zmq_msg_t *frame,
                      const struct ipcl_buffer *buffer, bool several)
{
    size_t least = several ? SEGMENT_LEAST_BYTES : SEGMENT_ALONE_BYTES;
    if (buffer->size <= IPCL_COPY_BYTES) {
        int status = zmq_msg_init_size(frame, buffer->size);
        if (!status && buffer->size)
            memcpy(zmq_msg_data(frame), buffer->data, buffer->size);
        if (buffer->release)
            buffer->release(buffer->owner);
        return status;
    }
    if (atomic_load(&client->shares) && buffer->size >= least &&
        !segment_make(frame, buffer->data, buffer->size)) {
        if (buffer->release)
            buffer->release(buffer->owner);
        return 0;
    }
    if (!buffer->release)
        return zmq_msg_init_data(frame, (void *)buffer->data, buffer->size, NULL, NULL);
    struct ipcl_buffer *owner = malloc(sizeof(*owner));
    if (!owner ||
        zmq_msg_init_data(frame, (void *)buffer->data, buffer->size, release_owner, owner)) {
        free(owner);
        buffer->release(buffer->owner);
        return -1;
    }
    *owner = *buffer;
    return 0;
}

void submission_destroy(struct submission *submission)
{
    for (size_t i = 0; i < submission->buffer_count; i++)
        zmq_msg_close(&submission->buffers[i]);
    free(submission);
}

/* What the controller does not take is not sent. Returns 0 or -1 with `error` set. */
static int check_sizes(const struct ipcl_client *client, const struct ipcl_submission *request,
                       struct ipcl_error *error)
{
    int64_t most = client->connection.frame_bytes_max;
    for (size_t i = 0; i < request->buffer_count; i++)
        if (message_check_frame(request->buffers[i].size, most, error))
            return -1;
    return (request->content && message_check_frame(strlen(request->content), most, error)) ||
                   (request->metadata &&
                    message_check_frame(strlen(request->metadata), most, error))
               ? -1
               : 0;
}

/* What a task says that does not outlive its client: no controller need have met that client to
 * know it. */
#define DROPPED "{\"keep\":false"

/* Copies metadata, a JSON mapping, with that at its beginning. There is room for both. */
static void copy_dropped(char *copy, const char *metadata)
{
    const char *rest = strchr(metadata, '{') + 1;
    rest += strspn(rest, " \t\r\n");
    sprintf(copy, "%s%s%s", DROPPED, *rest == '}' ? "" : ",", rest);
}

int submission_make_buffers(const struct ipcl_client *client, const struct ipcl_submission *request,
                            zmq_msg_t *buffers, bool several, struct ipcl_error *error)
{
    size_t made = 0;
    while (made < request->buffer_count &&
           !make_frame(client, &buffers[made], &request->buffers[made], several))
        made++;
    if (made == request->buffer_count)
        return 0;
    submission_release_buffers(request, made + 1);
    while (made > 0)
        zmq_msg_close(&buffers[--made]);
    return ipcl_error_set(error, "out of memory");
}

/* A submission without buffers, but with room for them. */
static struct submission *submission_create(const struct ipcl_client *client,
                                            const struct ipcl_submission *request,
                                            struct ipcl_error *error)
{
    const char *content = request->content ? request->content : "{}";
    const char *metadata = request->metadata ? request->metadata : "{}";
    size_t type_size = strlen(request->msg_type) + 1, content_size = strlen(content) + 1;
    size_t metadata_size = strlen(metadata) + 1;
    bool dropped = client->drops_tasks && request->channel == IPCL_CHANNEL_TASK;
    size_t frames_size = request->buffer_count * sizeof(zmq_msg_t);
    if (check_sizes(client, request, error) || check_mapping("content", content, error) ||
        check_mapping("metadata", metadata, error))
        return NULL;
    struct submission *submission = malloc(sizeof(*submission) + frames_size + type_size +
                                           content_size + metadata_size + sizeof(DROPPED));
    if (!submission) {
        ipcl_error_set(error, "out of memory");
        return NULL;
    }
    char *texts = (char *)submission->buffers + frames_size;
    submission->msg_type = memcpy(texts, request->msg_type, type_size);
    submission->content = memcpy(texts + type_size, content, content_size);
    submission->metadata = memcpy(texts + type_size + content_size, metadata, metadata_size);
    if (dropped)
        copy_dropped(texts + type_size + content_size, metadata);
    submission->buffer_count = 0;
    return submission;
}

static void push(struct ipcl_client *client, struct submission *submission)
{
    struct submission *head = atomic_load(&client->submissions);
    do
        submission->next = head;
    while (!atomic_compare_exchange_weak(&client->submissions, &head, submission));
    if (!head)
        client_wake(client);
}

int submission_address(struct ipcl_client *client, struct ipcl_future *future, int engine_id,
                       struct ipcl_error *error)
{
    if (ipcl_client_check(client, error))
        return -1;
    if (future->channel == IPCL_CHANNEL_TASK || future->channel == IPCL_CHANNEL_HUB)
        return 0;
    future->engine_id = engine_id;
    return client_find_engine(client, engine_id, future->engine_uuid, error);
}

static void hand_over(struct ipcl_client *client, const struct ipcl_submission *request,
                      struct submission *submission, struct ipcl_future *future,
                      struct client_broadcast *broadcast)
{
    submission->buffer_count = request->buffer_count;
    submission->future = future;
    submission->broadcast = broadcast;
    push(client, submission);
    /* The client may have been closed meanwhile, and the I/O thread have looked for the last
     * time. */
    if (atomic_load(&client->closing))
        submission_drop_all(client, "the client was closed");
}

int submission_push(struct ipcl_client *client, const struct ipcl_submission *request,
                    struct ipcl_future *future, struct client_broadcast *broadcast,
                    struct ipcl_error *error)
{
    struct submission *submission = submission_create(client, request, error);
    if (!submission) {
        submission_release_buffers(request, 0);
        return -1;
    }
    if (submission_make_buffers(client, request, submission->buffers, broadcast, error)) {
        free(submission);
        return -1;
    }
    hand_over(client, request, submission, future, broadcast);
    return 0;
}

int submission_push_shared(struct ipcl_client *client, const struct ipcl_submission *request,
                           zmq_msg_t *buffers, struct ipcl_future *future, struct ipcl_error *error)
{
    struct submission *submission = submission_create(client, request, error);
    if (!submission)
        return -1;
    for (size_t i = 0; i < request->buffer_count; i++) {
        zmq_msg_init(&submission->buffers[i]);
        zmq_msg_copy(&submission->buffers[i], &buffers[i]);
    }
    hand_over(client, request, submission, future, NULL);
    return 0;
}

size_t submission_bytes(struct submission *submission)
{
    size_t size = sizeof(*submission) + strlen(submission->content) + strlen(submission->metadata);
    for (size_t i = 0; i < submission->buffer_count; i++)
        size += sizeof(zmq_msg_t) + segment_frame_bytes(&submission->buffers[i]);
    return size;
}

void submission_forget(struct client_io *io, struct ipcl_future *future)
{
    if (!future->kept)
        return;
    io->kept_bytes -= submission_bytes(future->kept);
    submission_destroy(future->kept);
    future->kept = NULL;
}

struct submission *submission_take_all(struct ipcl_client *client)
{
    struct submission *newest = atomic_exchange(&client->submissions, NULL), *oldest = NULL;
    while (newest) {
        struct submission *next = newest->next;
        newest->next = oldest;
        oldest = newest;
        newest = next;
    }
    return oldest;
}

static void drop(struct ipcl_future *future, const char *reason)
{
    future_complete_output(future, 0);
    future_resolve(future, outcome_create_failed(future, "ConnectionError", reason));
    ipcl_future_release(future);
}

void submission_drop_all(struct ipcl_client *client, const char *reason)
{
    for (struct submission *next, *submission = submission_take_all(client); submission;
         submission = next) {
        struct client_broadcast *broadcast = submission->broadcast;
        next = submission->next;
        if (!broadcast)
            drop(submission->future, reason);
        for (size_t i = 0; broadcast && i < broadcast->count; i++)
            drop(broadcast->parts[i], reason);
        free(broadcast);
        submission_destroy(submission);
    }
}
