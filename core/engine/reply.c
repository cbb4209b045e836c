/* Messages in and out: a request is verified and made a job, a job is answered, and output is
 * published. I/O thread. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "engine/io.h"

#define COPIED_BYTES 1024 /* a smaller result is cheaper copied than handed over */

struct job *reply_accept(struct io *io, struct message *message, void *socket, const char *name)
{
    enum session_verdict verdict = session_verify(io->session, message);
    struct ipcl_member members[] = {{.name = "msg_id"}, {.name = "msg_type"}};
    if (verdict != SESSION_ACCEPTED) {
        log_limited(&io->bad_limit, IPCL_LOG_WARN, "%s on the %s socket dropped (%llu so far)",
                    session_verdict_text(verdict), name, session_refused(io->session, verdict));
        return NULL;
    }
    if (session_find(io->session, message_part(message, MESSAGE_HEADER), members, 2))
        return NULL;
    struct job *job = job_create(JOB_EXECUTE, socket, message, members[0].data, members[0].size,
                                 members[1].data, members[1].size);
    if (!job)
        log_limited(&io->bad_limit, IPCL_LOG_ERROR,
                    "out of memory: a message on the %s socket was dropped", name);
    return job;
}

/* A truth of the request's metadata, as packed by JSON or msgpack. */
static bool is_true(const struct ipcl_member *member)
{
    return member->state == IPCL_MEMBER_OTHER &&
           ((member->size == 4 && !memcmp(member->data, "true", 4)) ||
            (member->size == 1 && member->data[0] == (char)0xc3));
}

/* The metadata that ipyparallel's schedulers and clients read. A new reference. */
static json_t *make_metadata(struct io *io, const char *started, size_t published,
                             const char *status, const json_t *content,
                             const struct ipcl_member members[3])
{
    const char *ename = json_string_value(json_object_get(content, "ename"));
    bool met = strcmp(status, "error") || !ename || strcmp(ename, "UnmetDependency");
    bool original = members[2].state == IPCL_MEMBER_TEXT;
    json_t *metadata = json_pack(
        "{s:s s:b s:s s:b s:b s:s% s:s s:I}", "started", started, "dependencies_met", met, "engine",
        io->engine->uuid, "is_broadcast", is_true(&members[0]), "is_coalescing",
        is_true(&members[1]), "original_msg_id", original ? members[2].data : "",
        original ? members[2].size : 0, "status", status, "published", (json_int_t)published);
    if (metadata && !strcmp(status, "error"))
        json_object_set_new(metadata, "engine_info",
                            json_pack("{s:s s:I}", "engine_uuid", io->engine->uuid, "engine_id",
                                      (json_int_t)io->engine->id));
    return metadata;
}

int reply_prepare(struct io *io, struct ipcl_error *error)
{
    const struct ipcl_member none[3] = {0};
    char date[CLOCK_DATE_BYTES];
    clock_date(date);
    json_t *metadata = make_metadata(io, date, 0, "ok", NULL, none);
    json_t *content = json_pack("{s:s}", "status", "ok");
    io->ok_metadata =
        metadata ? io->engine->serial->pack(metadata, &io->ok_metadata_size, error) : NULL;
    io->ok_content =
        content ? io->engine->serial->pack(content, &io->ok_content_size, error) : NULL;
    json_decref(metadata);
    json_decref(content);
    if (!io->ok_metadata || !io->ok_content)
        return -1;
    io->ok_date = memmem(io->ok_metadata, io->ok_metadata_size, date, strlen(date));
    return io->ok_date ? 0 : ipcl_error_set(error, "dates cannot be packed");
}

/* The reply's metadata: for a plain success without output the bytes that were packed once, with
 * another date; otherwise a new reference in `*made`, for the caller to release. */
