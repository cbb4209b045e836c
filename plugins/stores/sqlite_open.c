/* Opening the SQLite store's file: it is made, taken for this controller alone, and its tables and
 * statements are made ready. Also what the store's other files need: errors, statements with their
 * parameters, and the release of buffers. */
#include "sqlite.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/trust.h"

/* How long opening waits for another program that looks into the file. */
#define OPEN_WAIT_MS 5000
/* The write-ahead log is cut to this if one huge transaction made it larger. */
#define LOG_BYTES "67108864"

/* "@" is the table, see sqlite_sql.c. */
static const char *const statement_texts[STATEMENTS] = {
    [BEGIN] = "BEGIN",
    [COMMIT] = "COMMIT",
    [ROLLBACK] = "ROLLBACK",
    [ADD_BUFFER] = "INSERT INTO @-buffers VALUES (?, ?, ?)",
    [WEIGH_BUFFERS] = "SELECT sum(length(data)) FROM @-buffers WHERE record = ? AND result = ?",
    [DROP_RESULT_OR_NOT] = "DELETE FROM @-buffers WHERE record = ? AND result = ?",
    [GET_BUFFERS] = "SELECT data FROM @-buffers WHERE record = ? AND result = ? ORDER BY rowid",
    [ADD_OUTPUT] = "INSERT INTO @-output VALUES (?, ?, ?)",
    [GET_OUTPUT] = "SELECT stream, data FROM @-output WHERE record = ? ORDER BY rowid",
    [LIGHTEN] = "UPDATE @ SET bytes = bytes - ?2 WHERE id = ?1",
    [WEIGH] = "SELECT bytes FROM @ WHERE id = ?",
    [DROP] = "DELETE FROM @ WHERE id = ?",
    [DROP_BUFFERS] = "DELETE FROM @-buffers WHERE record = ?",
    [DROP_OUTPUT] = "DELETE FROM @-output WHERE record = ?",
    [OLDEST_FINISHED] = "SELECT id, bytes FROM @ WHERE completed IS NOT NULL AND id < ?1 "
                        "ORDER BY completed LIMIT ?2",
    [OLDEST] = "SELECT id, bytes FROM @ WHERE id < ?1 ORDER BY id LIMIT ?2",
    [LATEST_OUTCOME] = "SELECT id FROM @ WHERE completed IS NOT NULL AND queue IS NOT 'mux' "
                       "ORDER BY id DESC LIMIT 1 OFFSET ?",
    /* A reply without a status counts as a success, as it does for the scheduler. */
    [OUTCOMES] = "SELECT id, msg_id, coalesce(engine_uuid, ''), "
                 "coalesce(json_extract(result_metadata, '$.status'), 'ok') = 'ok' FROM @ "
                 "WHERE id > ?1 AND completed IS NOT NULL AND queue IS NOT 'mux' "
                 "ORDER BY id LIMIT ?2",
    [COUNT_FREE] = "SELECT freelist_count, page_count FROM pragma_freelist_count, "
                   "pragma_page_count",
    [SHRINK] = "PRAGMA incremental_vacuum(64)",
    [SAVE_TOTALS] = "UPDATE @-totals SET records = ?1, bytes = ?2",
};

static const char *advice_for(int code)
{
    switch (code) {
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return "; it is damaged, or not an SQLite file: end the controller, move the file away or "
               "set SQLiteDB.filename, and start the controller again ('sqlite3 FILE .recover' "
               "may save records)";
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return "; it is in use by another program, perhaps another controller: end that program, "
               "or set SQLiteDB.filename";
    case SQLITE_CANTOPEN:
    case SQLITE_PERM:
    case SQLITE_READONLY:
        return "; the file and its folder must be writable (see SQLiteDB.location)";
    case SQLITE_FULL:
    case SQLITE_IOERR:
        return "; its disk is full or has failed";
    default:
        return "";
    }
}

int sqlite_fail(struct store *store, struct ipcl_error *error, const char *what)
{
    return ipcl_error_set(error, "%s: %s: %s%s", store->path, what, sqlite3_errmsg(store->db),
                          advice_for(sqlite3_errcode(store->db)));
}

sqlite3_stmt *sqlite_with(struct store *store, enum sqlite_statement which, int count,
                          int64_t first, int64_t second)
{
    sqlite3_stmt *statement = store->statements[which];
    sqlite3_reset(statement);
    if (count > 0)
        sqlite3_bind_int64(statement, 1, first);
    if (count > 1)
        sqlite3_bind_int64(statement, 2, second);
    return statement;
}

void sqlite_release(const struct ipcl_buffer *buffers, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (buffers[i].release)
            buffers[i].release(buffers[i].owner);
}

/* The file: in the profile's folder unless the settings say otherwise. */
static int name_file(struct store *store, const struct ipcl_services *services, const char *folder,
                     const char *cluster_id, struct ipcl_error *error)
{
    const char *file = services->option_string(services->host, "SQLiteDB", "filename");
    const char *location = services->option_string(services->host, "SQLiteDB", "location");
    char name[NAME_MAX + 1];
    int length =
        *file ? snprintf(name, sizeof(name), "%s", file)
              : snprintf(name, sizeof(name), "tasks%s%s.db", *cluster_id ? "-" : "", cluster_id);
    if (length >= (int)sizeof(name))
        return ipcl_error_set(error, "SQLiteDB.filename is too long");
    length = *name == '/' ? snprintf(store->path, sizeof(store->path), "%s", name)
                          : snprintf(store->path, sizeof(store->path), "%s/%s",
                                     *location ? location : folder, name);
    return length < (int)sizeof(store->path)
               ? 0
               : ipcl_error_set(error, "SQLiteDB.location is too long");
}

