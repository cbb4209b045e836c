/* Which engines there are, as the hub says, and how requests to dead engines end. I/O thread. */
#include "client/engines_private.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "client/await_private.h"
#include "client/send_private.h"
#include "client/sockets_private.h"
#include "wire/published.h"

/* How many engines are remembered with those that have gone: late replies name them. */
#define KNOWN_MAX 16384

/* The id of an engine that was announced, or -1. */
int engines_id(const struct client_io *io, const char *uuid)
{
    struct known_engine *engine;
    HASH_FIND_STR(io->engines, uuid, engine);
    return engine ? engine->id : -1;
}

/* Returns false if the engine was known: the hub repeats to a new subscriber which engines came
 * lately. */
static bool note_engine(struct ipcl_client *client, int id, const char *uuid, const json_t *info)
{
    struct client_io *io = &client->io;
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

/* Returns false if the engine was not known to be there. The hub reports the end of a previous
 * controller's engine twice, in its answer and in a notification, and also to clients that never
 * knew the engine. */
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

void engines_take_notification(struct ipcl_client *client, struct message *message)
{
    if (!sockets_verify(client, SOCKET_NOTIFICATION, message))
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

static void take_life(struct ipcl_client *client, const json_t *content)
{
    unsigned char life[SEAL_LIFE_BYTES];
    if (client->connection.sealed) {
        if (seal_read_life(json_string_value(json_object_get(content, "life")), life))
            return;
        if (memcmp(life, client->io.life, sizeof(life)) != 0) {
            json_int_t notified = json_integer_value(json_object_get(content, "notified"));
            published_begin(&client->io.seals[SOCKET_NOTIFICATION], (uint64_t)notified);
            published_begin(&client->io.seals[SOCKET_IOPUB], 0);
            memcpy(client->io.life, life, sizeof(life));
            sockets_open_segments(client);
        }
    }
    client->io.held = false;
    send_submitted(client);
}

int engines_take_first(struct ipcl_client *client, struct message *message,
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
    take_life(client, content);
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

/* Handles engines that the hub does not have. It says how engines of the previous controller have
 * ended, or that they may still come back. An engine that it does not know has gone when the time
 * to come back is over. */
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

void engines_take(struct ipcl_client *client, struct message *message, bool complete)
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
    take_life(client, content); /* last: what is submitted goes to the engines that are there */
    json_decref(content);
}

void engines_tick(struct ipcl_client *client)
{
    struct client_io *io = &client->io;
    struct known_engine *engine, *next;
    long long now = clock_ms();
    if (!io->next_failure_ms || now < io->next_failure_ms)
        return;
    sockets_drain(client);
    io->next_failure_ms = 0;
    HASH_ITER (hh, io->engines, engine, next) {
        char text[IPCL_ERROR_BYTES];
        if (engine->fail_at_ms < 0 && HASH_COUNT(io->engines) > KNOWN_MAX) {
            HASH_DEL(io->engines, engine); /* the oldest come first */
            free(engine->end);
            free(engine);
            continue;
        }
        if (engine->fail_at_ms <= 0)
            continue;
        if (engine->fail_at_ms > now) {
            if (!io->next_failure_ms || engine->fail_at_ms < io->next_failure_ms)
                io->next_failure_ms = engine->fail_at_ms;
            continue;
        }
        engine->fail_at_ms = -1;
        snprintf(text, sizeof(text), "engine %d died before it had answered", engine->id);
        await_fail_engine(io, engine->uuid, engine->end ? engine->end : text);
    }
}

void engines_release(struct client_io *io)
{
    struct known_engine *engine, *next;
    HASH_ITER (hh, io->engines, engine, next) {
        HASH_DEL(io->engines, engine);
        free(engine->end);
        free(engine);
    }
}