static void set_metadata(struct io *io, struct job *job, const char *status, const json_t *content,
                         const json_t *more, struct session_parts *parts, json_t **made)
{
    struct ipcl_member members[] = {
        {.name = "is_broadcast"}, {.name = "is_coalescing"}, {.name = "original_msg_id"}};
    if (session_find(io->session, message_part(&job->message, MESSAGE_METADATA), members, 3))
        for (int i = 0; i < 3; i++)
            members[i].state = IPCL_MEMBER_ABSENT;
    bool original = members[2].state == IPCL_MEMBER_TEXT && members[2].size;
    *made = NULL;
    if (!strcmp(status, "ok") && !more && !original && !job->published && !is_true(&members[0]) &&
        !is_true(&members[1])) {
        memcpy(io->ok_date, job->started, strlen(job->started));
        parts->packed_metadata = io->ok_metadata;
        parts->packed_metadata_size = io->ok_metadata_size;
        return;
    }
    *made = make_metadata(io, job->started, job->published, status, content, members);
    if (*made && more)
        json_object_update(*made, (json_t *)more);
    parts->metadata = *made;
}

static void release_frame(void *data, void *hint)
{
    struct ipcl_buffer *buffer = hint;
    (void)data;
    if (buffer->release)
        buffer->release(buffer->owner);
    free(buffer);
}

/* Appends a result's buffer, which is taken over. Returns 0 or -1. */
static int append_buffer(struct message *message, const struct ipcl_buffer *buffer)
{
    if (buffer->size > COPIED_BYTES) {
        struct ipcl_buffer *kept = malloc(sizeof(*kept));
        if (kept) {
            *kept = *buffer;
            return message_append_owned(message, (void *)buffer->data, buffer->size, release_frame,
                                        kept);
        }
    }
    int status = message_append(message, buffer->data, buffer->size);
    if (buffer->release)
        buffer->release(buffer->owner);
    return status;
}

static int append_buffers(struct message *message, const struct ipcl_buffer *buffers, size_t count)
{
    int status = 0;
    for (size_t i = 0; i < count; i++)
        status |= append_buffer(message, &buffers[i]);
    return status;
}

static void release_buffers(const struct ipcl_buffer *buffers, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (buffers[i].release)
            buffers[i].release(buffers[i].owner);
}

/* "apply_request" is answered by "apply_reply". */
static void reply_type(const char *msg_type, char type[128])
{
    size_t length = strlen(msg_type);
    if (length > 8 && length < 100 && !strcmp(msg_type + length - 8, "_request"))
        snprintf(type, 128, "%.*s_reply", (int)(length - 8), msg_type);
    else
        snprintf(type, 128, "error");
}

static int build_reply(struct io *io, struct job *job, struct message *message,
                       const struct session_parts *parts, struct ipcl_error *error)
{
    for (size_t i = 0; i < job->message.delimiter; i++) {
        zmq_msg_t *identity = &job->message.frames[i];
        if (message_append(message, zmq_msg_data(identity), zmq_msg_size(identity)))
            return ipcl_error_set(error, "out of memory");
    }
    return session_build(io->session, message, parts, NULL, error);
}

void reply_send(struct io *io, struct job *job, const json_t *content, const json_t *metadata,
                const struct ipcl_buffer *buffers, size_t buffer_count)
{
    struct ipcl_error error;
    struct message message;
    char type[128];
    json_t *made;
    const char *status = content ? json_string_value(json_object_get(content, "status")) : "ok";
    reply_type(job->msg_type, type);
    zmq_msg_t *header = message_part(&job->message, MESSAGE_HEADER);
    struct session_parts parts = {.msg_type = type,
                                  .parent = zmq_msg_data(header),
                                  .parent_size = zmq_msg_size(header),
                                  .content = content,
                                  .packed_content = content ? NULL : io->ok_content,
                                  .packed_content_size = content ? 0 : io->ok_content_size};
    set_metadata(io, job, status ? status : "ok", content, metadata, &parts, &made);
    message_init(&message);
    if (build_reply(io, job, &message, &parts, &error)) {
        log_error("no reply to %s %s: %s", job->msg_type, job->msg_id, error.text);
        release_buffers(buffers, buffer_count);
    } else if (append_buffers(&message, buffers, buffer_count)) {
        log_error("no reply to %s %s: out of memory", job->msg_type, job->msg_id);
    } else if (message_send(&message, job->socket)) {
        log_limited(&io->send_limit, IPCL_LOG_WARN, "a reply to %s was not sent: %s", job->msg_type,
                    zmq_strerror(errno));
    }
    message_close(&message);
    json_decref(made);
}

