/* What is published: output and status, on the doors' iopub sockets. I/O thread. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

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

/* The packed header of the request that output belongs to, as the door's readers unpack it: where
 * they speak otherwise than who asked, packed anew, in `*made`, for the caller to free. */
static void set_parent(const struct door *door, struct session_parts *parts, char **made)
{
    const struct io *io = door->io;
    struct ipcl_error error;
    *made = NULL;
    parts->parent = io->parent;
    parts->parent_size = io->parent_size;
    if (!io->parent || io->parent_door->serial == door->serial)
        return;
    json_t *header = io->parent_door->serial->unpack(io->parent, io->parent_size, &error);
    *made = header ? door->serial->pack(header, &parts->parent_size, &error) : NULL;
    parts->parent = *made;
    json_decref(header);
}

static void send_parts(struct door *door, const struct session_parts *parts, const char *topic,
                       const struct ipcl_buffer *buffers, size_t buffer_count)
{
    struct io *io = door->io;
    struct ipcl_error error;
    struct message message;
    message_init(&message);
    if (message_append(&message, topic, strlen(topic)) ||
        session_build(door->session, &message, parts, NULL, &error)) {
        log_limited(&io->send_limit, IPCL_LOG_ERROR, "%s was not published: %s", parts->msg_type,
                    error.text);
        publish_release(buffers, buffer_count);
    } else if (!publish_append(&message, buffers, buffer_count)) {
        message_send(&message, door->iopub);
    }
    message_close(&message);
}

void publish(struct io *io, const char *msg_type, const char *topic, const json_t *content,
             const json_t *metadata, const struct ipcl_buffer *buffers, size_t buffer_count)
{
    struct door *door = &io->cluster;
    if (!door->iopub) {
        publish_release(buffers, buffer_count);
        return;
    }
    char name[256], *parent;
    json_t *complete = NULL;
    struct session_parts parts = {.msg_type = msg_type,
                                  .content = content,
                                  .packed_metadata = door->metadata,
                                  .packed_metadata_size = door->metadata_size};
    if (json_object_size(metadata)) {
        complete = json_copy((json_t *)metadata);
        json_object_set_new(complete, "engine", json_string(io->engine->uuid));
        parts.packed_metadata = NULL;
        parts.metadata = complete;
    }
    snprintf(name, sizeof(name), "engine.%" PRId64 ".%s", (int64_t)io->engine->id, topic);
    set_parent(door, &parts, &parent);
    send_parts(door, &parts, name, buffers, buffer_count);
    if (io->running)
        io->running->published++;
    free(parent);
    json_decref(complete);
}

static void status_topic(const struct io *io, char topic[64])
{
    snprintf(topic, 64, "status.%" PRId64, (int64_t)io->engine->id);
}

void publish_subscribed(struct door *door, const char *frame, size_t size)
{
    char topic[64];
    status_topic(door->io, topic);
    if (!size || size - 1 > strlen(topic) || memcmp(topic, frame + 1, size - 1))
        return;
    if (frame[0] == 1)
        door->status_listeners++;
    else if (door->status_listeners)
        door->status_listeners--;
}

void publish_status(struct io *io, struct job *job, bool busy)
{
    char topic[64];
    struct door *door = job->door;
    zmq_msg_t *header = message_part(&job->message, MESSAGE_HEADER);
    if (!door->status_listeners)
        return;
    status_topic(io, topic);
    struct session_parts parts = {.msg_type = "status",
                                  .parent = zmq_msg_data(header),
                                  .parent_size = zmq_msg_size(header),
                                  .packed_content = busy ? door->busy : door->idle,
                                  .packed_content_size = busy ? door->busy_size : door->idle_size,
                                  .packed_metadata = door->metadata,
                                  .packed_metadata_size = door->metadata_size};
    send_parts(door, &parts, topic, NULL, 0);
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
}
