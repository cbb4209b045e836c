/* Receiving: the I/O thread verifies each message and hands it to the future, the engine list or
 * the program's event function. */
#include "client/receive_private.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/trace.h"
#include "client/await_private.h"
#include "client/engines_private.h"
#include "client/restart_private.h"
#include "client/sockets_private.h"

/* Texts of a message, one after the other, each with a NUL. */
struct texts {
    const char *start[4];
    size_t size[4];
    char *owned[4]; /* to free */
};

/* A part as JSON text. Returns 0, or -1 with `error` set. */
static int add_text(struct ipcl_client *client, struct texts *texts, int index, zmq_msg_t *part,
                    struct ipcl_error *error)
{
    if (client->io.json) {
        texts->start[index] = zmq_msg_data(part);
        texts->size[index] = zmq_msg_size(part);
        return 0;
    }
    json_t *value = session_unpack(client->io.session, part, error);
    texts->owned[index] = value ? json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;
    json_decref(value);
    if (value && !texts->owned[index])
        ipcl_error_set(error, "memory is short");
    texts->start[index] = texts->owned[index];
    texts->size[index] = texts->owned[index] ? strlen(texts->owned[index]) : 0;
    return texts->owned[index] ? 0 : -1;
}

static void texts_free(struct texts *texts)
{
    for (size_t i = 0; i < sizeof(texts->owned) / sizeof(*texts->owned); i++)
        free(texts->owned[i]);
}

static const char *put_text(char **at, const char *text, size_t size)
{
    char *copy = *at;
    if (size)
        memcpy(copy, text, size);
    copy[size] = '\0';
    *at += size + 1;
    return copy;
}

/* Room for `head` bytes, the message's buffers, which are moved there, and `text_bytes`. NULL with
 * `error` set. */
static void *parcel_create(size_t head, struct message *message, size_t text_bytes,
                           size_t parcel_offset, char **text_at, struct ipcl_error *error)
{
    size_t count = message_buffer_count(message);
    char *block =
        malloc(head + count * (sizeof(zmq_msg_t) + sizeof(struct ipcl_buffer)) + text_bytes);
    if (!block) {
        ipcl_error_set(error, "memory is short");
        return NULL;
    }
    memset(block, 0, head);
    struct parcel *parcel = (struct parcel *)(block + parcel_offset);
    parcel->memory = (zmq_msg_t *)(block + head);
    parcel->buffers = (struct ipcl_buffer *)(parcel->memory + count);
    parcel->buffer_count = count;
    for (size_t i = 0; i < count; i++) {
        zmq_msg_init(&parcel->memory[i]);
        zmq_msg_move(&parcel->memory[i], message_buffer(message, i));
        parcel->buffers[i] = (struct ipcl_buffer){.data = zmq_msg_data(&parcel->memory[i]),
                                                  .size = zmq_msg_size(&parcel->memory[i])};
    }
    *text_at = (char *)(parcel->buffers + count);
    return block;
}

/* Who answered: the reply's metadata says, or an error's content, or it is whom the request was
 * for. */
static void find_engine(struct ipcl_client *client, const struct ipcl_future *future,
                        struct message *message, const json_t *error_content,
                        char uuid[ENGINE_UUID_BYTES], int *id)
{
    struct ipcl_member engine = {.name = "engine"};
    const json_t *info = json_object_get(error_content, "engine_info");
    const char *told = json_string_value(json_object_get(info, "engine_uuid"));
    strcpy(uuid, future->engine_uuid);
    *id = future->engine_id;
    if (!session_find(client->io.session, message_part(message, MESSAGE_METADATA), &engine, 1) &&
        engine.state == IPCL_MEMBER_TEXT && engine.size && engine.size < ENGINE_UUID_BYTES) {
        memcpy(uuid, engine.data, engine.size);
        uuid[engine.size] = '\0';
    } else if (told && strlen(told) < ENGINE_UUID_BYTES) {
        strcpy(uuid, told);
    }
    if (*uuid && strcmp(uuid, future->engine_uuid))
        *id = engines_id(&client->io, uuid);
    json_t *told_id = json_object_get(info, "engine_id");
    if (*id < 0 && json_is_integer(told_id)) /* an engine of ipyparallel's may say -1 of itself */
        *id = (int)json_integer_value(told_id);
}

