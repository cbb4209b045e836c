/* The SQLite store: its file, and what outlives a controller. */
#include <sqlite3.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "open_store.h"

Test(sqlite_store, keeps_what_was_committed)
{
    struct open_store open = open_kind(&sqlite_kind, 100, 1 << 30, 0);
    put(&open, "a", "{\"submitted\": \"2026-01\", \"stdout\": \"text\"}", 5);
    put(&open, "b", "{\"submitted\": \"2026-02\", \"completed\": \"2026\"}", -1);
    commit(&open);
    put(&open, "c", "{}", 5);
    open.store->destroy(open.self);
    reopen(&open);
    cr_expect_str_eq(
        described(&open, "{}", "[\"submitted\", \"completed\", \"stdout\", \"buffers\"]"),
        "{\"msg_id\":\"a\",\"stdout\":\"text\",\"submitted\":\"2026-01\"} 5a\n"
        "{\"completed\":\"2026\",\"msg_id\":\"b\",\"submitted\":\"2026-02\"}\n");
    open.record_limit = 2;
    open.store->destroy(open.self);
    reopen(&open);
    put(&open, "d", "{\"submitted\": \"2026-03\"}", 5);
    commit(&open);
    cr_expect_str_eq(found(&open, "{}"), "ad");
    close_store(&open);
}

Test(sqlite_store, belongs_to_one_at_a_time)
{
    struct open_store open = open_kind(&sqlite_kind, 100, 1 << 30, 0);
    struct ipcl_error error = {""};
    pid_t child = fork();
    if (!child) {
        bool refused = !open_again(&open, "", &error) && strstr(error.text, "in use");
        _exit(refused ? 0 : 1);
    }
    int status;
    waitpid(child, &status, 0);
    cr_expect(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    /* Another cluster of the profile has another file. */
    void *other = open_again(&open, "other", &error);
    cr_assert(other, "%s", error.text);
    open.store->destroy(other);
    close_store(&open);
}

Test(sqlite_store, leaves_other_tables_of_its_name_alone)
{
    struct open_store open = open_kind(&sqlite_kind, 100, 1 << 30, 0);
    char path[PATH_BYTES];
    sqlite3 *db;
    open.store->destroy(open.self);
    cr_assert_eq(path_format(path, NULL, "%s/tasks.db", open.folder), 0);
    cr_assert_eq(sqlite3_open(path, &db), SQLITE_OK);
    cr_assert_eq(sqlite3_exec(db,
                              "DROP TABLE \"ipython-tasks\"; "
                              "CREATE TABLE \"ipython-tasks\" (msg_id text, header text)",
                              NULL, NULL, NULL),
                 SQLITE_OK);
    sqlite3_close(db);
    reopen(&open);
    put(&open, "a", "{}", 5);
    commit(&open);
    open.store->destroy(open.self);
    reopen(&open);
    cr_expect_str_eq(found(&open, "{}"), "a");
    close_store(&open);
}

static void collect_outcome(void *context, const char *msg_id, const char *engine, bool success)
{
    char *text = context;
    sprintf(text + strlen(text), "%s%s%s ", msg_id, success ? "+" : "-", engine);
}

/* All outcomes, so many at a time. */
static const char *outcomes(struct open_store *open, size_t max, size_t at_once)
{
    static char text[256];
    struct ipcl_error error;
    int64_t place = 0;
    int status;
    *text = '\0';
    do
        status =
            open->store->outcomes(open->self, &place, max, at_once, collect_outcome, text, &error);
    while (status > 0);
    cr_assert_eq(status, 0, "%s", error.text);
    return text;
}

Test(sqlite_store, tells_how_the_newest_tasks_ended)
{
    struct open_store open = open_kind(&sqlite_kind, 100, 1 << 30, 0);
    put(&open, "a", "{\"queue\": \"task\", \"engine_uuid\": \"e\"}", -1);
    put(&open, "b", "{\"queue\": \"task\"}", -1);
    put(&open, "c", "{\"queue\": \"mux\", \"completed\": \"2026\"}", -1);
    put(&open, "d", "{\"completed\": \"2026\", \"result_metadata\": {\"status\": \"aborted\"}}",
        -1);
    put(&open, "e", "{\"queue\": \"task\", \"completed\": \"2026\", \"result_metadata\": {}}", -1);
    put(&open, "a", "{\"completed\": \"2025\", \"result_metadata\": {\"status\": \"ok\"}}", -1);
    for (size_t at_once = 1; at_once < 5; at_once++) {
        cr_assert_str_eq(outcomes(&open, 100, at_once), "a+e d- e+ ");
        cr_assert_str_eq(outcomes(&open, 2, at_once), "d- e+ ");
        cr_assert_str_eq(outcomes(&open, 0, at_once), "");
    }
    close_store(&open);
}

Test(sqlite_store, knows_which_controller_had_it_before)
{
    struct open_store open = open_kind(&sqlite_kind, 100, 1 << 30, 0);
    for (int64_t session = 1; session < 4; session++) {
        int64_t before = -1;
        struct ipcl_error error;
        cr_assert_eq(open.store->begin(open.self, session, &before, &error), 0, "%s", error.text);
        cr_assert_eq(before, session - 1);
        open.store->destroy(open.self);
        reopen(&open);
    }
    close_store(&open);
}

Test(sqlite_store, shrinks_when_most_of_it_is_free)
{
    struct open_store open = open_kind(&sqlite_kind, 10000, 1 << 30, 0);
    char id[16], file[2 * PATH_BYTES];
    struct stat status;
    for (int i = 0; i < 200; i++) {
        snprintf(id, sizeof(id), "%d", i);
        put(&open, id, "{\"completed\": \"2026\"}", 100000);
    }
    commit(&open);
    snprintf(file, sizeof(file), "%s/tasks.db", open.folder);
    cr_assert(!stat(file, &status) && status.st_size > 15000000, "%lld", (long long)status.st_size);
    cr_assert_not(open.store->tidy(open.self), "it is full");
    cr_assert_eq(drop(&open, "{\"msg_id\": {\"$ne\": \"5\"}}"), 199);
    cr_assert_not(open.store->tidy(open.self), "it is not committed");
    commit(&open);
    int steps = 0;
    while (open.store->tidy(open.self))
        steps++;
    cr_assert(steps > 10, "a little at a time");
    cr_assert_str_eq(found(&open, "{}"), "5");
    put(&open, "6", "{}", 1);
    commit(&open);
    open.store->destroy(open.self);
    cr_assert(!stat(file, &status) && status.st_size < 6000000, "%lld", (long long)status.st_size);
    reopen(&open);
    cr_assert_str_eq(found(&open, "{}"), "56");
    close_store(&open);
}
