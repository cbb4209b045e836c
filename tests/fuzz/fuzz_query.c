/* ipyparallel's queries over records: checked, matched in memory, and as SQL, which must leave out
 * nothing that matches. The first frame is the query, in JSON; the others are records. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "query.h"
#include "sqlite_sql.h"

#define RECORDS_MAX  8
#define FIRST_COLUMN 4 /* the statement's parameters before: id, bytes, output, msg_id */

static sqlite3 *db;

static json_t *next_value(struct fuzz_bytes *input, size_t flags)
{
    struct fuzz_bytes frame;
    return fuzz_cut(input, FUZZ_FRAME, &frame)
               ? json_loadb((const char *)frame.at, fuzz_size(frame), flags, NULL)
               : NULL;
}

static void bind(sqlite3_stmt *statement, int column, json_t *fields)
{
    const json_t *value = json_object_get(fields, sql_columns[column]);
    char *text = NULL;
    if (column < SQL_TEXTS && json_is_string(value))
        text = strdup(json_string_value(value));
    else if (column >= SQL_TEXTS && value && !json_is_null(value))
        text = json_dumps(value, JSON_ENCODE_ANY);
    else
        json_object_set_new(fields, sql_columns[column], json_null());
    sqlite3_bind_text(statement, column + FIRST_COLUMN, text, -1, free);
}

/* A record as the store of the plugin puts it. */
static void add(int id, json_t *fields)
{
    char msg_id[32];
    sqlite3_stmt *statement = sql_upsert(db, "t", (1u << SQL_COLUMNS) - 1);
    FUZZ_ASSERT(statement);
    snprintf(msg_id, sizeof(msg_id), "m%d", id);
    json_object_set_new(fields, "msg_id", json_string(msg_id));
    for (int i = 1; i < FIRST_COLUMN; i++)
        sqlite3_bind_int(statement, i, i == 1 ? id : 0);
    for (int i = 0; i < SQL_COLUMNS; i++)
        bind(statement, i, fields);
    FUZZ_ASSERT(sqlite3_step(statement) == SQLITE_ROW);
    sqlite3_finalize(statement);
}

/* The ids that SQL finds, as bits. */
static unsigned chosen(const json_t *query, const int64_t *behind)
{
    unsigned found = 0;
    sqlite3_stmt *statement = sql_select(db, "t", query, 1u << SQL_SUBMITTED, behind);
    if (!statement) { /* too much for SQLite is fine, but the SQL is always valid */
        FUZZ_ASSERT(strstr(sqlite3_errmsg(db), "too"));
        return ~0u;
    }
    while (sqlite3_step(statement) == SQLITE_ROW)
        found |= 1u << sqlite3_column_int(statement, 0);
    sqlite3_finalize(statement);
    return found;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const int64_t zero = 0;
    struct fuzz_bytes input = {data, data + size};
    struct ipcl_error error;
    json_t *records[RECORDS_MAX], *fields;
    int count = 0;
    if (!db)
        FUZZ_ASSERT(!sqlite3_open(":memory:", &db) && sql_create(db, "t") == 1);
    json_t *query = next_value(&input, JSON_ALLOW_NUL);
    if (!query || query_check(query, &error)) {
        json_decref(query);
        return 0;
    }
    sqlite3_exec(db, "DELETE FROM t", NULL, NULL, NULL);
    while (count < RECORDS_MAX && (fields = next_value(&input, 0))) {
        if (!json_is_object(fields)) {
            json_decref(fields);
            continue;
        }
        records[count++] = fields;
        add(count, fields);
    }
    query_mentions(query, "buffers");
    unsigned found = chosen(query, NULL) | chosen(query, &zero);
    for (int i = 0; i < count; i++) {
        FUZZ_ASSERT(!query_matches(query, records[i]) || found & 1u << (i + 1));
        json_decref(records[i]);
    }
    json_decref(query);
    return 0;
}