/* NULL with `error` set. */
static struct future_outcome *make_outcome(struct ipcl_client *client,
                                           const struct ipcl_future *future,
                                           struct message *message, struct ipcl_error *error)
{
    struct ipcl_member status = {.name = "status"}, msg_type = message->msg_type;
    zmq_msg_t *content_part = message_part(message, MESSAGE_CONTENT);
    char sentence[IPCL_ERROR_BYTES], uuid[ENGINE_UUID_BYTES], *at;
    struct future_outcome *outcome = NULL;
    struct texts texts = {0};
    int engine_id, kind = IPCL_FAILED;
    if (!session_find(client->io.session, content_part, &status, 1))
        kind = member_is(&status, "ok")        ? IPCL_OK
               : member_is(&status, "aborted") ? IPCL_ABORTED
                                               : IPCL_FAILED;
    json_t *content =
        kind != IPCL_OK ? session_unpack(client->io.session, content_part, NULL) : NULL;
    find_engine(client, future, message, content, uuid, &engine_id);
    outcome_describe(sentence, sizeof(sentence), kind, content, engine_id);
    json_decref(content);
    if (!add_text(client, &texts, 0, message_part(message, MESSAGE_HEADER), error) &&
        !add_text(client, &texts, 1, message_part(message, MESSAGE_METADATA), error) &&
        !add_text(client, &texts, 2, content_part, error)) {
        size_t bytes = texts.size[0] + texts.size[1] + texts.size[2] + msg_type.size +
                       strlen(uuid) + strlen(sentence) + 6;
        outcome = parcel_create(sizeof(*outcome), message, bytes,
                                offsetof(struct future_outcome, parcel), &at, error);
    }
    if (outcome) {
        struct ipcl_result *result = &outcome->result;
        result->status = kind;
        result->header = put_text(&at, texts.start[0], texts.size[0]);
        result->metadata = put_text(&at, texts.start[1], texts.size[1]);
        result->content = put_text(&at, texts.start[2], texts.size[2]);
        result->msg_type = put_text(&at, msg_type.data, msg_type.size);
        result->engine_uuid = put_text(&at, uuid, strlen(uuid));
        result->error = put_text(&at, sentence, strlen(sentence));
        result->buffers = outcome->parcel.buffers;
        result->buffer_count = outcome->parcel.buffer_count;
        result->engine_id = engine_id;
        result->submitted = future->submitted;
        result->received = clock_wall();
    }
    texts_free(&texts);
    return outcome;
}

/* The future of ours that a message is a child of, or NULL. */
static struct ipcl_future *find_parent(struct ipcl_client *client, struct message *message)
{
    struct ipcl_member parent = {.name = "msg_id"};
    if (session_find(client->io.session, message_part(message, MESSAGE_PARENT), &parent, 1) ||
        parent.state != IPCL_MEMBER_TEXT)
        return NULL;
    return await_find(client, parent.data, parent.size);
}

/* Our engines say in their replies how many messages of output there were; ipyparallel's publish
 * that they are idle. */
static void note_published(struct ipcl_client *client, struct ipcl_future *future,
                           struct message *message)
{
    struct ipcl_member published = {.name = "published"};
    if (session_find(client->io.session, message_part(message, MESSAGE_METADATA), &published, 1) ||
        published.state != IPCL_MEMBER_OTHER)
        return;
    json_t *count =
        session_serial(client->io.session)->unpack(published.data, published.size, NULL);
    if (json_is_integer(count))
        await_output_expect(&client->io, future, json_integer_value(count));
    json_decref(count);
}

static void resolve(struct ipcl_client *client, struct ipcl_future *future, struct message *message)
{
    struct ipcl_error error;
    struct future_outcome *outcome = make_outcome(client, future, message, &error);
    if (!outcome) {
        char text[IPCL_ERROR_BYTES + 32];
        snprintf(text, sizeof(text), "the reply cannot be read: %s", error.text);
        outcome = outcome_create_failed(future, "ClusterError", text);
    }
    await_resolve(&client->io, future, outcome);
}

