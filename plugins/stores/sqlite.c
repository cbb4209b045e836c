/* The store in an SQLite file: records outlive the controller. It is ipyparallel's SQLiteDB, with
 * tables of its own.
 *
 * Changes are gathered in a transaction until the controller commits. The file belongs to one
 * controller at a time (exclusive locking), so that write-ahead logging needs no shared memory and
 * works on network file systems as well. Whatever fails, the transaction is rolled back and its
 * changes are counted as lost; the next begins afresh. */
#include "sqlite.h"

#include <stdio.h>
#include <stdlib.h>

/* Roughly what a record takes in addition to its fields and buffers. */
#define RECORD_BYTES   512
#define CULLED_AT_ONCE 256
/* The file does not shrink if it has fewer free pages. */
#define FREE_PAGES_KEPT 1024

/* Runs a statement that gives nothing back, or one row that is not looked at. Returns 0 or -1. */
static int statement_run(sqlite3_stmt *statement)
{
    int status = sqlite3_step(statement);
    sqlite3_reset(statement);
    return status == SQLITE_DONE || status == SQLITE_ROW ? 0 : -1;
}

static int begin(struct store *store)
{
    if (!store->changing && statement_run(sqlite_with(store, BEGIN, 0, 0, 0)))
        return -1;
    store->changing = true;
    return 0;
}

/* Gives the transaction up: SQLite may have done so already. */
static void roll_back(struct store *store)
{
    if (!sqlite3_get_autocommit(store->db))
        statement_run(sqlite_with(store, ROLLBACK, 0, 0, 0));
    store->changing = false;
    store->lost += store->changes;
    store->changes = 0;
    store->totals = store->committed;
}

/* -- putting */

static sqlite3_stmt *upsert_for(struct store *store, unsigned columns)
{
    for (size_t i = 0; i < store->upsert_count; i++)
        if (store->upserts[i].columns == columns)
            return store->upserts[i].statement;
    sqlite3_stmt *statement = sql_upsert(store->db, store->table, columns);
    if (!statement)
        return NULL;
    if (store->upsert_count == SQLITE_UPSERTS_MAX)
        sqlite3_finalize(store->upserts[--store->upsert_count].statement);
    store->upserts[store->upsert_count++] = (struct upsert){columns, statement};
    return statement;
}

static void bind_field(sqlite3_stmt *statement, int parameter, int column, const json_t *value)
{
    if (!value || json_is_null(value)) {
        sqlite3_bind_null(statement, parameter);
    } else if (column < SQL_TEXTS) {
        if (json_is_string(value))
            sqlite3_bind_text(statement, parameter, json_string_value(value),
                              (int)json_string_length(value), SQLITE_STATIC);
        else
            sqlite3_bind_null(statement, parameter);
    } else {
        char *dump = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
        sqlite3_bind_text(statement, parameter, dump, -1, free);
    }
}

static unsigned columns_of(const json_t *fields)
{
    const char *key;
    json_t *value;
    unsigned columns = 0;
    json_object_foreach ((json_t *)fields, key, value) {
        int column = sql_column(key);
        if (column > SQL_MSG_ID)
            columns |= 1u << column;
    }
    return columns;
}

static int64_t sum(const struct ipcl_buffer *buffers, size_t count)
{
    int64_t bytes = 0;
    for (size_t i = 0; i < count; i++)
        bytes += (int64_t)buffers[i].size;
    return bytes;
}

static int64_t output_of(const json_t *fields)
{
    return (int64_t)(json_string_length(json_object_get(fields, "stdout")) +
                     json_string_length(json_object_get(fields, "stderr")));
}

/* Writes a record's row. Gives back its id, whether it is new, and how much output it had. Returns
 * 0 or -1. */
