/* Answers to requests. I/O thread. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/trace.h"
#include "engine/io.h"

/* How long answers to short requests wait for each other. */
#define AGE_US 200

/* A truth of the request's metadata, as packed by JSON or msgpack. */
static bool is_true(const struct ipcl_member *member)
{
    return member->state == IPCL_MEMBER_OTHER &&
           ((member->size == 4 && !memcmp(member->data, "true", 4)) ||
            (member->size == 1 && member->data[0] == (char)0xc3));
}

/* What a reply's metadata takes over from its request's. */
enum { IS_BROADCAST, IS_COALESCING, ORIGINAL_MSG_ID, LABEL, MEMBERS };

static void find_members(struct job *job, struct ipcl_member members[MEMBERS])
{
    members[IS_BROADCAST] = (struct ipcl_member){.name = "is_broadcast"};
    members[IS_COALESCING] = (struct ipcl_member){.name = "is_coalescing"};
    members[ORIGINAL_MSG_ID] = (struct ipcl_member){.name = "original_msg_id"};
    members[LABEL] = (struct ipcl_member){.name = "label"};
    if (session_find(job->door->session, message_part(&job->message, MESSAGE_METADATA), members,
                     MEMBERS))
        for (int i = 0; i < MEMBERS; i++)
            members[i].state = IPCL_MEMBER_ABSENT;
}

/* A new reference: what the client calls its task by, which it reads from the reply (ipyparallel
 * 9). */
static json_t *label_of(struct job *job)
{
    struct ipcl_error error;
    json_t *metadata =
        session_unpack(job->door->session, message_part(&job->message, MESSAGE_METADATA), &error);
    json_t *label = json_incref(json_object_get(metadata, "label"));
    json_decref(metadata);
    return label;
}

/* The metadata that ipyparallel's schedulers and clients read. A new reference. */
static json_t *make_metadata(struct io *io, const char *started, size_t published,
                             const char *status, const json_t *content,
                             const struct ipcl_member members[MEMBERS])
{
    const char *ename = json_string_value(json_object_get(content, "ename"));
    bool met = strcmp(status, "error") || !ename || strcmp(ename, "UnmetDependency");
    const struct ipcl_member *original = &members[ORIGINAL_MSG_ID];
    bool is_text = original->state == IPCL_MEMBER_TEXT;
    json_t *metadata = json_pack(
        "{s:s s:b s:s s:b s:b s:s% s:s s:I}", "started", started, "dependencies_met", met, "engine",
        io->engine->uuid, "is_broadcast", is_true(&members[IS_BROADCAST]), "is_coalescing",
        is_true(&members[IS_COALESCING]), "original_msg_id", is_text ? original->data : "",
        is_text ? original->size : 0, "status", status, "published", (json_int_t)published);
    if (metadata && !strcmp(status, "error"))
        json_object_set_new(metadata, "engine_info",
                            json_pack("{s:s s:I}", "engine_uuid", io->engine->uuid, "engine_id",
                                      (json_int_t)io->engine->id));
    return metadata;
}

int reply_prepare(struct door *door, struct ipcl_error *error)
{
    const struct ipcl_member none[MEMBERS] = {0};
    char date[CLOCK_DATE_BYTES];
    clock_date(date);
    json_t *metadata = make_metadata(door->io, date, 0, "ok", NULL, none);
    json_t *content = json_pack("{s:s}", "status", "ok");
    services_expect(error, "the serializer could not pack a reply's metadata");
    door->ok_metadata =
        metadata ? door->serial->pack(metadata, &door->ok_metadata_size, error) : NULL;
    door->ok_content = content ? door->serial->pack(content, &door->ok_content_size, error) : NULL;
    json_decref(metadata);
    json_decref(content);
    if (!door->ok_metadata || !door->ok_content)
        return -1;
    door->ok_date = memmem(door->ok_metadata, door->ok_metadata_size, date, strlen(date));
    return door->ok_date ? 0 : ipcl_error_set(error, "dates cannot be packed");
}

/* The reply's metadata: for a plain success without output the bytes that were packed once, with
 * another date; otherwise a new reference in `*made`, for the caller to release. */
