/* The SQLite store's queries: those that clients make often are answered by an index, however many
 * records there are. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "../../plugins/stores/sqlite_sql.h"

static sqlite3 *db;

static void setup(void)
{
    cr_assert_eq(sqlite3_open(":memory:", &db), SQLITE_OK);
    cr_assert_eq(sql_create(db, "a \"table\""), 1, "%s", sqlite3_errmsg(db));
    cr_assert_eq(sql_create(db, "a \"table\""), 1, "what is there is taken");
}

static void teardown(void)
{
    sqlite3_close(db);
}

TestSuite(sqlite_plans, .init = setup, .fini = teardown);

/* How SQLite goes about a statement: its steps, a line each. */
static const char *plan_of(const char *sql)
{
    static char plan[4096];
    char text[8192];
    sqlite3_stmt *explain = NULL;
    *plan = '\0';
    snprintf(text, sizeof(text), "EXPLAIN QUERY PLAN %s", sql);
    cr_assert_eq(sqlite3_prepare_v2(db, text, -1, &explain, NULL), SQLITE_OK, "%s",
                 sqlite3_errmsg(db));
    while (sqlite3_step(explain) == SQLITE_ROW)
        snprintf(plan + strlen(plan), sizeof(plan) - strlen(plan), "%s\n",
                 (const char *)sqlite3_column_text(explain, 3));
    sqlite3_finalize(explain);
    return plan;
}

Test(sqlite_plans, what_clients_ask_often_is_found_by_an_index)
{
    static const struct {
        const char *query, *index;
    } cases[] = {
        {"{\"msg_id\": \"a\"}", "(msg_id=?)"},
        {"{\"msg_id\": {\"$eq\": \"a\"}}", "(msg_id=?)"},
        {"{\"msg_id\": {\"$in\": [\"a\", \"b\"]}}", "(msg_id=?)"},
        {"{\"completed\": null}", "(completed=?)"},
        {"{\"completed\": {\"$gt\": \"2026-01-01\"}}", "(completed>?)"},
        {"{\"submitted\": {\"$gt\": \"2026-01-01\", \"$lt\": \"2026-01-02\"}}",
         "(submitted>? AND submitted<?)"},
        {"{\"engine_uuid\": \"a\"}", "(engine_uuid=?)"},
        {"{\"engine_uuid\": \"a\", \"completed\": {\"$ne\": null}}", "(engine_uuid=?)"},
        {"{\"engine_uuid\": {\"$in\": [\"a\", \"b\"]}}", "(engine_uuid=?)"},
        {"{}", "a \"table\"-submitted"}, /* in order, without sorting */
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        json_t *query = json_loads(cases[i].query, 0, NULL);
        sqlite3_stmt *statement = sql_select(db, "a \"table\"", query, 1, NULL);
        cr_assert(statement, "%s", sqlite3_errmsg(db));
        const char *plan = plan_of(sqlite3_sql(statement));
        cr_expect(strstr(plan, cases[i].index), "%s: %s", cases[i].query, plan);
        sqlite3_finalize(statement);
        json_decref(query);
    }
}
