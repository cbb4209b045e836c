/* Finding records in the SQLite store: its indexes narrow the choice, and each record that is left
 * is looked at as the memory store does. */
#include "sqlite.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "query.h"

/* One look through the records. */
struct search {
    struct store *store;
    const json_t *query;
    unsigned columns;
    bool with_output;
    bool with_buffers[2];
    /* For each record that matches. Returns whether to go on. */
    bool (*found)(struct search *search, int64_t id, struct ipcl_record *record);
    bool (*report)(void *context, const struct ipcl_record *record);
    void *context;
    int64_t *ids; /* collected to be dropped, `max` at most */
    size_t count, max;
    const int64_t *behind;
};

/* Gathers what a record printed. Returns 0 or -1. */
static int get_output(struct store *store, int64_t id, json_t *fields)
{
    char *texts[2] = {NULL, NULL};
    size_t sizes[2] = {0, 0};
    FILE *outs[2] = {open_memstream(&texts[0], &sizes[0]), open_memstream(&texts[1], &sizes[1])};
    sqlite3_stmt *statement = sqlite_with(store, GET_OUTPUT, 1, id, 0);
    int status = SQLITE_DONE;
    while (outs[0] && outs[1] && (status = sqlite3_step(statement)) == SQLITE_ROW)
        fwrite(sqlite3_column_text(statement, 1), 1, (size_t)sqlite3_column_bytes(statement, 1),
               outs[sqlite3_column_int(statement, 0) == 1]);
    sqlite3_reset(statement);
    bool failed = status != SQLITE_DONE;
    for (int i = 0; i < 2; i++) {
        failed |= !outs[i] || fclose(outs[i]);
        if (!failed)
            json_object_set_new(fields, i ? "stderr" : "stdout", json_stringn(texts[i], sizes[i]));
        free(texts[i]);
    }
    return failed ? -1 : 0;
}

