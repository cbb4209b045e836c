/* Sending what was submitted. I/O thread. */
#include "client/send_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/trace.h"
#include "client/await_private.h"
#include "client/sockets_private.h"

/* What is kept of tasks that may be sent again: of one, and in all. */
#define KEPT_BYTES_MAX     (64 * 1024)
#define ALL_KEPT_BYTES_MAX (64 * 1024 * 1024)

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
    const struct client_broadcast *broadcast = submission->broadcast;
    session_message_id(client->session_id,
                       broadcast ? broadcast->number : submission->future->number, id);
    return broadcast ? SOCKET_BROADCAST : sockets[submission->future->channel];
}

/* Sends a request with this metadata. Its frames go, unless it is its future's, and kept. */
static int send_submission(struct ipcl_client *client, struct submission *submission,
                           const char *metadata, struct message *message)
{
    struct client_io *io = &client->io;
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
    int failed = segment_link_give(&io->segments, message);
    atomic_store(&client->shares, io->segments.connected);
    bool again = submission->future && submission->future->sent_again;
    if (!failed && client->connection.sealed && !again &&
        envelopes_put(&io->requests[socket], "", 0, message, 0))
        return 0;
    if (failed || sockets_sign(client, socket, message, NULL))
        return -1;
    if (!message_send(message, io->sockets[socket]))
        return 0;
    segment_link_recall(&io->segments, message);
    return -1;
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

/* Keeps a small task if another controller may take the place of this one, as that may have lost
 * it. */
static void keep(struct ipcl_client *client, struct submission *submission)
{
    struct ipcl_future *future = submission->future;
    if (future->channel != IPCL_CHANNEL_TASK || !client->connection.task_aborts ||
        !client->connection.reuse || !strcmp(submission->msg_type, "abort_request"))
        return;
    size_t size = submission_bytes(submission);
    if (size > KEPT_BYTES_MAX || client->io.kept_bytes + size > ALL_KEPT_BYTES_MAX ||
        copy_buffers(submission))
        return;
    client->io.kept_bytes += size;
    future->kept = submission;
}

static void send_envelopes(struct client_io *io)
{
    for (int index = 0; index < SOCKET_COUNT; index++)
        envelopes_close(&io->requests[index]);
}

bool send_again(struct ipcl_client *client, struct ipcl_future *future)
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
static bool engine_is_gone(const struct client_io *io, const struct ipcl_future *future)
{
    struct known_engine *engine = NULL;
    if (*future->engine_uuid)
        HASH_FIND_STR(io->engines, future->engine_uuid, engine);
    return engine && engine->fail_at_ms == -1;
}

static void fail_if_gone(void *client, struct ipcl_future *future)
{
    struct client_io *io = &((struct ipcl_client *)client)->io;
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
            "the request could not be sent: its content or metadata nests too deeply, or memory "
            "is short"));
}

static int enclose(void *self, struct message *message)
{
    struct client_way *way = self;
    return seal_enclose(&way->client->io.seals[way->index], message);
}

static void send_envelope(void *self, struct message *envelope)
{
    struct client_way *way = self;
    struct client_io *io = &way->client->io;
    if (seal_close_envelope(&io->seals[way->index], envelope, way->client->session_id,
                            SESSION_ID_LENGTH) ||
        message_send(envelope, io->sockets[way->index]))
        log_limited(&way->client->io.refusal_limit, IPCL_LOG_ERROR, "requests were not sent: %s",
                    zmq_strerror(errno));
}

void send_prepare(struct ipcl_client *client)
{
    for (int index = 0; index < SOCKET_COUNT; index++)
        envelopes_prepare(&client->io.requests[index], client->connection.frame_bytes_max, enclose,
                          send_envelope, &client->io.ways[index]);
}

static void trace_submit(const struct ipcl_future *future)
{
    const char *id = ipcl_future_id(future);
    trace_step(TRACE_SUBMIT, id, strlen(id), future->engine_id);
}

/* Sends nothing to an engine that has gone; a broadcast is sent for the others. Takes over the
 * submission. */
static void flush_one(struct ipcl_client *client, struct submission *submission,
                      struct message *message)
{
    struct client_io *io = &client->io;
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

void send_submitted(struct ipcl_client *client)
{
    struct message message;
    if (client->io.held)
        return;
    message_init(&message);
    for (struct submission *next, *submission = submission_take_all(client); submission;
         submission = next) {
        next = submission->next;
        flush_one(client, submission, &message);
        message_clear(&message);
    }
    message_close(&message);
    send_envelopes(&client->io);
}

void send_woken(void *self)
{
    struct ipcl_client *client = self;
    uint64_t count;
    if (read(client->wake_fd, &count, sizeof(count)) > 0)
        send_submitted(client);
}

void send_release(struct client_io *io)
{
    struct packed_text *caches[] = {&io->content_cache, &io->metadata_cache};
    for (size_t i = 0; i < sizeof(caches) / sizeof(*caches); i++) {
        free(caches[i]->text);
        free(caches[i]->packed);
    }
    for (int index = 0; index < SOCKET_COUNT; index++)
        envelopes_release(&io->requests[index]);
}
