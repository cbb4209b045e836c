/* The file of the hub's engines. The hub's thread. */
#include "controller/hub/engine_table.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/path.h"
#include "wire/loop.h"

/* How far the file may be behind: not at all where there are few engines, as what one answers while
 * the controller is away counts only where the next one knows it; and so much that a thousand that
 * arrive together are a few writes. */
#define ENGINES_FOR_ONE_MS 4
#define FILE_BYTES_MAX     (256 * 1024 * 1024)

void engine_table_changed(struct engine_table *table, const struct engines *engines,
                          long long now_ms)
{
    long long next_ms = table->written_ms + HASH_CNT(hh_id, engines->by_id) / ENGINES_FOR_ONE_MS;
    if (*table->path && !table->due_ms)
        table->due_ms = next_ms > now_ms ? next_ms : now_ms;
}

static char *to_text(const struct engines *engines)
{
    json_t *ids = json_object(), *infos = json_object(), *routes = json_object(),
           *sealed = json_object(), *watched = json_object();
    char id[16];
    for (struct hub_engine *engine = engines->by_id; engine; engine = engine->hh_id.next) {
        if (!engine->registered && !engine->restored)
            continue;
        snprintf(id, sizeof(id), "%d", engine->id);
        json_object_set_new(ids, id, json_string(engine->uuid));
        json_object_set(infos, id, engine->info);
        json_object_set_new(sealed, id, json_boolean(engine->sealed));
        json_object_set_new(watched, id, json_boolean(engine->watched));
        if (*engine->route)
            json_object_set_new(routes, engine->uuid, json_string(engine->route));
    }
    json_t *table =
        json_pack("{s:o s:i s:o s:o s:o s:o}", "engines", ids, "next_id", engines->next_id,
                  "engine_info", infos, "routes", routes, "sealed", sealed, "watched", watched);
    char *text = table ? json_dumps(table, JSON_COMPACT) : NULL;
    json_decref(table);
    return text;
}

static void write_table(struct engine_table *table, const struct engines *engines)
{
    struct ipcl_error error;
    char *text = to_text(engines);
    if (text ? path_write_file(table->path, text, strlen(text), 0600, &error)
             : ipcl_error_set(&error, "out of memory"))
        log_warn("hub: the table of engines cannot be written: %s", error.text);
    free(text);
    table->due_ms = 0;
    table->written_ms = clock_ms();
}

long long engine_table_tick(struct engine_table *table, const struct engines *engines,
                            long long now_ms)
{
    if (table->due_ms && now_ms >= table->due_ms)
        write_table(table, engines);
    return clock_due(table->due_ms);
}

void engine_table_finish(struct engine_table *table, const struct engines *engines)
{
    if (table->due_ms)
        write_table(table, engines);
}

/* "": it has none. */
static const char *route_in(const json_t *root, const char *uuid)
{
    const char *route = json_string_value(json_object_get(json_object_get(root, "routes"), uuid));
    return route && strlen(route) == ENGINE_ROUTE_DIGITS ? route : "";
}

static int engine_table_enter(json_t *root, struct engines *engines, long long expires_ms,
                              struct ipcl_error *error)
{
    json_t *next_id = json_object_get(root, "next_id"), *uuid;
    const json_t *infos = json_object_get(root, "engine_info");
    const json_t *sealed = json_object_get(root, "sealed"),
                 *watched = json_object_get(root, "watched");
    const char *id;
    int count = 0;
    json_object_foreach (json_object_get(root, "engines"), id, uuid) {
        char *end;
        long long number = strtoll(id, &end, 10);
        if (*end || end == id || number < 0 || !json_is_string(uuid))
            return ipcl_error_set(error, "it does not map ids to uuids");
        struct hub_engine *engine =
            engines_accept(engines, json_string_value(uuid), number, expires_ms, error);
        if (!engine || engines_describe(engine, json_object_get(infos, id), error))
            return -1;
        strcpy(engine->route, route_in(root, engine->uuid));
        engine->restored = engine->returned = true;
        engine->sealed = json_is_true(json_object_get(sealed, id));
        engine->watched = json_is_true(json_object_get(watched, id));
        count++;
    }
    json_int_t next = json_integer_value(next_id);
    if (next > engines->next_id && next <= ENGINE_ID_MAX)
        engines->next_id = (int)next;
    return count;
}

/* The file's content; NULL if there is no file, or with `error` set, which is "" otherwise. */
static json_t *read_table(const struct engine_table *table, struct ipcl_error *error)
{
    size_t size;
    json_error_t where;
    error->text[0] = '\0';
    if (!path_exists(table->path))
        return NULL;
    char *text = path_read_file(table->path, FILE_BYTES_MAX, &size, error);
    if (!text)
        return NULL;
    json_t *root = json_loadb(text, size, JSON_REJECT_DUPLICATES, &where);
    free(text);
    if (json_is_object(json_object_get(root, "engines")))
        return root;
    ipcl_error_set(error, "%s", root ? "it has no engines" : where.text);
    json_decref(root);
    return NULL;
}

int engine_table_load(const struct engine_table *table, struct engines *engines,
                      long long expires_ms, struct ipcl_error *error)
{
    json_t *root = read_table(table, error);
    if (!root)
        return *error->text ? -1 : 0;
    int count = engine_table_enter(root, engines, expires_ms, error);
    if (count < 0)
        engines_release(engines);
    json_decref(root);
    return count;
}

int engine_table_names(const struct engine_table *table,
                       void (*each)(void *self, const struct hub_engine *engine), void *self,
                       struct ipcl_error *error)
{
    json_t *root = read_table(table, error), *uuid;
    const json_t *sealed = json_object_get(root, "sealed"),
                 *infos = json_object_get(root, "engine_info");
    const char *id;
    json_object_foreach (json_object_get(root, "engines"), id, uuid) {
        struct hub_engine engine = {.id = atoi(id)};
        struct ipcl_error unfit;
        if (!json_is_string(uuid) || json_string_length(uuid) >= ENGINE_UUID_BYTES)
            continue;
        strcpy(engine.uuid, json_string_value(uuid));
        strcpy(engine.route, route_in(root, engine.uuid));
        engine.sealed = json_is_true(json_object_get(sealed, id));
        engines_describe(&engine, json_object_get(infos, id), &unfit);
        each(self, &engine);
        json_decref(engine.info);
    }
    json_decref(root);
    return *error->text ? -1 : 0;
}
