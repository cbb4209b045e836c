/* The SQL of the SQLite store. Values are bound, never written into a statement; the table's name
 * is quoted. */
#include "sqlite_sql.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "query.h"

/* SQLite bounds the depth of an expression and the number of parameters. */
#define PARAMETERS_MAX 200

const char *const sql_columns[SQL_COLUMNS] = {
    "msg_id",        "submitted",      "started",       "completed",       "received",
    "client_uuid",   "engine_uuid",    "resubmitted",   "queue",           "header",
    "metadata",      "content",        "result_header", "result_metadata", "result_content",
    "execute_input", "execute_result", "error",         "label",
};

int sql_column(const char *name)
{
    for (int i = 0; i < SQL_COLUMNS; i++)
        if (!strcmp(sql_columns[i], name))
            return i;
    return -1;
}

/* Writes the table's name, with an ending, as SQL quotes names. */
static void write_name(FILE *out, const char *table, const char *ending)
{
    fputc('"', out);
    for (const char *at = table; *at; at++) {
        if (*at == '"')
            fputc('"', out);
        fputc(*at, out);
    }
    fprintf(out, "%s\"", ending);
}

/* Writes a statement's text: "@" is the table, "@-word" another whose name ends so. */
static void write_text(FILE *out, const char *table, const char *text)
{
    char ending[32];
    for (const char *at = text; *at; at++) {
        if (*at != '@') {
            fputc(*at, out);
            continue;
        }
        size_t length = at[1] == '-' ? strcspn(at + 2, " (,.") + 1 : 0;
        snprintf(ending, sizeof(ending), "%.*s", (int)length, at + 1);
        write_name(out, table, ending);
        at += length;
    }
}

static sqlite3_stmt *prepare(sqlite3 *db, const char *text)
{
    sqlite3_stmt *statement = NULL;
    sqlite3_prepare_v3(db, text, -1, SQLITE_PREPARE_PERSISTENT, &statement, NULL);
    return statement;
}

sqlite3_stmt *sql_prepare(sqlite3 *db, const char *table, const char *text)
{
    char *written = NULL;
    size_t size;
    FILE *out = open_memstream(&written, &size);
    if (!out)
        return NULL;
    write_text(out, table, text);
    sqlite3_stmt *statement = fclose(out) ? NULL : prepare(db, written);
    free(written);
    return statement;
}

static int sql_run(sqlite3 *db, const char *table, const char *text)
{
    sqlite3_stmt *statement = sql_prepare(db, table, text);
    int status = statement ? sqlite3_step(statement) : SQLITE_ERROR;
    sqlite3_finalize(statement);
    return status == SQLITE_DONE || status == SQLITE_ROW ? 0 : -1;
}

static const char create_records[] =
    "CREATE TABLE IF NOT EXISTS @ (id INTEGER PRIMARY KEY, msg_id TEXT NOT NULL UNIQUE, submitted "
    "TEXT, started TEXT, completed TEXT, received TEXT, client_uuid TEXT, engine_uuid TEXT, "
    "resubmitted TEXT, queue TEXT, header TEXT, metadata TEXT, content TEXT, result_header TEXT, "
    "result_metadata TEXT, result_content TEXT, execute_input TEXT, execute_result TEXT, error "
    "TEXT, label TEXT, bytes INTEGER NOT NULL, output INTEGER NOT NULL)";

/* Whether the existing table has the columns that we would give it. */
static bool has_our_shape(sqlite3 *db, const char *table)
{
    sqlite3_stmt *columns = NULL;
    int expected = 0;
    bool same = true;
    sqlite3_prepare_v2(db, "SELECT name FROM pragma_table_info(?)", -1, &columns, NULL);
    sqlite3_bind_text(columns, 1, table, -1, SQLITE_STATIC);
    while (columns && sqlite3_step(columns) == SQLITE_ROW) {
        const char *name = (const char *)sqlite3_column_text(columns, 0);
        const char *wanted = expected == 0                 ? "id"
                             : expected <= SQL_COLUMNS     ? sql_columns[expected - 1]
                             : expected == SQL_COLUMNS + 1 ? "bytes"
                                                           : "output";
        same = same && name && !strcmp(name, wanted);
        expected++;
    }
    sqlite3_finalize(columns);
    return same && expected == SQL_COLUMNS + 3;
}

