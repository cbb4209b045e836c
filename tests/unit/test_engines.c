/* The hub's engines and its ledger: ids, uuids, expiry, and requests that end with their reply or
 * their engine. */
#include <criterion/criterion.h>
#include <string.h>

#include "controller/hub/engines.h"
#include "controller/hub/ledger.h"
#include "controller/restart/previous.h"

static struct hub_engine *accept_engine(struct engines *engines, const char *uuid, long long wanted)
{
    struct ipcl_error error = {""};
    struct hub_engine *engine = engines_accept(engines, uuid, wanted, 100, &error);
    cr_assert(engine, "%s", error.text);
    return engine;
}

Test(engines, get_the_id_they_want_or_one_that_nobody_had)
{
    struct engines engines = {0};
    cr_assert_eq(accept_engine(&engines, "a", -1)->id, 0);
    cr_assert_eq(accept_engine(&engines, "b", 5)->id, 5);
    cr_assert_eq(accept_engine(&engines, "c", 5)->id, 6);
    cr_assert_eq(accept_engine(&engines, "d", 3)->id, 3);
    struct hub_engine *gone = engines_by_id(&engines, 6);
    engines_take(&engines, gone);
    engines_free(gone);
    cr_assert_eq(accept_engine(&engines, "e", -1)->id, 7);
    cr_assert_eq(accept_engine(&engines, "f", 6)->id, 6);
    cr_assert_str_eq(engines_by_id(&engines, 5)->uuid, "b");
    cr_assert_eq(engines_by_uuid(&engines, "d")->id, 3);
    engines_release(&engines);
}

Test(engines, get_ids_that_are_free_again_when_all_have_been_given)
{
    struct engines engines = {0};
    accept_engine(&engines, "a", 0);
    accept_engine(&engines, "b", ENGINE_ID_MAX);
    cr_assert_eq(accept_engine(&engines, "c", -1)->id, 1);
    cr_assert_eq(accept_engine(&engines, "d", 0)->id, 2);
    engines_release(&engines);
}

Test(engines, nonsense_is_refused_with_a_reason)
{
    struct engines engines = {0};
    char longest[ENGINE_UUID_BYTES + 1];
    const char *wrong[] = {"", "two words", "tab\t", "\xc3\xa4", longest};
    memset(longest, 'x', sizeof(longest) - 1);
    longest[ENGINE_UUID_BYTES] = '\0';
    for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
        struct ipcl_error error = {""};
        cr_assert_null(engines_accept(&engines, wrong[i], -1, 0, &error));
        cr_assert(*error.text);
    }
    long long ids[] = {-2, ENGINE_ID_MAX + 1LL, 1LL << 40};
    for (size_t i = 0; i < sizeof(ids) / sizeof(*ids); i++)
        cr_assert_null(engines_accept(&engines, "fine", ids[i], 0, NULL));
    accept_engine(&engines, "fine", ENGINE_ID_MAX);
    cr_assert_null(engines_accept(&engines, "fine", -1, 0, NULL));
    engines_release(&engines);
}

Test(engines, say_of_themselves_what_is_small_and_plain)
{
    struct engines engines = {0};
    struct hub_engine *engine = accept_engine(&engines, "a", -1);
    json_t *info = json_pack("{s:s s:i s:f}", "host",
                             "n\xc3\xb6"
                             "de",
                             "pid", 7, "load", 0.5);
    cr_assert_eq(engines_describe(engine, info, NULL), 0);
    cr_assert_eq(engines_describe(engine, NULL, NULL), 0, "it says nothing new");
    char shown[ENGINE_NAME_BYTES];
    engines_name(engine, shown);
    cr_assert_str_eq(shown, "engine 0 (n\xc3\xb6"
                            "de, process 7)");
    json_object_set_new(info, "job", json_string("Slurm job 88"));
    engines_name(engine, shown);
    cr_assert_str_eq(shown, "engine 0 (n\xc3\xb6"
                            "de, process 7, Slurm job 88)");
    json_t *many = json_object(), *nonsense[] = {json_array(),
                                                 json_string("n1"),
                                                 json_pack("{s:[]}", "a"),
                                                 json_pack("{s:{}}", "a"),
                                                 json_pack("{s:b}", "a", 1),
                                                 json_pack("{s:n}", "a"),
                                                 json_pack("{s:s}", "a", "two\nlines"),
                                                 json_pack("{s:s}", "\x1b[2J", "name"),
                                                 json_pack("{s:o}", "a", json_sprintf("%300d", 1)),
                                                 many};
    for (char name[] = "a"; name[0] <= 'z'; name[0]++)
        json_object_set_new(many, name, json_integer(1));
    for (size_t i = 0; i < sizeof(nonsense) / sizeof(*nonsense); i++) {
        struct ipcl_error error = {""};
        cr_assert_eq(engines_describe(engine, nonsense[i], &error), -1);
        cr_assert(*error.text);
        json_decref(nonsense[i]);
    }
    cr_assert_eq(engine->info, info);
    json_decref(info);
    engines_release(&engines);
}