static int put_row(struct store *store, const char *msg_id, const struct ipcl_record *record,
                   int64_t *id, bool *added, int64_t *output)
{
    unsigned columns = columns_of(record->fields);
    sqlite3_stmt *statement = upsert_for(store, columns);
    int64_t bytes = (int64_t)record->field_bytes + sum(record->buffers, record->buffer_count) +
                    sum(record->result_buffers, record->result_buffer_count) +
                    output_of(record->fields);
    int parameter = 5;
    if (!statement)
        return -1;
    sqlite3_bind_int64(statement, 1, store->totals.last_id + 1);
    sqlite3_bind_int64(statement, 2, bytes + RECORD_BYTES);
    sqlite3_bind_int64(statement, 3, output_of(record->fields));
    sqlite3_bind_text(statement, 4, msg_id, -1, SQLITE_STATIC);
    for (int i = 0; i < SQL_COLUMNS; i++)
        if (columns & 1u << i)
            bind_field(statement, parameter++, i, json_object_get(record->fields, sql_columns[i]));
    int status = sqlite3_step(statement);
    if (status == SQLITE_ROW) {
        *id = sqlite3_column_int64(statement, 0);
        *output = sqlite3_column_int64(statement, 1);
        status = sqlite3_step(statement);
    }
    sqlite3_reset(statement);
    sqlite3_clear_bindings(statement);
    if (status != SQLITE_DONE)
        return -1;
    *added = *id == store->totals.last_id + 1;
    if (*added) {
        store->totals.last_id++;
        store->totals.records++;
    }
    store->totals.bytes += bytes + RECORD_BYTES;
    return 0;
}

/* Puts buffers in place of those of this kind. Returns 0 or -1. */
static int put_buffers(struct store *store, int64_t id, bool added, int64_t result,
                       const struct ipcl_buffer *buffers, size_t count)
{
    if (count && !added) {
        sqlite3_stmt *weigh = sqlite_with(store, WEIGH_BUFFERS, 2, id, result);
        int64_t before = sqlite3_step(weigh) == SQLITE_ROW ? sqlite3_column_int64(weigh, 0) : 0;
        sqlite3_reset(weigh);
        if (statement_run(sqlite_with(store, DROP_RESULT_OR_NOT, 2, id, result)) ||
            (before && statement_run(sqlite_with(store, LIGHTEN, 2, id, before))))
            return -1;
        store->totals.bytes -= before;
    }
    for (size_t i = 0; i < count; i++) {
        sqlite3_stmt *statement = sqlite_with(store, ADD_BUFFER, 2, id, result);
        sqlite3_bind_blob64(statement, 3, buffers[i].size ? buffers[i].data : "", buffers[i].size,
                            SQLITE_STATIC);
        int status = statement_run(statement);
        sqlite3_bind_null(statement, 3);
        if (status)
            return -1;
    }
    return 0;
}

static int put_output(struct store *store, int64_t id, int64_t stream, const json_t *text)
{
    if (!json_string_length(text))
        return 0;
    sqlite3_stmt *statement = sqlite_with(store, ADD_OUTPUT, 2, id, stream);
    sqlite3_bind_text(statement, 3, json_string_value(text), (int)json_string_length(text),
                      SQLITE_STATIC);
    int status = statement_run(statement);
    sqlite3_bind_null(statement, 3);
    return status;
}

static int put_all(struct store *store, const char *msg_id, const struct ipcl_record *record)
{
    int64_t id = 0, output = 0;
    bool added = false;
    return begin(store) || put_row(store, msg_id, record, &id, &added, &output) ||
                   put_buffers(store, id, added, 0, record->buffers, record->buffer_count) ||
                   put_buffers(store, id, added, 1, record->result_buffers,
                               record->result_buffer_count) ||
                   (output <= 2 * (int64_t)IPCL_STORE_STREAM_BYTES &&
                    (put_output(store, id, 0, json_object_get(record->fields, "stdout")) ||
                     put_output(store, id, 1, json_object_get(record->fields, "stderr"))))
               ? -1
               : 0;
}

/* What SQLite has no room for, whatever the disk. */
static bool too_large(struct store *store, const struct ipcl_buffer *buffers, size_t count)
{
    size_t limit = (size_t)sqlite3_limit(store->db, SQLITE_LIMIT_LENGTH, -1);
    for (size_t i = 0; i < count; i++)
        if (buffers[i].size > limit)
            return true;
    return false;
}

static int put(void *self, const char *msg_id, const struct ipcl_record *record,
               struct ipcl_error *error)
{
    struct store *store = self;
    int status = 0;
    if (too_large(store, record->buffers, record->buffer_count) ||
        too_large(store, record->result_buffers, record->result_buffer_count)) {
        status = ipcl_error_set(error, "%s: a buffer is larger than SQLite allows", store->path);
    } else if (put_all(store, msg_id, record)) {
        status = sqlite_fail(store, error, "a record cannot be written");
        roll_back(store);
    } else {
        store->changes++;
    }
    sqlite_release(record->buffers, record->buffer_count);
    sqlite_release(record->result_buffers, record->result_buffer_count);
    return status;
}