static void set_metadata(struct io *io, struct job *job, const char *status, const json_t *content,
                         const json_t *more, struct session_parts *parts, json_t **made)
{
    struct ipcl_member members[MEMBERS];
    find_members(job, members);
    bool original =
        members[ORIGINAL_MSG_ID].state == IPCL_MEMBER_TEXT && members[ORIGINAL_MSG_ID].size;
    bool label = members[LABEL].state != IPCL_MEMBER_ABSENT;
    bool drains = io->draining && shell_is_task(io, job);
    *made = NULL;
    if (!strcmp(status, "ok") && !more && !original && !label && !job->published && !drains &&
        !is_true(&members[IS_BROADCAST]) && !is_true(&members[IS_COALESCING])) {
        memcpy(job->door->ok_date, job->started, strlen(job->started));
        parts->packed_metadata = job->door->ok_metadata;
        parts->packed_metadata_size = job->door->ok_metadata_size;
        return;
    }
    *made = make_metadata(io, job->started, job->published, status, content, members);
    if (*made && label)
        json_object_set_new(*made, "label", label_of(job));
    if (*made && drains) /* or the scheduler would send another task after this one */
        json_object_set_new(*made, "takes_more", json_false());
    if (*made && more)
        json_object_update(*made, (json_t *)more);
    parts->metadata = *made;
}

static bool is_request(const char *msg_type)
{
    size_t length = strlen(msg_type);
    return length > 8 && !strcmp(msg_type + length - 8, "_request");
}

bool reply_wanted(const struct job *job)
{
    return is_request(job->msg_type);
}

/* "apply_request" is answered by "apply_reply". */
static void reply_type(const char *msg_type, char type[128])
{
    size_t length = strlen(msg_type);
    if (length < 100 && is_request(msg_type))
        snprintf(type, 128, "%.*s_reply", (int)(length - 8), msg_type);
    else
        snprintf(type, 128, "error");
}

static int build_reply(struct job *job, struct message *message, const struct session_parts *parts,
                       struct ipcl_error *error)
{
    if (message_append_identities(message, &job->message))
        return ipcl_error_set(error, "out of memory");
    return session_build(job->door->session, message, parts, NULL, error);
}

static int enclose(void *self, struct message *message)
{
    struct door *door = &((struct io *)self)->cluster;
    return door_enclose(door, door_channel(door, door->shell, message), message);
}

static void send_envelope(void *self, struct message *envelope)
{
    struct io *io = self;
    struct door *door = &io->cluster;
    if (door_close_envelope(door, door_channel(door, door->shell, envelope), envelope) ||
        message_send(envelope, door->shell))
        log_limited(&io->send_limit, IPCL_LOG_WARN, "answers were not sent: %s",
                    zmq_strerror(errno));
}

void reply_collect(struct io *io)
{
    envelopes_prepare(&io->answers, io->cluster.frame_bytes_max, enclose, send_envelope, io);
}

void reply_flush(struct io *io)
{
    envelopes_close(&io->answers);
}

long long reply_tick(struct io *io, long long now_ms)
{
    bool more = io->answers.open;
    reply_flush(io);
    io->answering = io->answering && more;
    return io->answering ? now_ms + 1 : CLOCK_NEVER;
}

void reply_release(struct io *io)
{
    reply_flush(io);
    envelopes_release(&io->answers);
}

/* An answer waits for the next as long as requests are in the queue, but only AGE_US, or, if the
 * next request takes longer, until the tick. Returns false if it is to be sent by itself. */
static bool reply_put_aside(struct io *io, struct message *message)
{
    zmq_msg_t *scheduler = message_peer(message);
    bool first = !io->answers.open;
    if (!envelopes_put(&io->answers, zmq_msg_data(scheduler), zmq_msg_size(scheduler), message, 1))
        return false;
    long long now_us = clock_precise_us();
    if (first)
        io->answered_us = now_us;
    if (TAILQ_EMPTY(&io->queue) || now_us - io->answered_us >= AGE_US) {
        reply_flush(io);
    } else if (!io->answering) {
        io->answering = true;
        loop_wake(io->loop);
    }
    return true;
}

/* Signs and sends a reply, or puts it into an envelope. Returns 0, or -1 with `error` set. */
static int send_made(struct io *io, struct job *job, struct message *message,
                     struct ipcl_error *error)
{
    enum seal_channel channel = door_channel(job->door, job->socket, message);
    bool collected = io->cluster.sealed && job->socket == io->cluster.shell;
    if (shell_is_task(io, job))
        recall_keep(io, job, message);
    collected = collected && reply_put_aside(io, message);
    if (!collected && door_sign(job->door, channel, message, error))
        return -1;
    if (!collected && message_send(message, job->socket)) {
        log_limited(&io->send_limit, IPCL_LOG_WARN, "a reply to %s was not sent: %s", job->msg_type,
                    zmq_strerror(errno));
        segment_link_recall(&io->segments, message);
    }
    trace_step(TRACE_ANSWER, job->msg_id, strlen(job->msg_id), -1);
    return 0;
}

