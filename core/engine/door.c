/* A door: requests that come in by one are verified and become jobs. I/O thread. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "engine/io.h"

static char *pack(struct door *door, json_t *value, size_t *size, struct ipcl_error *error)
{
    services_expect(error, "the serializer could not pack a part of a message");
    char *packed = value ? door->serial->pack(value, size, error) : NULL;
    if (!value)
        ipcl_error_set(error, "out of memory");
    json_decref(value);
    return packed;
}

int door_open(struct door *door, struct io *io, const struct ipcl_serial_operations *serial,
              struct session *session, struct ipcl_error *error)
{
    door->io = io;
    door->serial = serial;
    door->session = session;
    if (!session)
        return -1;
    door->metadata =
        pack(door, json_pack("{s:s}", "engine", io->engine->uuid), &door->metadata_size, error);
    door->busy = pack(door, json_pack("{s:s}", "execution_state", "busy"), &door->busy_size, error);
    door->idle = pack(door, json_pack("{s:s}", "execution_state", "idle"), &door->idle_size, error);
    return door->metadata && door->busy && door->idle ? reply_prepare(door, error) : -1;
}

void door_close(struct door *door)
{
    session_destroy(door->session);
    free(door->metadata);
    free(door->busy);
    free(door->idle);
    free(door->ok_metadata);
    free(door->ok_content);
    memset(door, 0, sizeof(*door));
}

struct job *door_accept(struct door *door, struct message *message, void *socket)
{
    struct log_limit *limit = &door->io->bad_limit;
    const char *name = socket == door->control ? "control" : "shell";
    enum session_verdict verdict = session_verify(door->session, message);
    if (verdict != SESSION_ACCEPTED) {
        log_limited(limit, IPCL_LOG_WARN, "%s on the %s socket dropped (%llu so far)",
                    session_verdict_text(verdict), name, session_refused(door->session, verdict));
        return NULL;
    }
    struct job *job = job_create(door, socket, message);
    if (job)
        job->serial = door->serial;
    else
        log_limited(limit, IPCL_LOG_ERROR, "out of memory: a message on the %s socket was dropped",
                    name);
    return job;
}

void door_status_topic(const struct door *door, char topic[DOOR_TOPIC_BYTES])
{
    snprintf(topic, DOOR_TOPIC_BYTES, "status.%" PRId64, (int64_t)door->io->engine->id);
}

void door_subscribed(void *self, struct message *message)
{
    struct door *door = self;
    char topic[DOOR_TOPIC_BYTES];
    const char *frame = zmq_msg_data(&message->frames[0]);
    size_t size = zmq_msg_size(&message->frames[0]);
    if (!size)
        return;
    door->subscribed = door->subscribed || frame[0] == 1;
    door_status_topic(door, topic);
    if (size - 1 > strlen(topic) || memcmp(topic, frame + 1, size - 1))
        return;
    if (frame[0] == 1)
        door->status_listeners++;
    else if (door->status_listeners)
        door->status_listeners--;
}
