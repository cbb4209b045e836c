/* The file of the hub's engines. The hub's thread. */
#include "controller/engine_table.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/path.h"
#include "wire/loop.h"

/* A thousand engines that arrive together are a few writes, not a thousand. */
#define DELAY_MS       250
#define FILE_BYTES_MAX (256 * 1024 * 1024)

void engine_table_changed(struct engine_table *table, long long now_ms)
{
    if (*table->path && !table->due_ms)
        table->due_ms = now_ms + DELAY_MS;
}

static char *to_text(const struct engines *engines)
{
    json_t *ids = json_object(), *infos = json_object();
    char id[16];
    for (struct engine *engine = engines->by_id; engine; engine = engine->hh_id.next) {
        if (!engine->registered && !engine->restored)
            continue;
        snprintf(id, sizeof(id), "%d", engine->id);
        json_object_set_new(ids, id, json_string(engine->uuid));
        json_object_set(infos, id, engine->info);
    }
    json_t *table = json_pack("{s:o s:i s:o}", "engines", ids, "next_id", engines->next_id,
                              "engine_info", infos);
    char *text = table ? json_dumps(table, JSON_COMPACT) : NULL;
    json_decref(table);
    return text;
}

static void write_table(struct engine_table *table, const struct engines *engines)
{
    struct ipcl_error error = {"out of memory"};
    char *text = to_text(engines);
    if (!text || path_write_file(table->path, text, strlen(text), 0600, &error))
        log_warn("hub: the table of engines is not kept: %s", error.text);
    free(text);
    table->due_ms = 0;
}

long long engine_table_tick(struct engine_table *table, const struct engines *engines,
                            long long now_ms)
{
    if (table->due_ms && now_ms >= table->due_ms)
        write_table(table, engines);
    return table->due_ms ? table->due_ms : LOOP_NEVER;
}

void engine_table_finish(struct engine_table *table, const struct engines *engines)
{
    if (table->due_ms)
        write_table(table, engines);
}

static int enter(json_t *root, struct engines *engines, long long expires_ms,
                 struct ipcl_error *error)
{
    json_t *next_id = json_object_get(root, "next_id"), *uuid;
    const json_t *infos = json_object_get(root, "engine_info");
    const char *id;
    int count = 0;
    json_object_foreach (json_object_get(root, "engines"), id, uuid) {
        char *end;
        long long number = strtoll(id, &end, 10);
        if (*end || end == id || number < 0 || !json_is_string(uuid))
            return ipcl_error_set(error, "it does not map ids to uuids");
        struct engine *engine =
            engines_accept(engines, json_string_value(uuid), number, expires_ms, error);
        if (!engine || engines_describe(engine, json_object_get(infos, id), error))
            return -1;
        engine->restored = true;
        count++;
    }
    json_int_t next = json_integer_value(next_id);
    if (next > engines->next_id && next <= ENGINE_ID_MAX)
        engines->next_id = (int)next;
    return count;
}

int engine_table_load(const struct engine_table *table, struct engines *engines,
                      long long expires_ms, struct ipcl_error *error)
{
    size_t size;
    json_error_t where;
    if (!path_exists(table->path))
        return 0;
    char *text = path_read_file(table->path, FILE_BYTES_MAX, &size, error);
    if (!text)
        return -1;
    json_t *root = json_loadb(text, size, JSON_REJECT_DUPLICATES, &where);
    free(text);
    int count = -1;
    if (json_is_object(json_object_get(root, "engines")))
        count = enter(root, engines, expires_ms, error);
    else
        ipcl_error_set(error, "%s", root ? "it has no engines" : where.text);
    if (count < 0)
        engines_release(engines);
    json_decref(root);
    return count;
}