void reply_error(struct io *io, struct job *job, const char *ename, const char *evalue)
{
    json_t *content =
        json_pack("{s:s s:s s:s s:[s] s:{s:s s:I}}", "status", "error", "ename", ename, "evalue",
                  evalue, "traceback", evalue, "engine_info", "engine_uuid", io->engine->uuid,
                  "engine_id", (json_int_t)io->engine->id);
    reply_send(io, job, content, NULL, NULL, 0);
    json_decref(content);
}

void reply_aborted(struct io *io, struct job *job)
{
    json_t *content = json_pack("{s:s}", "status", "aborted");
    clock_date(job->started);
    reply_send(io, job, content, NULL, NULL, 0);
    json_decref(content);
}

static void publish_parts(struct io *io, const struct session_parts *parts, const char *topic,
                          const struct ipcl_buffer *buffers, size_t buffer_count)
{
    struct ipcl_error error;
    struct message message;
    message_init(&message);
    if (message_append(&message, topic, strlen(topic)) ||
        session_build(io->session, &message, parts, NULL, &error)) {
        log_limited(&io->send_limit, IPCL_LOG_ERROR, "%s was not published: %s", parts->msg_type,
                    error.text);
        release_buffers(buffers, buffer_count);
    } else if (!append_buffers(&message, buffers, buffer_count)) {
        message_send(&message, io->iopub);
    }
    message_close(&message);
}

void publish(struct io *io, const char *msg_type, const char *topic, const json_t *content,
             const json_t *metadata, const struct ipcl_buffer *buffers, size_t buffer_count)
{
    if (!io->iopub) {
        release_buffers(buffers, buffer_count);
        return;
    }
    char name[256];
    json_t *complete = NULL;
    struct session_parts parts = {.msg_type = msg_type,
                                  .parent = io->parent,
                                  .parent_size = io->parent_size,
                                  .content = content,
                                  .packed_metadata = io->packed_metadata,
                                  .packed_metadata_size = io->packed_metadata_size};
    if (json_object_size(metadata)) {
        complete = json_copy((json_t *)metadata);
        json_object_set_new(complete, "engine", json_string(io->engine->uuid));
        parts.packed_metadata = NULL;
        parts.metadata = complete;
    }
    snprintf(name, sizeof(name), "engine.%" PRId64 ".%s", (int64_t)io->engine->id, topic);
    publish_parts(io, &parts, name, buffers, buffer_count);
    if (io->running)
        io->running->published++;
    json_decref(complete);
}

static void status_topic(const struct io *io, char topic[64])
{
    snprintf(topic, 64, "status.%" PRId64, (int64_t)io->engine->id);
}

void publish_subscribed(struct io *io, const char *frame, size_t size)
{
    char topic[64];
    status_topic(io, topic);
    if (!size)
        return;
    io->subscribed = io->subscribed || frame[0] == 1;
    if (size - 1 > strlen(topic) || memcmp(topic, frame + 1, size - 1))
        return;
    if (frame[0] == 1)
        io->status_listeners++;
    else if (io->status_listeners)
        io->status_listeners--;
}

void publish_status(struct io *io, bool busy)
{
    char topic[64];
    if (!io->status_listeners)
        return;
    status_topic(io, topic);
    struct session_parts parts = {.msg_type = "status",
                                  .parent = io->parent,
                                  .parent_size = io->parent_size,
                                  .packed_content = busy ? io->packed_busy : io->packed_idle,
                                  .packed_content_size =
                                      busy ? io->packed_busy_size : io->packed_idle_size,
                                  .packed_metadata = io->packed_metadata,
                                  .packed_metadata_size = io->packed_metadata_size};
    publish_parts(io, &parts, topic, NULL, 0);
}

void publish_parent(struct io *io, struct job *job)
{
    zmq_msg_t *header = message_part(&job->message, MESSAGE_HEADER);
    size_t size = zmq_msg_size(header);
    char *parent = realloc(io->parent, size ? size : 1);
    if (!parent)
        return;
    memcpy(parent, zmq_msg_data(header), size);
    io->parent = parent;
    io->parent_size = size;
}
