/* Receiving: the I/O thread verifies each message and hands it to the future, the engine list or
 * the program's event function. */
#include "client/client.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/trace.h"
#include "wire/published.h"

/* How many messages to take from a socket before the others have their turn. */
#define RECEIVE_MAX 256

static void refuse(struct ipcl_client *client, const char *reason)
{
    atomic_fetch_add(&client->refused, 1);
    log_limited(&client->io.refusal_limit, IPCL_LOG_WARN,
                "a message from the controller was dropped: %s", reason);
    struct ipcl_event event = {.kind = IPCL_EVENT_REFUSED,
                               .msg_type = "",
                               .parent_id = "",
                               .content = reason,
                               .metadata = "{}",
                               .engine_id = -1,
                               .engine_uuid = ""};
    client_emit(client, &event);
}

bool receive_verify(struct ipcl_client *client, enum client_socket index, struct message *message)
{
    struct seal *seal = &client->io.seals[index];
    bool published = index == SOCKET_NOTIFICATION || index == SOCKET_IOPUB;
    enum session_verdict verdict =
        published ? published_verify(seal, message)
                  : seal_verify(seal, message, client->session_id, SESSION_ID_LENGTH);
    /* A controller that has just taken another's place has not said yet that it has. */
    bool early = published && verdict == SESSION_STALE &&
                 (client->io.lost_since_ms || *client->io.restart.asked_engines);
    if (verdict != SESSION_ACCEPTED && !early)
        refuse(client, session_verdict_text(verdict));
    return verdict == SESSION_ACCEPTED;
}

/* Texts of a message, one behind the other, each with a NUL. */
struct texts {
    const char *start[4];
    size_t size[4];
    char *owned[4]; /* to free */
};

/* A part as JSON text. Returns 0, or -1 with `error` set where it is not well-formed. */
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

/* Room for `head` bytes, the message's buffers, which are moved there, and `text_bytes`. */
static void *parcel_create(size_t head, struct message *message, size_t text_bytes,
                           size_t parcel_offset, char **text_at)
{
    size_t count = message_buffer_count(message);
    char *block =
        malloc(head + count * (sizeof(zmq_msg_t) + sizeof(struct ipcl_buffer)) + text_bytes);
    if (!block)
        return NULL;
    memset(block, 0, head);
    struct parcel *parcel = (struct parcel *)(block + parcel_offset);
    parcel->frames = (zmq_msg_t *)(block + head);
    parcel->buffers = (struct ipcl_buffer *)(parcel->frames + count);
    parcel->buffer_count = count;
    for (size_t i = 0; i < count; i++) {
        zmq_msg_init(&parcel->frames[i]);
        zmq_msg_move(&parcel->frames[i], message_buffer(message, i));
        parcel->buffers[i] = (struct ipcl_buffer){.data = zmq_msg_data(&parcel->frames[i]),
                                                  .size = zmq_msg_size(&parcel->frames[i])};
    }
    *text_at = (char *)(parcel->buffers + count);
    return block;
}

/* The id of an engine that was announced, or -1. */
static int engine_id_of(const struct io *io, const char *uuid)
{
    struct known_engine *engine;
    HASH_FIND_STR(io->engines, uuid, engine);
    return engine ? engine->id : -1;
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
        *id = engine_id_of(&client->io, uuid);
    json_t *told_id = json_object_get(info, "engine_id");
    if (*id < 0 && json_is_integer(told_id)) /* an engine of ipyparallel's may say -1 of itself */
        *id = (int)json_integer_value(told_id);
}

void receive_describe(char *sentence, size_t size, int status, const json_t *content, int engine_id)
{
    char where[32] = "";
    const char *ename = json_string_value(json_object_get(content, "ename"));
    const char *evalue = json_string_value(json_object_get(content, "evalue"));
    *sentence = '\0';
    if (engine_id >= 0)
        snprintf(where, sizeof(where), "engine %d: ", engine_id);
    if (status == IPCL_ABORTED)
        snprintf(sentence, size, "%sthe request was aborted before it ran%s%s", where,
                 evalue ? ": " : "", evalue ? evalue : "");
    else if (status == IPCL_FAILED)
        snprintf(sentence, size, "%s%s: %s", where, ename ? ename : "error",
                 evalue ? evalue : "(no more was said)");
}