int sql_create(sqlite3 *db, const char *table)
{
    static const char *const statements[] = {
        "CREATE INDEX IF NOT EXISTS @-submitted ON @ (submitted)",
        "CREATE INDEX IF NOT EXISTS @-completed ON @ (completed)",
        "CREATE INDEX IF NOT EXISTS @-engine ON @ (engine_uuid)",
        "CREATE TABLE IF NOT EXISTS @-buffers (record INTEGER NOT NULL, result INTEGER NOT NULL, "
        "data BLOB NOT NULL)",
        "CREATE INDEX IF NOT EXISTS @-buffers_record ON @-buffers (record, result)",
        "CREATE TABLE IF NOT EXISTS @-output (record INTEGER NOT NULL, stream INTEGER NOT NULL, "
        "data TEXT NOT NULL)",
        "CREATE INDEX IF NOT EXISTS @-output_record ON @-output (record)",
        "CREATE TABLE IF NOT EXISTS @-totals (records INTEGER NOT NULL, bytes INTEGER NOT NULL)",
        "CREATE TABLE IF NOT EXISTS @-controller (session INTEGER NOT NULL)",
        "INSERT INTO @-totals SELECT 0, 0 WHERE NOT EXISTS (SELECT 1 FROM @-totals )",
    };
    if (sql_run(db, table, create_records))
        return -1;
    if (!has_our_shape(db, table))
        return 0;
    for (size_t i = 0; i < sizeof(statements) / sizeof(*statements); i++)
        if (sql_run(db, table, statements[i]))
            return -1;
    return 1;
}

/* -- queries */

/* A WHERE clause that is written, and the texts to bind to it. */
struct where {
    FILE *out;
    json_t *values;
    int depth;   /* of groups */
    bool narrow; /* a time of completion bounds the choice */
};

static bool has_room(const struct where *where)
{
    return json_array_size(where->values) < PARAMETERS_MAX;
}

/* Those of a list that are text, as JSON for json_each(). */
static json_t *texts_of(const json_t *list)
{
    json_t *texts = json_array(), *text = NULL;
    for (size_t i = 0; i < json_array_size(list); i++)
        if (json_is_string(json_array_get(list, i)))
            json_array_append(texts, json_array_get(list, i));
    char *dump = json_dumps(texts, JSON_COMPACT);
    if (dump)
        text = json_string(dump);
    free(dump);
    json_decref(texts);
    return text;
}

static bool has_null(const json_t *list)
{
    for (size_t i = 0; i < json_array_size(list); i++)
        if (json_is_null(json_array_get(list, i)))
            return true;
    return false;
}

/* A comparison with text; what is not text has no order and equals none. */
static void compare(struct where *where, const char *column, const char *comparison, json_t *value)
{
    if (!json_is_string(value)) {
        fputs(" AND 0", where->out);
        return;
    }
    fprintf(where->out, " AND %s %s ?", column, comparison);
    json_array_append(where->values, value);
}

static void write_test(struct where *where, const char *column, enum query_operator operation,
                       json_t *operand)
{
    static const char *const comparisons[] = {
        [QUERY_EQUAL] = "=",   [QUERY_LESS] = "<",           [QUERY_LESS_EQUAL] = "<=",
        [QUERY_GREATER] = ">", [QUERY_GREATER_EQUAL] = ">=", [QUERY_NOT_EQUAL] = "IS NOT",
    };
    switch (operation) {
    case QUERY_EQUAL:
    case QUERY_NOT_EQUAL:
        if (json_is_null(operand))
            fprintf(where->out, " AND %s %s NULL", column,
                    operation == QUERY_EQUAL ? "IS" : "IS NOT");
        else if (operation == QUERY_EQUAL || json_is_string(operand))
            compare(where, column, comparisons[operation], operand);
        break;
    case QUERY_LESS:
    case QUERY_LESS_EQUAL:
    case QUERY_GREATER:
    case QUERY_GREATER_EQUAL:
        compare(where, column, comparisons[operation], operand);
        where->narrow |= !where->depth && !strcmp(column, sql_columns[SQL_COMPLETED]);
        break;
    case QUERY_IN:
        fprintf(where->out, " AND (%s IN (SELECT value FROM json_each(?))%s%s%s)", column,
                has_null(operand) ? " OR " : "", has_null(operand) ? column : "",
                has_null(operand) ? " IS NULL" : "");
        json_array_append_new(where->values, texts_of(operand));
        break;
    case QUERY_EXISTS:
        fprintf(where->out, " AND %s %s NULL", column, query_truth(operand) ? "IS NOT" : "IS");
        break;
    default: /* found out record by record */
        break;
    }
}