struct refusal_of_all {
    struct ipcl_client *client;
    struct message *message;
};

static void resolve_part(void *context, struct ipcl_future *part)
{
    const struct refusal_of_all *refusal = context;
    resolve(refusal->client, part, refusal->message);
}

/* A broadcast that the controller did not take: the reply is each part's. */
static void handle_refusal(struct ipcl_client *client, struct message *message)
{
    struct refusal_of_all refusal = {client, message};
    struct ipcl_member parent = {.name = "msg_id"};
    if (session_find(client->io.session, message_part(message, MESSAGE_PARENT), &parent, 1) ||
        parent.state != IPCL_MEMBER_TEXT)
        return;
    struct client_broadcast *broadcast = await_find_broadcast(client, parent.data, parent.size);
    if (broadcast)
        await_each_part(&client->io, broadcast, resolve_part, &refusal);
}

/* Whether a reply comes through the socket of its request, and from the engine that the request was
 * for: any engine of the cluster can send this client anything, under its own name. */
static bool is_answer(const struct ipcl_future *future, enum client_socket index,
                      struct message *message)
{
    static const enum client_socket sockets[] = {
        [IPCL_CHANNEL_DIRECT] = SOCKET_DIRECT,       [IPCL_CHANNEL_TASK] = SOCKET_TASK,
        [IPCL_CHANNEL_CONTROL] = SOCKET_CONTROL,     [IPCL_CHANNEL_HUB] = SOCKET_QUERY,
        [IPCL_CHANNEL_BROADCAST] = SOCKET_BROADCAST,
    };
    bool names_sender =
        message_identities(message) && (index == SOCKET_DIRECT || index == SOCKET_CONTROL);
    zmq_msg_t *sender = message_peer(message);
    size_t size = strlen(future->engine_uuid);
    return sockets[future->channel] == index &&
           (!names_sender || (zmq_msg_size(sender) == size &&
                              !memcmp(zmq_msg_data(sender), future->engine_uuid, size)));
}

/* Whether the controller, and no engine, refuses a task that was on its way to the previous one,
 * and the task is kept: then it is lost like those that the previous one had, and is sent again
 * with them. */
static bool waits_for_restart(const struct ipcl_client *client, const struct ipcl_future *future,
                              struct message *message)
{
    const struct session *session = client->io.session;
    struct ipcl_member status = {.name = "status"}, stale = {.name = SESSION_STALE_MEMBER},
                       engine = {.name = "engine"};
    zmq_msg_t *content = message_part(message, MESSAGE_CONTENT);
    return future->kept && !session_find(session, content, &status, 1) &&
           member_is(&status, "error") && !session_find(session, content, &stale, 1) &&
           stale.state == IPCL_MEMBER_OTHER &&
           !session_find(session, message_part(message, MESSAGE_METADATA), &engine, 1) &&
           engine.state != IPCL_MEMBER_TEXT;
}

static void handle_reply(struct ipcl_client *client, enum client_socket index,
                         struct message *message)
{
    if (!sockets_verify(client, index, message) || restart_receive(client, message))
        return;
    bool whole = !segment_link_unpack(&client->io.segments, message);
    struct ipcl_future *future = find_parent(client, message);
    if (!future) {
        handle_refusal(client, message);
        return;
    }
    if (ipcl_future_ready(future))
        return; /* too late */
    if (!is_answer(future, index, message)) {
        sockets_refuse(client, "it answers a request that its sender did not receive");
        return;
    }
    if (waits_for_restart(client, future, message))
        return;
    note_published(client, future, message);
    if (whole)
        resolve(client, future, message);
    else
        await_resolve(&client->io, future,
                      outcome_create_failed(future, "ConnectionError",
                                            "the result's data were lost on the way, or memory is "
                                            "short"));
}

