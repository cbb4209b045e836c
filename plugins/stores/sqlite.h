/* The SQLite store's state, for the files that make it up: sqlite.c (changing records),
 * sqlite_find.c (finding them) and sqlite_open.c. */
#ifndef STORES_SQLITE_H
#define STORES_SQLITE_H

#include <ipcluster/store.h>

#include <limits.h>

#include "sqlite_sql.h"

#define SQLITE_TABLE_BYTES 128
/* How many statements put records: one for each set of fields. The controller has fewer than
 * ten. */
#define SQLITE_UPSERTS_MAX 16

enum sqlite_statement {
    BEGIN,
    COMMIT,
    ROLLBACK,
    ADD_BUFFER,
    WEIGH_BUFFERS,
    DROP_RESULT_OR_NOT, /* a record's buffers of one kind */
    GET_BUFFERS,
    ADD_OUTPUT,
    GET_OUTPUT,
    LIGHTEN,
    WEIGH,
    DROP,
    DROP_BUFFERS,
    DROP_OUTPUT,
    OLDEST_FINISHED,
    OLDEST,
    LATEST_OUTCOME,
    OUTCOMES,
    COUNT_FREE,
    SHRINK,
    SAVE_TOTALS,
    STATEMENTS
};
struct upsert {
    unsigned columns;
    sqlite3_stmt *statement;
};

/* What the file contains, as the transaction sees it. */
struct totals {
    int64_t records;
    int64_t bytes;
    int64_t last_id;
};

struct store {
    sqlite3 *db;
    char path[PATH_MAX];
    char table[SQLITE_TABLE_BYTES];
    sqlite3_stmt *statements[STATEMENTS];
    struct upsert upserts[SQLITE_UPSERTS_MAX];
    size_t upsert_count;
    bool changing;
    int64_t changes; /* in this transaction */
    int64_t lost;    /* rolled back since the last commit */
    struct totals totals, committed;
    int64_t records_max;
    int64_t bytes_max;
};

/* In sqlite_open.c. */
/* Sets `error`: `what` went wrong, SQLite's words, and what to do. Returns -1. */
int sqlite_fail(struct store *store, struct ipcl_error *error, const char *what);
/* A statement, reset, with `count` integer parameters. */
sqlite3_stmt *sqlite_with(struct store *store, enum sqlite_statement which, int count,
                          int64_t first, int64_t second);
void sqlite_release(const struct ipcl_buffer *buffers, size_t count);

/* Opens the file that the settings name, and prepares its tables and statements. Returns 0, or -1
 * with `error` set. */
int sqlite_open(struct store *store, const struct ipcl_services *services, const char *folder,
                const char *cluster_id, struct ipcl_error *error);
void sqlite_close(struct store *store);
/* The store's begin. */
int sqlite_begin(void *self, int64_t session, int64_t *before, struct ipcl_error *error);

/* The store's find. */
int sqlite_find(void *self, const json_t *query, const json_t *keys,
                bool (*found)(void *context, const struct ipcl_record *record), void *context,
                struct ipcl_error *error);
/* The store's outcomes. */
int sqlite_outcomes(void *self, int64_t *place, size_t max, size_t at_once,
                    void (*found)(void *context, const char *msg_id, const char *engine,
                                  bool success),
                    void *context, struct ipcl_error *error);
/* The ids of records that match, if they are larger than `behind`: a malloc'ed array, in order,
 * with `max` of them at most. Returns 0, or -1 with `error` set. */
int sqlite_find_ids(struct store *store, const json_t *query, int64_t behind, size_t max,
                    int64_t **ids, size_t *count, struct ipcl_error *error);

#endif