static void write_where(struct where *where, const json_t *query);

static void write_group(struct where *where, const char *key, const json_t *queries)
{
    if (!strcmp(key, "$and")) {
        for (size_t i = 0; i < json_array_size(queries); i++) {
            fputs(" AND (1", where->out);
            write_where(where, json_array_get(queries, i));
            fputc(')', where->out);
        }
        return;
    }
    /* All alternatives or none: what is left out must not hide what matches. */
    if (json_array_size(queries) > PARAMETERS_MAX / 4)
        return;
    fputs(" AND (0", where->out);
    for (size_t i = 0; i < json_array_size(queries); i++) {
        fputs(" OR (1", where->out);
        write_where(where, json_array_get(queries, i));
        fputc(')', where->out);
    }
    fputc(')', where->out);
}

static void write_where(struct where *where, const json_t *query)
{
    const char *key, *name;
    json_t *test, *operand;
    json_object_foreach ((json_t *)query, key, test) {
        int column = sql_column(key);
        if (!has_room(where))
            return;
        if (query_is_group(key)) {
            where->depth++;
            write_group(where, key, test);
            where->depth--;
        } else if (column < 0 || column >= SQL_TEXTS)
            continue;
        else if (!query_is_operators(test))
            write_test(where, key, QUERY_EQUAL, test);
        else
            json_object_foreach (test, name, operand)
                write_test(where, key, query_operator_of(name), operand);
    }
}

static sqlite3_stmt *bind_texts(sqlite3_stmt *statement, const json_t *values)
{
    for (size_t i = 0; statement && i < json_array_size(values); i++) {
        const json_t *value = json_array_get(values, i);
        sqlite3_bind_text(statement, (int)i + 1, json_string_value(value),
                          (int)json_string_length(value), SQLITE_TRANSIENT);
    }
    return statement;
}

sqlite3_stmt *sql_select(sqlite3 *db, const char *table, const json_t *query, unsigned columns,
                         const int64_t *behind)
{
    char *text = NULL;
    size_t size;
    struct where where = {.out = open_memstream(&text, &size), .values = json_array()};
    if (!where.out || !where.values) {
        json_decref(where.values);
        return NULL;
    }
    fputs("SELECT id", where.out);
    for (int i = 0; i < SQL_COLUMNS; i++)
        if (columns & 1u << i)
            fprintf(where.out, ", %s", sql_columns[i]);
    fputs(" FROM ", where.out);
    write_name(where.out, table, "");
    fputs(" WHERE 1", where.out);
    write_where(&where, query);
    /* Without figures SQLite takes the index that gives the order, and looks at every record. */
    if (behind)
        fprintf(where.out, " AND id > %lld ORDER BY id", (long long)*behind);
    else
        fprintf(where.out, " ORDER BY %ssubmitted, id", where.narrow ? "+" : "");
    sqlite3_stmt *statement = fclose(where.out) ? NULL : prepare(db, text);
    bind_texts(statement, where.values);
    json_decref(where.values);
    free(text);
    return statement;
}

sqlite3_stmt *sql_upsert(sqlite3 *db, const char *table, unsigned columns)
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    if (!out)
        return NULL;
    columns &= ~(1u << SQL_MSG_ID);
    fputs("INSERT INTO ", out);
    write_name(out, table, "");
    fputs(" (id, bytes, output, msg_id", out);
    for (int i = 0; i < SQL_COLUMNS; i++)
        if (columns & 1u << i)
            fprintf(out, ", %s", sql_columns[i]);
    fputs(") VALUES (?, ?, ?, ?", out);
    for (int i = 0; i < SQL_COLUMNS; i++)
        if (columns & 1u << i)
            fputs(", ?", out);
    fputs(") ON CONFLICT (msg_id) DO UPDATE SET bytes = bytes + excluded.bytes, output = output + "
          "excluded.output",
          out);
    for (int i = 0; i < SQL_COLUMNS; i++)
        if (columns & 1u << i)
            fprintf(out, ", %s = excluded.%s", sql_columns[i], sql_columns[i]);
    fputs(" RETURNING id, output - ?3", out);
    sqlite3_stmt *statement = fclose(out) ? NULL : prepare(db, text);
    free(text);
    return statement;
}