/* NULL with `error` set. */
static struct outcome *make_outcome(struct ipcl_client *client, const struct ipcl_future *future,
                                    struct message *message, struct ipcl_error *error)
{
    struct ipcl_member status = {.name = "status"}, msg_type = message->msg_type;
    zmq_msg_t *content_part = message_part(message, MESSAGE_CONTENT);
    char sentence[IPCL_ERROR_BYTES], uuid[ENGINE_UUID_BYTES], *at;
    struct outcome *outcome = NULL;
    struct texts texts = {0};
    int engine_id, kind = IPCL_FAILED;
    if (!session_find(client->io.session, content_part, &status, 1))
        kind = member_is(&status, "ok")        ? IPCL_OK
               : member_is(&status, "aborted") ? IPCL_ABORTED
                                               : IPCL_FAILED;
    json_t *content =
        kind != IPCL_OK ? session_unpack(client->io.session, content_part, NULL) : NULL;
    find_engine(client, future, message, content, uuid, &engine_id);
    receive_describe(sentence, sizeof(sentence), kind, content, engine_id);
    json_decref(content);
    ipcl_error_set(error, "memory is short");
    if (!add_text(client, &texts, 0, message_part(message, MESSAGE_HEADER), error) &&
        !add_text(client, &texts, 1, message_part(message, MESSAGE_METADATA), error) &&
        !add_text(client, &texts, 2, content_part, error)) {
        size_t bytes = texts.size[0] + texts.size[1] + texts.size[2] + msg_type.size +
                       strlen(uuid) + strlen(sentence) + 6;
        outcome =
            parcel_create(sizeof(*outcome), message, bytes, offsetof(struct outcome, parcel), &at);
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
    struct outcome *outcome = make_outcome(client, future, message, &error);
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
    struct broadcast *broadcast = await_find_broadcast(client, parent.data, parent.size);
    if (broadcast)
        await_each_part(&client->io, broadcast, resolve_part, &refusal);
}

/* Whether a reply comes by the way that its request went, and from the engine that the request was
 * for: whoever is an engine of the cluster can send this client what he likes, under his own
 * name. */
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

static void handle_reply(struct ipcl_client *client, enum client_socket index,
                         struct message *message)
{
    if (!receive_verify(client, index, message) || restart_receive(client, message))
        return;
    struct ipcl_future *future = find_parent(client, message);
    if (!future) {
        handle_refusal(client, message);
        return;
    }
    if (ipcl_future_ready(future))
        return; /* too late */
    if (!is_answer(future, index, message)) {
        refuse(client, "it answers a request that its sender does not have");
        return;
    }
    note_published(client, future, message);
    resolve(client, future, message);
}

static struct output *make_output(struct ipcl_client *client, struct message *message,
                                  const struct ipcl_member *msg_type)
{
    struct texts texts = {0};
    struct output *output = NULL;
    char *at;
    struct ipcl_error error = {"memory is short"};
    if (!add_text(client, &texts, 0, message_part(message, MESSAGE_METADATA), &error) &&
        !add_text(client, &texts, 1, message_part(message, MESSAGE_CONTENT), &error))
        output = parcel_create(sizeof(*output), message,
                               texts.size[0] + texts.size[1] + msg_type->size + 3,
                               offsetof(struct output, parcel), &at);
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
                        const struct output *output)
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

/* Whether output comes from the engine that has the request: its metadata says who has published
 * it, or where these are another's programs that do not say it, its topic. The controller has
 * checked both. */
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
    int size = snprintf(topic, sizeof(topic), "engine.%d.", engine_id_of(&client->io, holder));
    return zmq_msg_size(message_topic(message)) > (size_t)size &&
           !memcmp(zmq_msg_data(message_topic(message)), topic, (size_t)size);
}

