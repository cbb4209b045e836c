/* What is published: output and status, on the doors' iopub sockets. I/O thread. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/trace.h"
#include "engine/io.h"

#define COPIED_BYTES 1024 /* a smaller result is cheaper copied than handed over */

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

int publish_append(struct message *message, const struct ipcl_buffer *buffers, size_t count)
{
    int status = 0;
    for (size_t i = 0; i < count; i++)
        status |= append_buffer(message, &buffers[i]);
    return status;
}

void publish_release(const struct ipcl_buffer *buffers, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (buffers[i].release)
            buffers[i].release(buffers[i].owner);
}

/* Sets a parent's packed header in the door's serialization. If it was packed in another one, packs
 * it anew in `*made`, for the caller to free. */
static void set_header(const struct door *door, const struct ipcl_serial_operations *serial,
                       char *header, size_t size, struct session_parts *parts, char **made)
{
    struct ipcl_error error;
    *made = NULL;
    parts->parent = header;
    parts->parent_size = size;
    if (!header || serial == door->serial)
        return;
    json_t *unpacked = serial->unpack(header, size, &error);
    *made = unpacked ? door->serial->pack(unpacked, &parts->parent_size, &error) : NULL;
    parts->parent = *made;
    json_decref(unpacked);
}

static void trace_output(const char *id, const struct job *job)
{
    if (trace_is_on() && job->msg_id)
        trace_note(TRACE_PUBLISH, &(struct trace_subject){id, strlen(id), job->msg_id,
                                                          strlen(job->msg_id), -1, 0});
}

/* Returns 0 or -1 with `error` set. */
static int build_output(struct door *door, const struct session_parts *parts, const char *topic,
                        struct message *frames, struct message *message, char *id,
                        struct ipcl_error *error)
{
    if (message_append(message, topic, strlen(topic)))
        return ipcl_error_set(error, "out of memory");
    if (session_build(door->session, message, parts, id, error))
        return -1;
    if (message_append_all(message, frames))
        return ipcl_error_set(error, "out of memory");
    if (message_check_frames(message, door->frame_bytes_max, error))
        return -1;
    return door_sign(door, SEAL_OUTPUT, message, error);
}

/* Publishes at a door, with buffers that `frames` holds, which stay. */
static void send_parts(struct door *door, const struct session_parts *parts, const char *topic,
                       struct message *frames)
{
    struct io *io = door->io;
    struct ipcl_error error;
    struct message message;
    char id[MESSAGE_ID_LENGTH + 1];
    message_init(&message);
    if (build_output(door, parts, topic, frames, &message, id, &error))
        log_limited(&io->send_limit, IPCL_LOG_ERROR, "%s was not published: %s", parts->msg_type,
                    error.text);
    else if (!message_send(&message, door->iopub) && io->running)
        trace_output(id, io->running);
    message_close(&message);
}

static void publish_at(struct door *door, const char *msg_type, const char *topic,
                       const json_t *content, const json_t *metadata, struct message *frames)
{
    struct io *io = door->io;
    char *parent;
    struct session_parts parts = {.msg_type = msg_type,
                                  .content = content,
                                  .metadata = metadata,
                                  .packed_metadata = metadata ? NULL : door->metadata,
                                  .packed_metadata_size = metadata ? 0 : door->metadata_size};
    set_header(door, io->parent_serial, io->parent, io->parent_size, &parts, &parent);
    send_parts(door, &parts, topic, frames);
    free(parent);
}

void publish(struct io *io, const char *msg_type, const char *topic, const json_t *content,
             const json_t *metadata, const struct ipcl_buffer *buffers, size_t buffer_count)
{
    char name[256];
    struct message frames;
    json_t *complete = json_object_size(metadata) ? json_copy((json_t *)metadata) : NULL;
    if (complete)
        json_object_set_new(complete, "engine", json_string(io->engine->uuid));
    snprintf(name, sizeof(name), "engine.%" PRId64 ".%s", (int64_t)io->engine->id, topic);
    message_init(&frames);
    if (publish_append(&frames, buffers, buffer_count)) {
        log_limited(&io->send_limit, IPCL_LOG_ERROR, "%s was not published: out of memory",
                    msg_type);
    } else {
        if (io->cluster.iopub && io->parent_door != &io->frontends.door)
            publish_at(&io->cluster, msg_type, name, content, complete, &frames);
        if (io->frontends.door.iopub)
            publish_at(&io->frontends.door, msg_type, name, content, complete, &frames);
        if (io->running)
            io->running->published++;
    }
    message_close(&frames);
    json_decref(complete);
}

static void publish_status_at(struct door *door, struct job *job, bool busy)
{
    char topic[DOOR_TOPIC_BYTES], *parent;
    zmq_msg_t *header = message_part(&job->message, MESSAGE_HEADER);
    struct message none;
    if (!door->iopub || !door->status_listeners)
        return;
    door_status_topic(door, topic);
    struct session_parts parts = {.msg_type = "status",
                                  .packed_content = busy ? door->busy : door->idle,
                                  .packed_content_size = busy ? door->busy_size : door->idle_size,
                                  .packed_metadata = door->metadata,
                                  .packed_metadata_size = door->metadata_size};
    message_init(&none);
    set_header(door, job->serial, zmq_msg_data(header), zmq_msg_size(header), &parts, &parent);
    send_parts(door, &parts, topic, &none);
    free(parent);
}

void publish_status(struct io *io, struct job *job, bool busy)
{
    if (job->door == &io->cluster)
        publish_status_at(&io->cluster, job, busy);
    publish_status_at(&io->frontends.door, job, busy);
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
    io->parent_door = job->door;
    io->parent_serial = job->serial;
}
