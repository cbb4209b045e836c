/* Jobs: a request with its frames, and later its reply. */
#include "engine/job.h"

#include <stdlib.h>
#include <string.h>

struct job *job_create(struct door *door, void *socket, struct message *message)
{
    struct job *job = calloc(1, sizeof(*job));
    if (!job)
        return NULL;
    message_init(&job->message);
    job->door = door;
    job->socket = socket;
    job->msg_id = strndup(message->msg_id.data, message->msg_id.size);
    job->msg_type = strndup(message->msg_type.data, message->msg_type.size);
    if (!job->msg_id || !job->msg_type || message_move(&job->message, message)) {
        job_destroy(job);
        return NULL;
    }
    return job;
}

int job_find_buffers(struct job *job)
{
    job->buffer_count = message_buffer_count(&job->message);
    if (!job->buffer_count)
        return 0;
    job->buffers = calloc(job->buffer_count, sizeof(*job->buffers));
    if (!job->buffers)
        return -1;
    for (size_t i = 0; i < job->buffer_count; i++) {
        zmq_msg_t *frame = message_buffer(&job->message, i);
        job->buffers[i].data = zmq_msg_data(frame);
        job->buffers[i].size = zmq_msg_size(frame);
    }
    return 0;
}

void job_destroy(struct job *job)
{
    if (!job)
        return;
    for (size_t i = 0; i < job->reply.buffer_count; i++)
        if (job->reply.buffers[i].release)
            job->reply.buffers[i].release(job->reply.buffers[i].owner);
    free(job->reply.buffers);
    json_decref(job->reply.content);
    json_decref(job->reply.metadata);
    json_decref(job->content);
    free(job->buffers);
    free(job->msg_id);
    free(job->msg_type);
    message_close(&job->message);
    free(job);
}
