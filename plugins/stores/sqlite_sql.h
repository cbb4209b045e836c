/* The SQL of the SQLite store: its tables, and the part of a query that SQL can express. */
#ifndef STORES_SQLITE_SQL_H
#define STORES_SQLITE_SQL_H

#include <jansson.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>

/* A record's fields except its output, which is in another table because it grows. */
enum {
    SQL_MSG_ID,
    SQL_SUBMITTED,
    SQL_COMPLETED = 3,
    SQL_TEXTS = 9, /* how many columns are text, dates too; those after them are JSON */
    SQL_COLUMNS = 19,
};
extern const char *const sql_columns[SQL_COLUMNS];
/* The column of this name, or -1. */
int sql_column(const char *name);

/* Makes the tables and indexes with this name if they do not exist. Returns 1; 0 if there is a
 * table with this name and other columns; or -1, and sqlite3_errmsg() says why. */
int sql_create(sqlite3 *db, const char *table);
/* Prepares a statement, in which "@" is the table, and "@-word" another whose name ends so. NULL on
 * failure. */
sqlite3_stmt *sql_prepare(sqlite3 *db, const char *table, const char *text);

/* SELECT of the records that may match `query`: their ids, and the columns whose bits are set. It
 * may find others too, as conditions that SQL cannot express are left out. The oldest submission
 * comes first; with `behind`, only records with larger ids come, by their ids. NULL on failure. */
sqlite3_stmt *sql_select(sqlite3 *db, const char *table, const json_t *query, unsigned columns,
                         const int64_t *behind);
/* INSERT of a record, or UPDATE if its msg_id is there, with the columns whose bits are set.
 * Parameters: id, bytes, output, msg_id, then the columns in their order. Gives back the record's
 * id and how much output it had. NULL on failure. */
sqlite3_stmt *sql_upsert(sqlite3 *db, const char *table, unsigned columns);

#endif