/* Output of requests of other clients comes too, and is not looked at further. */
static void handle_iopub(struct ipcl_client *client, struct message *message)
{
    struct ipcl_future *future = find_parent(client, message);
    struct ipcl_member state = {.name = "execution_state"};
    if (!future || !receive_verify(client, SOCKET_IOPUB, message))
        return;
    if (!is_output_of(client, future, message)) {
        refuse(client, "it is output for a request that its engine does not have");
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
    struct output *output = make_output(client, message, &message->msg_type);
    if (output) {
        emit_output(client, future, output);
        future_add_output(future, output);
        await_output_added(&client->io, future);
    }
}

/* Returns false where it was known to be there: the hub tells a new subscriber of engines that came
 * lately, once more. */
static bool note_engine(struct ipcl_client *client, int id, const char *uuid, const json_t *info)
{
    struct io *io = &client->io;
    struct known_engine *engine;
    HASH_FIND_STR(io->engines, uuid, engine);
    bool is_new = !engine || engine->fail_at_ms;
    if (!engine) {
        engine = calloc(1, sizeof(*engine));
        if (!engine)
            return false;
        strcpy(engine->uuid, uuid);
        HASH_ADD_STR(io->engines, uuid, engine);
    }
    engine->id = id;
    engine->fail_at_ms = 0;
    client_add_engine(client, id, uuid, info ? json_dumps(info, JSON_COMPACT) : NULL);
    return is_new;
}

/* Returns false where it was not known to be there: the hub tells of an engine of the previous
 * controller in its answer and in a notification, and to clients which never knew it. */
static bool note_death(struct ipcl_client *client, int id, const char *uuid, const char *end)
{
    struct known_engine *engine;
    client_remove_engine(client, id, uuid);
    HASH_FIND_STR(client->io.engines, uuid, engine);
    if (!engine || engine->fail_at_ms)
        return false;
    engine->fail_at_ms = clock_ms() + LAST_REPLIES_MS;
    free(engine->end);
    engine->end = end ? strdup(end) : NULL;
    if (!client->io.next_failure_ms)
        client->io.next_failure_ms = engine->fail_at_ms;
    return true;
}

static void handle_notification(struct ipcl_client *client, struct message *message)
{
    if (!receive_verify(client, SOCKET_NOTIFICATION, message))
        return;
    json_t *content =
        session_unpack(client->io.session, message_part(message, MESSAGE_CONTENT), NULL);
    const char *uuid = json_string_value(json_object_get(content, "uuid"));
    json_int_t id = json_integer_value(json_object_get(content, "id"));
    struct ipcl_event event = {.msg_type = "",
                               .parent_id = "",
                               .content = "",
                               .metadata = "{}",
                               .engine_id = (int)id,
                               .engine_uuid = uuid ? uuid : ""};
    bool named = uuid && *uuid && strlen(uuid) < ENGINE_UUID_BYTES && id >= 0 && id <= INT32_MAX;
    if (named && member_is(&message->msg_type, "registration_notification")) {
        event.kind = IPCL_EVENT_ENGINE_ADDED;
        if (note_engine(client, (int)id, uuid, json_object_get(content, "info")))
            client_emit(client, &event);
    } else if (named && member_is(&message->msg_type, "unregistration_notification")) {
        event.kind = IPCL_EVENT_ENGINE_REMOVED;
        if (note_death(client, (int)id, uuid,
                       json_string_value(json_object_get(content, "reason"))))
            client_emit(client, &event);
    } else if (member_is(&message->msg_type, "shutdown_notification")) {
        event.kind = IPCL_EVENT_SHUTDOWN;
        event.engine_id = -1;
        client_emit(client, &event);
    }
    json_decref(content);
}

void receive_life(struct ipcl_client *client, const json_t *content)
{
    unsigned char life[SEAL_LIFE_BYTES];
    if (client->connection.sealed) {
        if (seal_read_life(json_string_value(json_object_get(content, "life")), life))
            return;
        if (memcmp(life, client->io.life, sizeof(life)) != 0) {
            json_int_t notified = json_integer_value(json_object_get(content, "notified"));
            published_begin(&client->io.seals[SOCKET_NOTIFICATION], (uint64_t)notified);
            published_begin(&client->io.seals[SOCKET_IOPUB], 0);
        }
        memcpy(client->io.life, life, sizeof(life));
    }
    client->io.held = false;
    submit_flush(client);
}

int receive_connection_reply(struct ipcl_client *client, struct message *message,
                             struct ipcl_error *error)
{
    json_t *content =
        session_unpack(client->io.session, message_part(message, MESSAGE_CONTENT), error);
    const char *status = json_string_value(json_object_get(content, "status")), *id;
    const json_t *infos = json_object_get(content, "engine_info");
    json_t *uuid;
    int result = 0;
    if (!content)
        return -1;
    restart_note_hub(client, message);
    receive_life(client, content);
    if (!status || strcmp(status, "ok")) {
        const char *evalue = json_string_value(json_object_get(content, "evalue"));
        result = ipcl_error_set(error, "the controller of %s refused this client: %s", client->path,
                                evalue ? evalue : "it gave no reason");
    }
    json_object_foreach (json_object_get(content, "engines"), id, uuid) {
        const char *text = json_string_value(uuid);
        if (!result && text && *text && strlen(text) < ENGINE_UUID_BYTES)
            note_engine(client, atoi(id), text, json_object_get(infos, id));
    }
    json_decref(content);
    return result;
}

/* Those that the hub does not have. It says how engines of the previous controller have ended, or
 * that they may yet come back; where it knows nothing of one, that is gone once all have had time
 * to. */
static void forget_others(struct ipcl_client *client, const json_t *engines, const json_t *previous,
                          bool complete)
{
    struct known_engine *engine, *next;
    char id[16];
    HASH_ITER (hh, client->io.engines, engine, next) {
        snprintf(id, sizeof(id), "%d", engine->id);
        const char *uuid = json_string_value(json_object_get(engines, id));
        const json_t *end = json_object_get(previous, engine->uuid);
        bool gone = end ? json_is_string(end) : complete;
        if (engine->fail_at_ms || !gone || (uuid && !strcmp(uuid, engine->uuid)))
            continue;
        struct ipcl_event event = {.kind = IPCL_EVENT_ENGINE_REMOVED,
                                   .msg_type = "",
                                   .parent_id = "",
                                   .content = "",
                                   .metadata = "{}",
                                   .engine_id = engine->id,
                                   .engine_uuid = engine->uuid};
        note_death(client, engine->id, engine->uuid, json_string_value(end));
        client_emit(client, &event);
    }
}

void receive_engines(struct ipcl_client *client, struct message *message, bool complete)
{
    json_t *content =
        session_unpack(client->io.session, message_part(message, MESSAGE_CONTENT), NULL);
    json_t *engines = json_object_get(content, "engines"),
           *infos = json_object_get(content, "engine_info"), *value;
    const char *id;
    json_object_foreach (engines, id, value) {
        const char *uuid = json_string_value(value);
        struct ipcl_event event = {.kind = IPCL_EVENT_ENGINE_ADDED,
                                   .msg_type = "",
                                   .parent_id = "",
                                   .content = "",
                                   .metadata = "{}",
                                   .engine_id = atoi(id),
                                   .engine_uuid = uuid};
        if (uuid && *uuid && strlen(uuid) < ENGINE_UUID_BYTES &&
            note_engine(client, atoi(id), uuid, json_object_get(infos, id)))
            client_emit(client, &event);
    }
    if (json_is_object(engines))
        forget_others(client, engines, json_object_get(content, "previous"), complete);
    receive_life(client, content); /* last: what is submitted goes to the engines that are there */
    json_decref(content);
}

void receive_everything(struct ipcl_client *client)
{
    for (int index = 0; index < SOCKET_COUNT; index++)
        while (!receive_all(client, index))
            ;
}

bool receive_all(struct ipcl_client *client, enum client_socket index)
{
    struct message message;
    bool empty = false;
    message_init(&message);
    for (int count = 0; !empty && count < RECEIVE_MAX; count++) {
        trace_arrived();
        if (message_recv(&message, client->io.sockets[index], ZMQ_DONTWAIT))
            empty = errno != EMSGSIZE && errno != ENOMEM;
        else if (index == SOCKET_IOPUB)
            handle_iopub(client, &message);
        else if (index == SOCKET_NOTIFICATION)
            handle_notification(client, &message);
        else
            handle_reply(client, index, &message);
    }
    message_close(&message);
    return empty;
}