/* -- dropping */

/* Deletes a record that weighs so much. Returns 0 or -1. */
static int delete_record(struct store *store, int64_t id, int64_t bytes)
{
    if (statement_run(sqlite_with(store, DROP, 1, id, 0)) ||
        statement_run(sqlite_with(store, DROP_BUFFERS, 1, id, 0)) ||
        statement_run(sqlite_with(store, DROP_OUTPUT, 1, id, 0)))
        return -1;
    store->totals.records--;
    store->totals.bytes -= bytes;
    return 0;
}

static int64_t drop_some(void *self, const json_t *query, int64_t *place, size_t max,
                         struct ipcl_error *error)
{
    struct store *store = self;
    int64_t *ids = NULL;
    size_t count = 0;
    int status = sqlite_find_ids(store, query, *place, max, &ids, &count, error);
    if (!status && count && begin(store))
        status = sqlite_fail(store, error, "records cannot be dropped");
    for (size_t i = 0; !status && i < count; i++) {
        sqlite3_stmt *weigh = sqlite_with(store, WEIGH, 1, ids[i], 0);
        int64_t bytes = sqlite3_step(weigh) == SQLITE_ROW ? sqlite3_column_int64(weigh, 0) : 0;
        sqlite3_reset(weigh);
        if (delete_record(store, ids[i], bytes)) {
            status = sqlite_fail(store, error, "records cannot be dropped");
            roll_back(store);
        } else {
            store->changes++;
        }
    }
    if (count)
        *place = ids[count - 1];
    free(ids);
    return status ? -1 : (int64_t)count;
}

static int64_t drop(void *self, const json_t *query, struct ipcl_error *error)
{
    int64_t place = 0;
    return drop_some(self, query, &place, SIZE_MAX, error);
}

static bool is_over(const struct store *store)
{
    return store->totals.records > 1 &&
           (store->totals.records > store->records_max || store->totals.bytes > store->bytes_max);
}

/* Drops some of the oldest while there are too many. Returns how many, or -1. */
static int cull_some(struct store *store, enum sqlite_statement which)
{
    int64_t ids[CULLED_AT_ONCE], bytes[CULLED_AT_ONCE];
    int count = 0, culled = 0, status;
    sqlite3_stmt *oldest = sqlite_with(store, which, 2, store->totals.last_id, CULLED_AT_ONCE);
    while ((status = sqlite3_step(oldest)) == SQLITE_ROW) {
        ids[count] = sqlite3_column_int64(oldest, 0);
        bytes[count++] = sqlite3_column_int64(oldest, 1);
    }
    sqlite3_reset(oldest);
    if (status != SQLITE_DONE)
        return -1;
    while (culled < count && is_over(store)) {
        if (delete_record(store, ids[culled], bytes[culled]))
            return -1;
        culled++;
    }
    return culled;
}

/* Makes room: the oldest finished records go first. Returns 0 or -1. */
static int cull(struct store *store)
{
    enum sqlite_statement which = OLDEST_FINISHED;
    while (is_over(store)) {
        int culled = cull_some(store, which);
        if (culled < 0)
            return -1;
        if (!culled && which == OLDEST)
            break;
        if (!culled)
            which = OLDEST;
    }
    return 0;
}

static int64_t commit(void *self, struct ipcl_error *error)
{
    struct store *store = self;
    ipcl_error_set(error, "%s: what was not committed is lost", store->path);
    if (store->changing) {
        if (cull(store) ||
            statement_run(
                sqlite_with(store, SAVE_TOTALS, 2, store->totals.records, store->totals.bytes)) ||
            statement_run(sqlite_with(store, COMMIT, 0, 0, 0))) {
            sqlite_fail(store, error, "records cannot be committed");
            roll_back(store);
        } else {
            store->changing = false;
            store->changes = 0;
            store->committed = store->totals;
        }
    }
    int64_t lost = store->lost;
    store->lost = 0;
    return lost;
}

