/* A door: requests that come in by one are verified and become jobs. I/O thread. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "engine/io.h"
#include "engine/stats.h"
#include "wire/published.h"

/* What this engine calls the connections of a shell socket: the first frame of what comes by them.
 * What the controller calls its sockets does not come through. */
static const char *const connections[SEAL_CHANNELS] = {
    [SEAL_DIRECT] = "direct", [SEAL_TASK] = "task", [SEAL_BROADCAST] = "broadcast"};

void door_name_next(struct door *door, enum seal_channel channel)
{
    const char *name = connections[channel];
    zmq_setsockopt(door->shell, ZMQ_CONNECT_ROUTING_ID, name, strlen(name));
}

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
              struct session *session, const struct connection *connection,
              struct ipcl_error *error)
{
    door->io = io;
    door->serial = serial;
    door->session = session;
    if (!session)
        return -1;
    door->sealed = connection && connection->sealed;
    for (int channel = SEAL_HUB; channel < SEAL_CHANNELS; channel++)
        door->seals[channel] =
            (struct seal){.session = session,
                          .channel = channel,
                          .role = CONNECTION_ENGINE,
                          .required = door->sealed,
                          .encrypted = connection && *connection->curve_serverkey,
                          .life = channel == SEAL_HUB ? io->engine->life : NULL};
    door->metadata =
        pack(door, json_pack("{s:s}", "engine", io->engine->uuid), &door->metadata_size, error);
    door->busy = pack(door, json_pack("{s:s}", "execution_state", "busy"), &door->busy_size, error);
    door->idle = pack(door, json_pack("{s:s}", "execution_state", "idle"), &door->idle_size, error);
    return door->metadata && door->busy && door->idle ? reply_prepare(door, error) : -1;
}

void door_close(struct door *door)
{
    for (int channel = SEAL_HUB; channel < SEAL_CHANNELS; channel++)
        seal_release(&door->seals[channel]);
    session_destroy(door->session);
    free(door->metadata);
    free(door->busy);
    free(door->idle);
    free(door->ok_metadata);
    free(door->ok_content);
    memset(door, 0, sizeof(*door));
}

enum seal_channel door_channel(const struct door *door, const void *socket, struct message *message)
{
    zmq_msg_t *from = message_peer(message);
    if (socket == door->control)
        return SEAL_CONTROL;
    for (int channel = 0; channel < SEAL_CHANNELS; channel++)
        if (connections[channel] && zmq_msg_size(from) == strlen(connections[channel]) &&
            !memcmp(zmq_msg_data(from), connections[channel], zmq_msg_size(from)))
            return channel;
    return SEAL_DIRECT;
}

/* The name that this engine has at the other end. */
static const char *name_at(const struct door *door, enum seal_channel channel)
{
    const struct io *io = door->io;
    return channel == SEAL_HUB ? io->engine->route : io->identity;
}

int door_sign(struct door *door, enum seal_channel channel, struct message *message,
              struct ipcl_error *error)
{
    const char *name = door->sealed ? name_at(door, channel) : "";
    return seal_sign(&door->seals[channel], message, name, strlen(name), door->sealed, error);
}

int door_enclose(struct door *door, enum seal_channel channel, struct message *message)
{
    return seal_enclose(&door->seals[channel], message);
}

int door_close_envelope(struct door *door, enum seal_channel channel, struct message *envelope)
{
    const char *name = name_at(door, channel);
    return seal_close_envelope(&door->seals[channel], envelope, name, strlen(name));
}

/* Whoever waits for the answer to a request that does not run waits no longer. */
static void answer_unrun(struct door *door, struct message *message, void *socket, const char *why)
{
    struct job *job = job_create(door, socket, message);
    if (!job)
        return;
    job->serial = door->serial;
    clock_date(job->started);
    if (reply_wanted(job))
        reply_refused(door->io, job, why);
    job_destroy(job);
}

struct job *door_accept(struct door *door, struct message *message, void *socket)
{
    struct log_limit *limit = &door->io->bad_limit;
    const char *name = socket == door->control ? "control" : "shell";
    enum seal_channel channel = door_channel(door, socket, message);
    const char *own = door->sealed ? name_at(door, channel) : "";
    enum session_verdict verdict = seal_verify(&door->seals[channel], message, own, strlen(own));
    if (verdict != SESSION_ACCEPTED) {
        counter_add(&engine_stats.messages_refused, 1);
        log_limited(limit, IPCL_LOG_WARN, "%s on the %s socket dropped (%llu so far)",
                    session_verdict_text(verdict), name, session_refused(door->session, verdict));
        if (verdict == SESSION_REPEATED)
            answer_unrun(door, message, socket,
                         "the request came a second time: it does not run again");
        return NULL;
    }
    if (door == &door->io->cluster && segment_link_unpack(&door->io->segments, message)) {
        answer_unrun(
            door, message, socket,
            "the request's data were lost on the way, or memory is short: submit it again");
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
    struct subscription subscription;
    if (!subscription_read(message, &subscription))
        return;
    door->subscribed = door->subscribed || subscription.begins;
    door_status_topic(door, topic);
    if (subscription.topic_size > strlen(topic) ||
        memcmp(topic, subscription.topic, subscription.topic_size))
        return;
    if (subscription.begins)
        door->status_listeners++;
    else if (door->status_listeners)
        door->status_listeners--;
}