static json_t *get_field(sqlite3_stmt *row, int place, int column)
{
    const char *text = (const char *)sqlite3_column_text(row, place);
    size_t size = (size_t)sqlite3_column_bytes(row, place);
    if (!text)
        return json_null();
    return column < SQL_TEXTS ? json_stringn(text, size)
                              : json_loadb(text, size, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
}

/* A row's fields: a new reference, or NULL when memory is short or the file is damaged. */
static json_t *get_fields(struct search *search, sqlite3_stmt *row)
{
    json_t *fields = json_object();
    int place = 1;
    for (int i = 0; i < SQL_COLUMNS; i++)
        if (search->columns & 1u << i)
            json_object_set_new(fields, sql_columns[i], get_field(row, place++, i));
    if (search->with_output && get_output(search->store, sqlite3_column_int64(row, 0), fields)) {
        json_decref(fields);
        return NULL;
    }
    return fields;
}

/* Copies a record's buffers of one kind. Returns 0 or -1. */
static int get_buffers(struct store *store, int64_t id, int64_t result,
                       struct ipcl_buffer **buffers, size_t *count)
{
    sqlite3_stmt *statement = sqlite_with(store, GET_BUFFERS, 2, id, result);
    int status;
    while ((status = sqlite3_step(statement)) == SQLITE_ROW) {
        size_t size = (size_t)sqlite3_column_bytes(statement, 0);
        struct ipcl_buffer *grown = realloc(*buffers, (*count + 1) * sizeof(*grown));
        char *data = malloc(size + 1);
        if (grown)
            *buffers = grown;
        if (!grown || !data) {
            free(data);
            break;
        }
        if (size)
            memcpy(data, sqlite3_column_blob(statement, 0), size);
        grown[(*count)++] =
            (struct ipcl_buffer){.data = data, .size = size, .owner = data, .release = free};
    }
    sqlite3_reset(statement);
    return status == SQLITE_DONE ? 0 : -1;
}

static void release_record(struct ipcl_record *record)
{
    sqlite_release(record->buffers, record->buffer_count);
    sqlite_release(record->result_buffers, record->result_buffer_count);
    free(record->buffers);
    free(record->result_buffers);
    json_decref(record->fields);
}

/* Looks at one row. Returns 1 to go on, 0 to stop, -1 on failure. */
static int look(struct search *search, sqlite3_stmt *row)
{
    struct ipcl_record record = {.fields = get_fields(search, row)};
    int64_t id = sqlite3_column_int64(row, 0);
    int status = record.fields ? 1 : -1;
    if (status > 0 && query_matches(search->query, record.fields)) {
        if ((search->with_buffers[0] &&
             get_buffers(search->store, id, 0, &record.buffers, &record.buffer_count)) ||
            (search->with_buffers[1] && get_buffers(search->store, id, 1, &record.result_buffers,
                                                    &record.result_buffer_count)))
            status = -1;
        else
            status = search->found(search, id, &record) ? 1 : 0;
    }
    release_record(&record);
    return status;
}

/* Adds what a query asks for to what is read. */
static void add_mentioned(struct search *search)
{
    for (int i = 0; i < SQL_COLUMNS; i++)
        if (query_mentions(search->query, sql_columns[i]))
            search->columns |= 1u << i;
    if (query_mentions(search->query, "stdout") || query_mentions(search->query, "stderr"))
        search->with_output = true;
}

static int run_search(struct search *search, struct ipcl_error *error)
{
    struct store *store = search->store;
    int status = 1, step = SQLITE_DONE;
    if (query_check(search->query, error))
        return -1;
    add_mentioned(search);
    sqlite3_stmt *rows =
        sql_select(store->db, store->table, search->query, search->columns, search->behind);
    if (!rows)
        return sqlite_fail(store, error, "records cannot be read");
    while (status > 0 && (step = sqlite3_step(rows)) == SQLITE_ROW)
        status = look(search, rows);
    if (status < 0 || (status > 0 && step != SQLITE_DONE))
        status = sqlite_fail(store, error, "records cannot be read");
    sqlite3_finalize(rows);
    return status < 0 ? -1 : 0;
}

static bool hand_out(struct search *search, int64_t id, struct ipcl_record *record)
{
    (void)id;
    return search->report(search->context, record);
}

int sqlite_find(void *self, const json_t *query, const json_t *keys,
                bool (*found)(void *context, const struct ipcl_record *record), void *context,
                struct ipcl_error *error)
{
    struct search search = {
        .store = self,
        .query = query,
        .columns = keys ? 1u << SQL_MSG_ID : (1u << SQL_COLUMNS) - 1,
        .with_output = !keys,
        .found = hand_out,
        .report = found,
        .context = context,
    };
    for (size_t i = 0; i < json_array_size(keys); i++) {
        const char *key = json_string_value(json_array_get(keys, i));
        int column = key ? sql_column(key) : -1;
        if (column >= 0)
            search.columns |= 1u << column;
        else if (key && (!strcmp(key, "stdout") || !strcmp(key, "stderr")))
            search.with_output = true;
        else if (key && !strcmp(key, "buffers"))
            search.with_buffers[0] = true;
        else if (key && !strcmp(key, "result_buffers"))
            search.with_buffers[1] = true;
    }
    return run_search(&search, error);
}

static bool collect(struct search *search, int64_t id, struct ipcl_record *record)
{
    (void)record;
    if (search->count % 1024 == 0) {
        int64_t *grown = realloc(search->ids, (search->count + 1024) * sizeof(*grown));
        if (!grown)
            return false;
        search->ids = grown;
    }
    search->ids[search->count++] = id;
    return search->count < search->max;
}

int sqlite_find_ids(struct store *store, const json_t *query, int64_t behind, size_t max,
                    int64_t **ids, size_t *count, struct ipcl_error *error)
{
    struct search search = {
        .store = store, .query = query, .found = collect, .max = max, .behind = &behind};
    int status = run_search(&search, error);
    *ids = search.ids;
    *count = search.count;
    return status;
}

/* Where to begin, so that `max` of those that have ended are left. */
static int64_t first_outcome(struct store *store, size_t max)
{
    if (store->totals.records <= (int64_t)max)
        return 0;
    sqlite3_stmt *latest = sqlite_with(store, LATEST_OUTCOME, 1, (int64_t)max, 0);
    int64_t id = sqlite3_step(latest) == SQLITE_ROW ? sqlite3_column_int64(latest, 0) : 0;
    sqlite3_reset(latest);
    return id;
}

int sqlite_outcomes(void *self, int64_t *place, size_t max, size_t at_once,
                    void (*found)(void *context, const char *msg_id, const char *engine,
                                  bool success),
                    void *context, struct ipcl_error *error)
{
    struct store *store = self;
    size_t count = 0;
    int status;
    if (!*place)
        *place = first_outcome(store, max);
    sqlite3_stmt *rows = sqlite_with(store, OUTCOMES, 2, *place, (int64_t)at_once);
    while ((status = sqlite3_step(rows)) == SQLITE_ROW) {
        const char *msg_id = (const char *)sqlite3_column_text(rows, 1);
        const char *engine = (const char *)sqlite3_column_text(rows, 2);
        if (msg_id && engine)
            found(context, msg_id, engine, sqlite3_column_int(rows, 3));
        *place = sqlite3_column_int64(rows, 0);
        count++;
    }
    sqlite3_reset(rows);
    return status == SQLITE_DONE ? count == at_once
                                 : sqlite_fail(store, error, "records cannot be read");
}