Test(engines, only_the_unconfirmed_expire)
{
    struct engines engines = {0};
    struct hub_engine *confirmed = accept_engine(&engines, "a", -1),
                      *late = accept_engine(&engines, "b", -1);
    engines_confirm(&engines, confirmed);
    cr_assert_eq(engines.registered, 1);
    cr_assert_null(engines_expired(&engines, 99));
    cr_assert_eq(engines_expired(&engines, 100), late);
    engines_take(&engines, late);
    engines_free(late);
    cr_assert_null(engines_expired(&engines, 1000));
    engines_take(&engines, confirmed);
    engines_free(confirmed);
    cr_assert_eq(engines.registered, 0);
    engines_release(&engines);
}

Test(ledger, requests_end_with_their_reply_or_their_engine)
{
    struct engines engines = {0};
    struct ledger ledger;
    cr_assert_eq(ledger_init(&ledger, NULL), 0);
    struct hub_engine *engine = accept_engine(&engines, "a", -1);
    ledger_submit(&ledger, "direct", REPORT_DIRECT, engine);
    ledger_submit(&ledger, "lost", REPORT_DIRECT, engine);
    ledger_submit(&ledger, "task", REPORT_TASK, NULL);
    cr_assert_eq(ledger.unassigned_count, 1);
    ledger_assign(&ledger, "task", engine);
    ledger_assign(&ledger, "unknown", engine);
    cr_assert_eq(ledger.unassigned_count, 0);
    cr_assert_eq(engine->pending_count[REPORT_DIRECT], 2);
    cr_assert_eq(engine->pending_count[REPORT_TASK], 1);
    ledger_done(&ledger, "direct");
    ledger_done(&ledger, "direct");
    cr_assert_eq(engine->completed, 1);
    cr_assert_null(ledger_find(&ledger, "direct"));
    ledger_forget_engine(&ledger, engine);
    cr_assert_null(ledger_find(&ledger, "lost"));
    cr_assert_null(ledger_find(&ledger, "task")->engine);
    cr_assert_eq(ledger.unassigned_count, 1);
    engines_release(&engines);
    ledger_submit(&ledger, "task", REPORT_TASK, NULL);
    cr_assert_eq(ledger.unassigned_count, 1);
    ledger_release(&ledger);
}

/* As one of the previous controller's. */
static void add_previous(struct previous *previous, int id)
{
    struct hub_engine engine = {.id = id};
    snprintf(engine.uuid, sizeof(engine.uuid), "uuid-%d", id);
    previous_add(previous, &engine);
}

Test(previous, each_that_is_missing_is_found_once_and_of_the_gone_the_last_thousand_are_told)
{
    struct previous previous = {.by_uuid = NULL};
    struct engines engines = {.by_id = NULL};
    const struct hub_engine *missing = NULL;
    struct ipcl_error error;
    int count = 0;
    for (int id = 0; id < 1002; id++)
        add_previous(&previous, id);
    cr_assert(engines_accept(&engines, "uuid-7", 7, 0, &error));
    while ((missing = previous_missing(&previous, &engines, missing))) {
        cr_assert(previous_end(&previous, missing->uuid, "it died"));
        count++;
    }
    cr_assert_eq(count, 1001);
    json_t *told = previous_to_json(&previous);
    cr_assert_eq(json_object_size(told), 1001);
    cr_assert(json_is_null(json_object_get(told, "uuid-7")));
    cr_assert_not(json_object_get(told, "uuid-0"), "the oldest is forgotten");
    cr_assert(json_is_string(json_object_get(told, "uuid-1001")));
    json_decref(told);
    previous_forget(&previous, "uuid-1");
    previous_release(&previous);
    engines_release(&engines);
}
