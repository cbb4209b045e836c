/* The hub's engines. */
#include "controller/hub/engines.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

/* Limits for what an engine says about itself, because every client gets it: how many members, and
 * how many bytes a text may have. */
#define INFO_MEMBERS_MAX 16
#define INFO_BYTES_MAX   256

/* A uuid stands in log lines, JSON and addresses: visible ASCII is all it may have. */
static bool uuid_valid(const char *uuid)
{
    size_t length = strlen(uuid);
    for (size_t i = 0; i < length; i++)
        if (!isgraph((unsigned char)uuid[i]))
            return false;
    return length && length < ENGINE_UUID_BYTES;
}

struct hub_engine *engines_by_id(const struct engines *engines, int id)
{
    struct hub_engine *engine;
    HASH_FIND(hh_id, engines->by_id, &id, sizeof(id), engine);
    return engine;
}

struct hub_engine *engines_by_uuid(const struct engines *engines, const char *uuid)
{
    struct hub_engine *engine;
    HASH_FIND(hh_uuid, engines->by_uuid, uuid, strlen(uuid), engine);
    return engine;
}

/* There is a free one. */
static int choose_id(struct engines *engines, long long wanted)
{
    int id = (int)wanted;
    if (wanted < 0 || engines_by_id(engines, id)) {
        while (engines->next_id > ENGINE_ID_MAX || engines_by_id(engines, engines->next_id))
            engines->next_id = engines->next_id < ENGINE_ID_MAX ? engines->next_id + 1 : 0;
        id = engines->next_id;
    }
    if (id >= engines->next_id)
        engines->next_id = id + 1;
    return id;
}

struct hub_engine *engines_accept(struct engines *engines, const char *uuid, long long wanted,
                                  long long expires_ms, struct ipcl_error *error)
{
    if (!uuid_valid(uuid)) {
        ipcl_error_set(error, "an engine's uuid must have 1 to %d visible ASCII characters",
                       ENGINE_UUID_BYTES - 1);
        return NULL;
    }
    if (wanted < -1 || wanted > ENGINE_ID_MAX) {
        ipcl_error_set(error, "an engine's id must be between 0 and %d, not %lld", ENGINE_ID_MAX,
                       wanted);
        return NULL;
    }
    struct hub_engine *engine = engines_by_uuid(engines, uuid);
    if (engine) {
        ipcl_error_set(error, "uuid '%s' is in use by engine %d", uuid, engine->id);
        return NULL;
    }
    if (HASH_CNT(hh_id, engines->by_id) > ENGINE_ID_MAX) {
        ipcl_error_set(error, "all engine ids are in use");
        return NULL;
    }
    engine = calloc(1, sizeof(*engine));
    if (!engine) {
        ipcl_error_set(error, "out of memory");
        return NULL;
    }
    engine->id = choose_id(engines, wanted);
    memcpy(engine->uuid, uuid, strlen(uuid));
    engine->expires_ms = expires_ms;
    HASH_ADD(hh_id, engines->by_id, id, sizeof(engine->id), engine);
    HASH_ADD_KEYPTR(hh_uuid, engines->by_uuid, engine->uuid, strlen(engine->uuid), engine);
    return engine;
}

static bool short_line(const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if (iscntrl((unsigned char)text[i]))
            return false;
    return length < INFO_BYTES_MAX;
}

int engines_describe(struct hub_engine *engine, json_t *info, struct ipcl_error *error)
{
    const char *name;
    json_t *value;
    if (!info)
        return 0;
    if (!json_is_object(info) || json_object_size(info) > INFO_MEMBERS_MAX)
        return ipcl_error_set(error, "it is not an object of at most %d members", INFO_MEMBERS_MAX);
    json_object_foreach (info, name, value) {
        bool text = json_is_string(value) &&
                    short_line(json_string_value(value), json_string_length(value));
        if (!short_line(name, strlen(name)) || !(text || json_is_number(value)))
            return ipcl_error_set(error,
                                  "a member is neither a number nor a line of less than %d bytes",
                                  INFO_BYTES_MAX);
    }
    json_decref(engine->info);
    engine->info = json_incref(info);
    return 0;
}

void engines_name(const struct hub_engine *engine, char name[ENGINE_NAME_BYTES])
{
    const char *host = json_string_value(json_object_get(engine->info, "host"));
    const json_t *pid = json_object_get(engine->info, "pid");
    const char *job = json_string_value(json_object_get(engine->info, "job"));
    if (host && *host && json_is_integer(pid))
        snprintf(name, ENGINE_NAME_BYTES, "engine %d (%s, process %lld%s%s)", engine->id, host,
                 (long long)json_integer_value(pid), job ? ", " : "", job ? job : "");
    else
        snprintf(name, ENGINE_NAME_BYTES, "engine %d (%s)", engine->id, engine->uuid);
}

json_t *engines_content(const struct hub_engine *engine)
{
    return json_pack("{s:i s:s s:O*}", "id", engine->id, "uuid", engine->uuid, "info",
                     engine->info);
}

void engines_confirm(struct engines *engines, struct hub_engine *engine)
{
    if (!engine->registered)
        engines->registered++;
    engine->registered = true;
}

void engines_take(struct engines *engines, struct hub_engine *engine)
{
    if (engine->registered)
        engines->registered--;
    HASH_DELETE(hh_id, engines->by_id, engine);
    HASH_DELETE(hh_uuid, engines->by_uuid, engine);
}

void engines_free(struct hub_engine *engine)
{
    json_decref(engine->info);
    free(engine->reason);
    free(engine);
}

struct hub_engine *engines_silent(const struct engines *engines, long long until_ms)
{
    for (struct hub_engine *engine = engines->by_id; engine; engine = engine->hh_id.next)
        if (engine->silent_ms && engine->silent_ms <= until_ms)
            return engine;
    return NULL;
}

struct hub_engine *engines_expired(const struct engines *engines, long long now_ms)
{
    if (engines->registered == HASH_CNT(hh_id, engines->by_id))
        return NULL;
    for (struct hub_engine *engine = engines->by_id; engine; engine = engine->hh_id.next)
        if (!engine->registered && now_ms >= engine->expires_ms)
            return engine;
    return NULL;
}

void engines_release(struct engines *engines)
{
    while (engines->by_id) {
        struct hub_engine *engine = engines->by_id;
        engines_take(engines, engine);
        engines_free(engine);
    }
}