static struct future_output *make_output(struct ipcl_client *client, struct message *message,
                                         const struct ipcl_member *msg_type)
{
    struct texts texts = {0};
    struct future_output *output = NULL;
    char *at;
    struct ipcl_error error;
    if (!add_text(client, &texts, 0, message_part(message, MESSAGE_METADATA), &error) &&
        !add_text(client, &texts, 1, message_part(message, MESSAGE_CONTENT), &error))
        output = parcel_create(sizeof(*output), message,
                               texts.size[0] + texts.size[1] + msg_type->size + 3,
                               offsetof(struct future_output, parcel), &at, &error);
    if (output) {
        output->public.metadata = put_text(&at, texts.start[0], texts.size[0]);
        output->public.content = put_text(&at, texts.start[1], texts.size[1]);
        output->public.msg_type = put_text(&at, msg_type->data, msg_type->size);
        output->public.buffers = output->parcel.buffers;
        output->public.buffer_count = output->parcel.buffer_count;
    } else {
        log_limited(&client->io.refusal_limit, IPCL_LOG_WARN, "output of an engine was dropped: %s",
                    error.text);
    }
    texts_free(&texts);
    return output;
}

static void emit_output(struct ipcl_client *client, const struct ipcl_future *future,
                        const struct future_output *output)
{
    const struct ipcl_output *public = &output->public;
    struct ipcl_event event = {.kind = IPCL_EVENT_OUTPUT,
                               .msg_type = public->msg_type,
                               .parent_id = ipcl_future_id(future),
                               .content = public->content,
                               .metadata = public->metadata,
                               .buffers = public->buffers,
                               .buffer_count = public->buffer_count,
                               .engine_id = future->engine_id,
                               .engine_uuid = future->engine_uuid};
    client_emit(client, &event);
}

/* The engine that has a request, or had it; "": that is not known as long as the load balancer has
 * not answered. */
static const char *holder_of(const struct ipcl_future *future)
{
    return !*future->engine_uuid && future->outcome ? future->outcome->result.engine_uuid
                                                    : future->engine_uuid;
}

/* Whether output comes from the engine that has the request. Its metadata names the engine that has
 * published it; ipyparallel's engines do not say it there, and then its topic does. The controller
 * has checked both. */
static bool is_output_of(struct ipcl_client *client, const struct ipcl_future *future,
                         struct message *message)
{
    struct ipcl_member engine = {.name = "engine"};
    const char *holder = holder_of(future);
    char topic[32];
    if (!*holder)
        return true;
    if (session_find(client->io.session, message_part(message, MESSAGE_METADATA), &engine, 1))
        return false;
    if (engine.state != IPCL_MEMBER_ABSENT)
        return member_is(&engine, holder);
    int size = snprintf(topic, sizeof(topic), "engine.%d.", engines_id(&client->io, holder));
    return zmq_msg_size(message_topic(message)) > (size_t)size &&
           !memcmp(zmq_msg_data(message_topic(message)), topic, (size_t)size);
}

/* Output of requests of other clients comes too, and is not looked at further. */
static void handle_iopub(struct ipcl_client *client, struct message *message)
{
    struct ipcl_future *future = find_parent(client, message);
    struct ipcl_member state = {.name = "execution_state"};
    if (!future || !sockets_verify(client, SOCKET_IOPUB, message))
        return;
    if (!is_output_of(client, future, message)) {
        sockets_refuse(client, "it is output for a request that its engine did not receive");
        return;
    }
    if (member_is(&message->msg_type, "status")) {
        if (!session_find(client->io.session, message_part(message, MESSAGE_CONTENT), &state, 1) &&
            member_is(&state, "idle"))
            await_output_complete(&client->io, future);
        return;
    }
    if (trace_is_on())
        trace_note(TRACE_OUTPUT,
                   &(struct trace_subject){message->msg_id.data, message->msg_id.size,
                                           ipcl_future_id(future), strlen(ipcl_future_id(future)),
                                           future->engine_id, 0});
    struct future_output *output = make_output(client, message, &message->msg_type);
    if (output) {
        emit_output(client, future, output);
        future_add_output(future, output);
        await_output_added(&client->io, future);
    }
}

void receive_message(void *self, struct message *message)
{
    const struct client_way *way = self;
    if (way->index == SOCKET_IOPUB)
        handle_iopub(way->client, message);
    else if (way->index == SOCKET_NOTIFICATION)
        engines_take_notification(way->client, message);
    else
        handle_reply(way->client, way->index, message);
}