/* Large buffers go to our controller as segments. Returns 0 or -1 with `error` set. */
static int hand_over_large(struct io *io, const struct job *job, struct message *message,
                           struct ipcl_error *error)
{
    if (job->door != &io->cluster)
        return 0;
    segment_link_pack(&io->segments, message);
    return segment_link_give(&io->segments, message) ? ipcl_error_set(error, "out of memory") : 0;
}

/* Takes the buffers over, also on failure. Returns 0, or -1 with `error` set: the reply cannot be
 * made. */
static int send_reply(struct io *io, struct job *job, const json_t *content, const json_t *metadata,
                      const struct ipcl_buffer *buffers, size_t buffer_count,
                      struct ipcl_error *error)
{
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
                                  .packed_content = content ? NULL : job->door->ok_content,
                                  .packed_content_size = content ? 0 : job->door->ok_content_size};
    set_metadata(io, job, status ? status : "ok", content, metadata, &parts, &made);
    message_init(&message);
    int failed = build_reply(job, &message, &parts, error);
    if (failed)
        publish_release(buffers, buffer_count);
    else if (publish_append(&message, buffers, buffer_count))
        failed = ipcl_error_set(error, "out of memory");
    else if (message_check_frames(&message, job->door->frame_bytes_max, error) ||
             hand_over_large(io, job, &message, error) || send_made(io, job, &message, error))
        failed = -1;
    message_close(&message);
    json_decref(made);
    return failed;
}

/* NULL where memory is short. */
static json_t *error_content(const struct io *io, const char *ename, const char *evalue)
{
    return json_pack("{s:s s:s s:s s:[s] s:{s:s s:I}}", "status", "error", "ename", ename, "evalue",
                     evalue, "traceback", evalue, "engine_info", "engine_uuid", io->engine->uuid,
                     "engine_id", (json_int_t)io->engine->id);
}

void reply_send(struct io *io, struct job *job, const json_t *content, const json_t *metadata,
                const struct ipcl_buffer *buffers, size_t buffer_count)
{
    struct ipcl_error error, another;
    if (!send_reply(io, job, content, metadata, buffers, buffer_count, &error))
        return;
    json_t *instead = error_content(io, "ValueError", error.text);
    if (!instead || send_reply(io, job, instead, NULL, NULL, 0, &another))
        log_error("no reply to %s %s: %s", job->msg_type, job->msg_id, error.text);
    json_decref(instead);
}

void reply_error(struct io *io, struct job *job, const char *ename, const char *evalue)
{
    json_t *content = error_content(io, ename, evalue);
    reply_send(io, job, content, NULL, NULL, 0);
    json_decref(content);
}

void reply_unbegun(struct io *io, struct job *job)
{
    json_t *content = error_content(io, "EngineError", io->ending);
    json_t *metadata = json_pack("{s:b}", "begun", 0);
    reply_send(io, job, content, metadata, NULL, 0);
    json_decref(metadata);
    json_decref(content);
}

void reply_returned(struct io *io, struct job *job)
{
    json_t *content = error_content(
        io, "EngineError", "the task had not begun when the controller ended: submit it again");
    json_t *metadata = json_pack("{s:b s:b}", "begun", 0, "takes_more", 1);
    reply_send(io, job, content, metadata, NULL, 0);
    json_decref(metadata);
    json_decref(content);
}

/* Our hub tells clients what their requests to this engine have ended with, and asks its batch
 * system first. */
static bool hub_tells(const struct io *io, const struct job *job)
{
    return io->cause == IO_SIGNAL && job->door == &io->cluster &&
           io->identity == io->engine->route && *io->engine->batch_job;
}

void reply_ended(struct io *io, struct job *job)
{
    bool task = shell_is_task(io, job);
    if (!task && hub_tells(io, job))
        return;
    json_t *content = error_content(io, "EngineError", io->ending);
    json_t *metadata = task && io->cause != IO_OWN ? json_pack("{s:b}", "cut", 1) : NULL;
    reply_send(io, job, content, metadata, NULL, 0);
    json_decref(metadata);
    json_decref(content);
}

void reply_refused(struct io *io, struct job *job, const char *why)
{
    json_t *content = error_content(io, "ConnectionError", why);
    json_t *metadata = json_pack("{s:n}", "engine");
    reply_send(io, job, content, metadata, NULL, 0);
    json_decref(metadata);
    json_decref(content);
}

void reply_aborted(struct io *io, struct job *job)
{
    json_t *content = json_pack("{s:s}", "status", "aborted");
    clock_date(job->started);
    reply_send(io, job, content, NULL, NULL, 0);
    json_decref(content);
}