/* Makes the file if it does not exist, readable only by its owner, and notes its path without
 * links. Refuses a file that others can write. Makes one private that others can read: the files
 * that SQLite puts next to it get its mode. */
static int make_file(struct store *store, struct ipcl_error *error)
{
    char real[PATH_BYTES];
    struct ipcl_error reason;
    struct stat info;
    int fd = trust_open(store->path, O_RDWR | O_CREAT, 0600, real, &reason);
    if (fd < 0 && errno != EPERM)
        return ipcl_error_set(error, "%s cannot be written: %s (see SQLiteDB.location)",
                              store->path, strerror(errno));
    if (fd < 0)
        return ipcl_error_set(error, "%.900s (see SQLiteDB.location)", reason.text);
    strcpy(store->path, real);
    bool private = !fstat(fd, &info) && (!(info.st_mode & 077) || !fchmod(fd, 0600));
    if (!private)
        ipcl_error_set(error, "%s cannot be made private: %s", store->path, strerror(errno));
    close(fd);
    return private ? 0 : -1;
}

/* Opens the file and takes it for ourselves. */
static int open_file(struct store *store, struct ipcl_error *error)
{
    static const char setup[] =
        "PRAGMA locking_mode = EXCLUSIVE; PRAGMA auto_vacuum = INCREMENTAL; "
        "PRAGMA journal_mode = WAL; "
        "PRAGMA synchronous = NORMAL; PRAGMA temp_store = MEMORY; "
        "PRAGMA journal_size_limit = " LOG_BYTES "; "
        "BEGIN EXCLUSIVE; COMMIT";
    if (make_file(store, error))
        return -1;
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
    if (sqlite3_open_v2(store->path, &store->db, flags, NULL) ||
        sqlite3_busy_timeout(store->db, OPEN_WAIT_MS) ||
        sqlite3_exec(store->db, setup, NULL, NULL, NULL))
        return sqlite_fail(store, error, "cannot be opened");
    return 0;
}

/* The first of the table's name, name_1, name_2 ... that is free or ours: another program's, as
 * ipyparallel's, may be in the same file. */
static int open_tables(struct store *store, const struct ipcl_services *services,
                       struct ipcl_error *error)
{
    const char *given = services->option_string(services->host, "SQLiteDB", "table");
    char own[64];
    int ours = 0;
    if (!*given) {
        snprintf(own, sizeof(own), "tasks_%lld_%d", (long long)time(NULL), (int)getpid());
        given = own;
    }
    for (int i = 0; i < 1000 && !ours; i++) {
        char ending[16] = "";
        if (i)
            snprintf(ending, sizeof(ending), "_%d", i);
        if (snprintf(store->table, sizeof(store->table), "%s%s", given, ending) >=
            (int)sizeof(store->table))
            return ipcl_error_set(error, "SQLiteDB.table is too long");
        ours = sql_create(store->db, store->table);
        if (ours < 0)
            return sqlite_fail(store, error, "no table can be made");
    }
    return ours ? 0 : ipcl_error_set(error, "%s: set SQLiteDB.table to another name", store->path);
}

static int prepare(struct store *store, struct ipcl_error *error)
{
    for (int i = 0; i < STATEMENTS; i++) {
        store->statements[i] = sql_prepare(store->db, store->table, statement_texts[i]);
        if (!store->statements[i])
            return sqlite_fail(store, error, "cannot be used");
    }
    sqlite3_stmt *totals =
        sql_prepare(store->db, store->table,
                    "SELECT records, bytes, (SELECT coalesce(max(id), 0) FROM @) FROM @-totals");
    if (totals && sqlite3_step(totals) == SQLITE_ROW) {
        store->committed.records = sqlite3_column_int64(totals, 0);
        store->committed.bytes = sqlite3_column_int64(totals, 1);
        store->committed.last_id = sqlite3_column_int64(totals, 2);
        store->totals = store->committed;
        sqlite3_finalize(totals);
        return 0;
    }
    sqlite3_finalize(totals);
    return sqlite_fail(store, error, "cannot be read");
}

int sqlite_open(struct store *store, const struct ipcl_services *services, const char *folder,
                const char *cluster_id, struct ipcl_error *error)
{
    return name_file(store, services, folder, cluster_id, error) || open_file(store, error) ||
                   open_tables(store, services, error) || prepare(store, error)
               ? -1
               : 0;
}

/* Runs a statement with one parameter, whose first row's number it gives back, 0 for none. Returns
 * 0 or -1. */
static int ask(struct store *store, const char *text, int64_t parameter, int64_t *answer)
{
    sqlite3_stmt *statement = sql_prepare(store->db, store->table, text);
    int status = SQLITE_ERROR;
    *answer = 0;
    if (statement) {
        sqlite3_bind_int64(statement, 1, parameter);
        status = sqlite3_step(statement);
    }
    if (status == SQLITE_ROW)
        *answer = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    return status == SQLITE_ROW || status == SQLITE_DONE ? 0 : -1;
}

int sqlite_begin(void *self, int64_t session, int64_t *before, struct ipcl_error *error)
{
    struct store *store = self;
    int64_t ignored;
    if (ask(store, "SELECT session FROM @-controller", 0, before) ||
        ask(store,
            *before ? "UPDATE @-controller SET session = ?" : "INSERT INTO @-controller VALUES (?)",
            session, &ignored))
        return sqlite_fail(store, error, "cannot be written");
    return 0;
}

void sqlite_close(struct store *store)
{
    for (int i = 0; i < STATEMENTS; i++)
        sqlite3_finalize(store->statements[i]);
    for (size_t i = 0; i < store->upsert_count; i++)
        sqlite3_finalize(store->upserts[i].statement);
    sqlite3_close(store->db);
}
