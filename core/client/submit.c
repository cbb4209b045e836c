/* Submitting: any thread makes a request and pushes it on a list without a lock; the I/O thread
 * takes the list at one go. */
#include "client/client.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/trace.h"

#define TEXT_CACHE_BYTES 256

/* What is kept of tasks that may be sent again: of one, and in all. */
#define KEPT_BYTES_MAX     (64 * 1024)
#define ALL_KEPT_BYTES_MAX (64 * 1024 * 1024)

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

void submit_release_buffers(const struct ipcl_submission *request, size_t first)
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
static int make_frame(zmq_msg_t *frame, const struct ipcl_buffer *buffer)
{
    if (buffer->size <= IPCL_COPY_BYTES) {
        int status = zmq_msg_init_size(frame, buffer->size);
        if (!status && buffer->size)
            memcpy(zmq_msg_data(frame), buffer->data, buffer->size);
        if (buffer->release)
            buffer->release(buffer->owner);
        return status;
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

static void submission_destroy(struct submission *submission)
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

/* Takes the buffers over, also on failure. */
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
    struct submission *submission = NULL;
    size_t made = 0;
    if (check_sizes(client, request, error) || check_mapping("content", content, error) ||
        check_mapping("metadata", metadata, error))
        goto failed;
    submission = malloc(sizeof(*submission) + frames_size + type_size + content_size +
                        metadata_size + sizeof(DROPPED));
    if (!submission) {
        ipcl_error_set(error, "out of memory");
        goto failed;
    }
    char *texts = (char *)submission->buffers + frames_size;
    submission->msg_type = memcpy(texts, request->msg_type, type_size);
    submission->content = memcpy(texts + type_size, content, content_size);
    submission->metadata = memcpy(texts + type_size + content_size, metadata, metadata_size);
    if (dropped)
        copy_dropped(texts + type_size + content_size, metadata);
    submission->buffer_count = 0;
    while (made < request->buffer_count) {
        if (make_frame(&submission->buffers[made], &request->buffers[made])) {
            made++;
            ipcl_error_set(error, "out of memory");
            goto failed;
        }
        submission->buffer_count = ++made;
    }
    return submission;
failed:
    submit_release_buffers(request, made);
    if (submission)
        submission_destroy(submission);
    return NULL;
}

void client_wake(struct ipcl_client *client)
{
    uint64_t one = 1;
    /* It fails only where the counter is full, and then the thread is awake. */
    if (write(client->wake_fd, &one, sizeof(one)) < 0)
        return;
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

int submit_address(struct ipcl_client *client, struct ipcl_future *future, int engine_id,
                   struct ipcl_error *error)
{
    if (ipcl_client_check(client, error))
        return -1;
    if (future->channel == IPCL_CHANNEL_TASK || future->channel == IPCL_CHANNEL_HUB)
        return 0;
    future->engine_id = engine_id;
    return client_find_engine(client, engine_id, future->engine_uuid, error);
}

int submit_push(struct ipcl_client *client, const struct ipcl_submission *request,
                struct ipcl_future *future, struct broadcast *broadcast, struct ipcl_error *error)
{
    struct submission *submission = submission_create(client, request, error);
    if (!submission)
        return -1;
    submission->future = future;
    submission->broadcast = broadcast;
    push(client, submission);
    /* The client may have been closed meanwhile, and the I/O thread have looked for the last
     * time. */
    if (atomic_load(&client->closing))
        submit_drop(client, "the client was closed");
    return 0;
}

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

struct ipcl_future *ipcl_submit(struct ipcl_client *client, const struct ipcl_submission *request,
                                struct ipcl_error *error)
{
    struct ipcl_future *future = NULL;
    if (request->channel == IPCL_CHANNEL_BROADCAST)
        return ipcl_broadcast(client, request, &request->engine_id, 1, &future, error) ? NULL
                                                                                       : future;
    future = future_create(request->channel);
    if (!future)
        ipcl_error_set(error, "out of memory");
    if (!future || check_abort(client, request, error) ||
        submit_address(client, future, request->engine_id, error)) {
        submit_release_buffers(request, 0);
        ipcl_future_release(future);
        return NULL;
    }
    future->number = atomic_fetch_add(&client->next_number, 1);
    session_message_id(client->session_id, future->number, future->id);
    if (submit_push(client, request, ipcl_future_hold(future), NULL, error)) {
        ipcl_future_release(future);
        ipcl_future_release(future);
        return NULL;
    }
    return future;
}

/* Fills a cache with a JSON text in the cluster's serialization. Returns 0 or -1. */
static int pack_text(const struct ipcl_client *client, struct packed_text *cache, const char *text)
{
    if (cache->text && !strcmp(cache->text, text))
        return 0;
    json_t *value = json_loads(text, JSON_ALLOW_NUL, NULL);
    free(cache->text);
    free(cache->packed);
    cache->text = strdup(text);
    cache->packed = value ? client->serial->pack(value, &cache->size, NULL) : NULL;
    json_decref(value);
    if (cache->text && cache->packed)
        return 0;
    free(cache->text);
    cache->text = NULL;
    return -1;
}

/* Gives the packed form of `text`; an empty mapping is left to the session. */
static int find_packed(struct ipcl_client *client, struct packed_text *cache, const char *text,
                       const char **packed, size_t *size)
{
    if (!strcmp(text, "{}"))
        return 0;
    if (client->io.json) {
        *packed = text;
        *size = strlen(text);
        return 0;
    }
    if (pack_text(client, cache, text))
        return -1;
    *packed = cache->packed;
    *size = cache->size;
    return 0;
}

/* The request's own identifier, and the socket that it goes to. */
static enum client_socket prepare(const struct ipcl_client *client,
                                  const struct submission *submission,
                                  char id[MESSAGE_ID_LENGTH + 1])
{
    static const enum client_socket sockets[] = {
        [IPCL_CHANNEL_DIRECT] = SOCKET_DIRECT,
        [IPCL_CHANNEL_TASK] = SOCKET_TASK,
        [IPCL_CHANNEL_CONTROL] = SOCKET_CONTROL,
        [IPCL_CHANNEL_HUB] = SOCKET_QUERY,
    };
    const struct broadcast *broadcast = submission->broadcast;
    session_message_id(client->session_id,
                       broadcast ? broadcast->number : submission->future->number, id);
    return broadcast ? SOCKET_BROADCAST : sockets[submission->future->channel];
}

/* Sends a request with this metadata. Its frames go, unless it is its future's, and kept. */
static int send_submission(struct ipcl_client *client, struct submission *submission,
                           const char *metadata, struct message *message)
{
    struct io *io = &client->io;
    char id[MESSAGE_ID_LENGTH + 1];
    enum client_socket socket = prepare(client, submission, id);
    struct session_parts parts = {.msg_type = submission->msg_type, .msg_id = id};
    const char *engine = submission->broadcast ? "" : submission->future->engine_uuid;
    if (!io->sockets[socket] ||
        find_packed(client, &io->content_cache, submission->content, &parts.packed_content,
                    &parts.packed_content_size) ||
        find_packed(client, &io->metadata_cache, metadata, &parts.packed_metadata,
                    &parts.packed_metadata_size) ||
        (*engine && message_append(message, engine, strlen(engine))) ||
        session_build(io->session, message, &parts, NULL, NULL))
        return -1;
    bool kept = submission->future && submission->future->kept == submission;
    for (size_t i = 0; i < submission->buffer_count; i++)
        if (kept ? message_append_reference(message, &submission->buffers[i])
                 : message_append_frame(message, &submission->buffers[i]))
            return -1;
    io->used |= 1u << socket;
    return sockets_sign(client, socket, message, NULL) || message_send(message, io->sockets[socket])
               ? -1
               : 0;
}

static size_t size_of(struct submission *submission)
{
    size_t size = sizeof(*submission) + strlen(submission->content) + strlen(submission->metadata);
    for (size_t i = 0; i < submission->buffer_count; i++)
        size += sizeof(zmq_msg_t) + zmq_msg_size(&submission->buffers[i]);
    return size;
}

/* Copies what is the program's own memory, which it may change once it is sent. Returns 0 or -1. */
static int copy_buffers(struct submission *submission)
{
    for (size_t i = 0; i < submission->buffer_count; i++) {
        zmq_msg_t copy, *frame = &submission->buffers[i];
        size_t size = zmq_msg_size(frame);
        if (size <= IPCL_COPY_BYTES)
            continue;
        if (zmq_msg_init_size(&copy, size))
            return -1;
        memcpy(zmq_msg_data(&copy), zmq_msg_data(frame), size);
        zmq_msg_move(frame, &copy);
    }
    return 0;
}

/* Keeps a task where another controller may take the place of this one, which then may have lost
 * it, and where it is small. */
static void keep(struct ipcl_client *client, struct submission *submission)
{
    struct ipcl_future *future = submission->future;
    if (future->channel != IPCL_CHANNEL_TASK || !client->connection.task_aborts ||
        !client->connection.reuse || !strcmp(submission->msg_type, "abort_request"))
        return;
    size_t size = size_of(submission);
    if (size > KEPT_BYTES_MAX || client->io.kept_bytes + size > ALL_KEPT_BYTES_MAX ||
        copy_buffers(submission))
        return;
    client->io.kept_bytes += size;
    future->kept = submission;
}

void submit_forget(struct io *io, struct ipcl_future *future)
{
    if (!future->kept)
        return;
    io->kept_bytes -= size_of(future->kept);
    submission_destroy(future->kept);
    future->kept = NULL;
}

bool submit_again(struct ipcl_client *client, struct ipcl_future *future)
{
    struct message message;
    json_t *metadata =
        future->kept ? json_loads(future->kept->metadata, JSON_ALLOW_NUL, NULL) : NULL;
    if (metadata)
        json_object_set_new(metadata, "again", json_integer(++future->sent_again));
    char *text = metadata ? json_dumps(metadata, JSON_COMPACT) : NULL;
    json_decref(metadata);
    message_init(&message);
    bool sent = text && !send_submission(client, future->kept, text, &message);
    message_close(&message);
    free(text);
    return sent;
}

/* The engine may have died between ipcl_submit() and now. */
static bool engine_is_gone(const struct io *io, const struct ipcl_future *future)
{
    struct known_engine *engine = NULL;
    if (*future->engine_uuid)
        HASH_FIND_STR(io->engines, future->engine_uuid, engine);
    return engine && engine->fail_at_ms == -1;
}

static struct submission *take_all(struct ipcl_client *client)
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

static void fail_if_gone(void *client, struct ipcl_future *future)
{
    struct io *io = &((struct ipcl_client *)client)->io;
    if (engine_is_gone(io, future))
        await_resolve(io, future,
                      outcome_create_failed(future, "EngineError",
                                            "the engine died before the request was sent"));
}

static void fail_unsent(void *client, struct ipcl_future *future)
{
    await_resolve(
        &((struct ipcl_client *)client)->io, future,
        outcome_create_failed(
            future, "ClusterError",
            "the request could not be sent: its content or metadata nest too deep, or memory is short"));
}

static void trace_submit(const struct ipcl_future *future)
{
    const char *id = ipcl_future_id(future);
    trace_step(TRACE_SUBMIT, id, strlen(id), future->engine_id);
}

/* To an engine that has gone nothing is sent; a broadcast goes out for the others. Takes over the
 * submission. */
static void flush_one(struct ipcl_client *client, struct submission *submission,
                      struct message *message)
{
    struct io *io = &client->io;
    struct ipcl_future *future = submission->future;
    trace_arrived();
    if (submission->broadcast) {
        for (size_t i = 0; i < submission->broadcast->count; i++)
            trace_submit(submission->broadcast->parts[i]);
        await_add_broadcast(io, submission->broadcast);
        await_each_part(io, submission->broadcast,
                        send_submission(client, submission, submission->metadata, message)
                            ? fail_unsent
                            : fail_if_gone,
                        client);
        submission_destroy(submission);
        return;
    }
    trace_submit(future);
    await_add(io, future);
    keep(client, submission);
    bool kept = future->kept; /* it goes with its future, which may be answered at once */
    if (engine_is_gone(io, future))
        fail_if_gone(client, future);
    else if (send_submission(client, submission, submission->metadata, message))
        fail_unsent(client, future);
    if (!kept)
        submission_destroy(submission);
}

void submit_flush(struct ipcl_client *client)
{
    struct message message;
    if (client->io.held)
        return;
    message_init(&message);
    for (struct submission *next, *submission = take_all(client); submission; submission = next) {
        next = submission->next;
        flush_one(client, submission, &message);
        message_clear(&message);
    }
    message_close(&message);
}

static void drop(struct ipcl_future *future, const char *reason)
{
    future_complete_output(future, 0);
    future_resolve(future, outcome_create_failed(future, "ConnectionError", reason));
    ipcl_future_release(future);
}

void submit_drop(struct ipcl_client *client, const char *reason)
{
    for (struct submission *next, *submission = take_all(client); submission; submission = next) {
        struct broadcast *broadcast = submission->broadcast;
        next = submission->next;
        if (!broadcast)
            drop(submission->future, reason);
        for (size_t i = 0; broadcast && i < broadcast->count; i++)
            drop(broadcast->parts[i], reason);
        free(broadcast);
        submission_destroy(submission);
    }
}
