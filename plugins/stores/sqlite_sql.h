/* The SQL of the SQLite store: its tables, and what of a query its indexes can help with. */
#ifndef STORES_SQLITE_SQL_H
#define STORES_SQLITE_SQL_H

#include <jansson.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>

/* A record's fields but for its output, which is in a table of its own as it grows. */
enum {
    SQL_MSG_ID,
    SQL_SUBMITTED,
    SQL_COMPLETED = 3,
    SQL_TEXTS = 9, /* so many columns are text, dates among them; those behind are JSON */
    SQL_COLUMNS = 19,
};
extern const char *const sql_columns[SQL_COLUMNS];
/* The column of this name, or -1. */
int sql_column(const char *name);

/* Makes the tables and indexes of this name where they are not there. Returns 1, 0 where there is a
 * table of this name and another shape, or -1 with sqlite3_errmsg() telling why. */
int sql_create(sqlite3 *db, const char *table);
/* Prepares a statement: %Q is the table as a name, for which the other tables have endings. NULL on
 * failure. */
sqlite3_stmt *sql_prepare(sqlite3 *db, const char *table, const char *text);

/* SELECT of the records that may match `query`: their ids, and the columns whose bits are set.
 * Others may be among them: what SQL cannot say as the query means it is left out. They come oldest
 * submission first; with `behind`, those with larger ids in the order of these. NULL on failure. */
sqlite3_stmt *sql_select(sqlite3 *db, const char *table, const json_t *query, unsigned columns,
                         const int64_t *behind);
/* INSERT of a record, or UPDATE where its msg_id is there, with the columns whose bits are set.
 * Parameters: id, bytes, output, msg_id, then the columns in their order. Gives back the record's
 * id and how much output it had. NULL on failure. */
sqlite3_stmt *sql_upsert(sqlite3 *db, const char *table, unsigned columns);

#endif