/* Gives some of the file's free pages back to the disk if they are most of it: fewer are used again
 * soon. A file that an earlier version made keeps its size. */
static bool tidy(void *self)
{
    struct store *store = self;
    int64_t unused = 0, pages = 0;
    sqlite3_stmt *count = sqlite_with(store, COUNT_FREE, 0, 0, 0);
    if (sqlite3_step(count) == SQLITE_ROW) {
        unused = sqlite3_column_int64(count, 0);
        pages = sqlite3_column_int64(count, 1);
    }
    sqlite3_reset(count);
    if (store->changing || unused < FREE_PAGES_KEPT || unused < pages / 2)
        return false;
    sqlite3_stmt *shrink = sqlite_with(store, SHRINK, 0, 0, 0);
    int status;
    while ((status = sqlite3_step(shrink)) == SQLITE_ROW)
        ;
    sqlite3_reset(shrink);
    sqlite3_step(count);
    bool fewer = sqlite3_column_int64(count, 0) < unused;
    sqlite3_reset(count);
    /* The end of the file goes when the log is copied into it. */
    if (status == SQLITE_DONE && fewer)
        return true;
    return false;
}

static void sqlite_destroy(void *self)
{
    if (self)
        sqlite_close(self);
    free(self);
}

static void *sqlite_create(const struct ipcl_services *services, const char *folder,
                           const char *cluster_id, struct ipcl_error *error)
{
    struct store *store = calloc(1, sizeof(*store));
    char text[PATH_MAX + 64];
    if (!store) {
        ipcl_error_set(error, "out of memory");
        return NULL;
    }
    store->records_max = services->option_int(services->host, "SQLiteDB", "record_limit");
    store->bytes_max = services->option_int(services->host, "SQLiteDB", "size_limit");
    if (store->records_max < 1 || store->bytes_max < 1) {
        ipcl_error_set(error, "SQLiteDB.record_limit and SQLiteDB.size_limit are 1 or more");
    } else if (!sqlite_open(store, services, folder, cluster_id, error)) {
        snprintf(text, sizeof(text), "%s has %lld records", store->path,
                 (long long)store->totals.records);
        services->log(services->host, IPCL_LOG_INFO, text);
        return store;
    }
    sqlite_destroy(store);
    return NULL;
}

static const struct ipcl_option options[] = {
    {"filename", IPCL_STRING, "", NULL, NULL,
     "The file's name. Default: tasks.db, or tasks-CLUSTER_ID.db. Only one controller can use it "
     "at a time. If the controller is killed, the records of the last 100 milliseconds may be "
     "lost; if the host loses power, somewhat more."},
    {"location", IPCL_STRING, "", NULL, NULL,
     "The folder of the file. Default: the profile's folder."},
    {"table", IPCL_STRING, "ipython-tasks", NULL, NULL,
     "The table in the file. With an empty name each controller makes a new table, and does not "
     "find the records of previous controllers. If another program has a table with this name, "
     "NAME_1 is used."},
    {"record_limit", IPCL_INT, "1000000", NULL, NULL,
     "How many records to keep. Beyond that the oldest finished ones are forgotten."},
    {"size_limit", IPCL_INT, "10737418240", NULL, NULL,
     "How many bytes the records may take in all: requests, results and output. Free room in the "
     "file is used again; if more than half of the file is free, it shrinks."},
};
static const struct ipcl_option_table tables[] = {
    {"SQLiteDB", options, sizeof(options) / sizeof(*options)}};

static const struct ipcl_store_operations operations = {
    .create = sqlite_create,
    .put = put,
    .find = sqlite_find,
    .drop = drop,
    .commit = commit,
    .destroy = sqlite_destroy,
    .tidy = tidy,
    .drop_some = drop_some,
    .begin = sqlite_begin,
    .outcomes = sqlite_outcomes,
};

extern const struct ipcl_plugin ipcl_plugin;
IPCL_EXPORT const struct ipcl_plugin ipcl_plugin = {
    IPCL_PLUGIN_HEAD,
    .kind = "store",
    .name = "sqlite",
    .version = "1.0",
    .summary = "records of requests in an SQLite file, which outlive the controller",
    .license = "BSD-2-Clause",
    .author = "the ipcluster developers",
    .tables = tables,
    .table_count = 1,
    .operations = &operations,
};
