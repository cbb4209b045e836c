/* What batch systems print: ids of jobs as sites have them, and what became of jobs. */
#include <criterion/criterion.h>
#include <string.h>

#include "cluster/batch/batch_query.h"

static void expect_id(const char *expression, unsigned group, const char *printed, const char *id)
{
    struct ipcl_error error;
    char found[BATCH_ID_BYTES];
    cr_expect_eq(batch_read_id(expression, group, printed, found, &error), 0, "%s", error.text);
    cr_expect_str_eq(found, id);
}

Test(batch_query, ids_are_read_as_sites_print_them)
{
    expect_id("Submitted batch job ([0-9]+)|^([0-9]+)", 0, "Submitted batch job 12\n", "12");
    expect_id("Submitted batch job ([0-9]+)|^([0-9]+)", 0, "remark\n1234;cluster\n", "1234");
    expect_id("^[0-9]+[^ \n]*", 0, "1234[].server\n", "1234[].server");
    expect_id("\\d+", 0, "Your job 7 (\"x\") has been submitted", "7");
    expect_id("Job <(\\d+)> (is)", 1, "Job <88> is submitted", "88");
    expect_id("Job <(\\d+)> (is)", 2, "Job <88> is submitted", "is");
}

Test(batch_query, what_has_no_id_is_quoted_in_one_line)
{
    struct ipcl_error error;
    char found[BATCH_ID_BYTES];
    cr_expect_eq(batch_read_id("\\d+", 0, " no\n  luck \n", found, &error), -1);
    cr_expect(strstr(error.text, "'no luck'"), "%s", error.text);
    cr_expect_eq(batch_read_id("(", 0, "1", found, &error), -1);
    cr_expect(strstr(error.text, "not a regular expression"), "%s", error.text);
}

static const struct ipcl_batch_state states[] = {
    {"Q", IPCL_BATCH_PENDING, NULL},          {"H", IPCL_BATCH_PENDING, "is held"},
    {"R", IPCL_BATCH_RUNNING, NULL},          {"F", IPCL_BATCH_ENDED, NULL},
    {"Y X*", IPCL_BATCH_ENDED, "was killed"}, {.words = NULL},
};
static const struct ipcl_batch_system made_up = {
    .query = {.record = "^Job Id: (.*)$",
              .state = "state = (.*)$",
              .reason = "comment = (.*)$",
              .exit_status = "Exit_status = (-?[0-9]+)"},
    .history = {.record = "^Job (.*)$", .state = "state (.)", .reason = "deleted_(by .*)$"},
    .states = states,
};

struct records {
    struct batch_record list[8];
    size_t count;
};

static bool keep(void *context, const struct batch_record *record)
{
    struct records *records = context;
    records->list[records->count++] = *record;
    return records->count == 8;
}

Test(batch_query, records_of_several_lines_are_told_apart)
{
    struct ipcl_error error;
    struct records records = {.count = 0};
    cr_assert_eq(
        batch_read(&made_up, &made_up.query,
                   "a remark\nJob Id: 1.server\n    state = Q\n    comment = no room\n"
                   "Job Id: 2.server\n    state = R\nJob Id: 3\n    Exit_status = 3\n"
                   "    state = F\nJob Id: 4\n    state = X9\nJob Id: 5\n    state = odd\n",
                   keep, &records, &error),
        0);
    cr_assert_eq(records.count, 5);
    cr_expect_str_eq(records.list[0].id, "1.server");
    cr_expect_str_eq(records.list[0].text, "no room");
    cr_expect_eq(records.list[0].phase, IPCL_BATCH_PENDING);
    cr_expect_eq(records.list[1].phase, IPCL_BATCH_RUNNING);
    cr_expect_str_eq(records.list[1].text, "");
    cr_expect_eq(records.list[2].status, 3);
    cr_expect_str_eq(records.list[2].text, "ended with exit status 3");
    cr_expect_eq(records.list[3].status, 1);
    cr_expect_str_eq(records.list[3].text, "was killed");
    cr_expect_eq(records.list[4].phase, IPCL_BATCH_PENDING);
    cr_expect_str_eq(records.list[4].text, "odd");
}

Test(batch_query, the_history_says_by_whom_a_job_was_ended)
{
    struct ipcl_error error;
    struct records records = {.count = 0};
    const char printed[] = "Job 1\nstate X\ndeleted_by   alice\nJob 2\nstate X\ndeleted_on\n";
    cr_assert_eq(batch_read(&made_up, &made_up.history, printed, keep, &records, &error), 0);
    cr_expect_str_eq(records.list[0].text, "was killed by alice");
    cr_expect_str_eq(records.list[1].text, "was killed");
}

Test(batch_query, a_signal_is_told_by_its_name_whether_it_is_in_the_status_or_behind_it)
{
    static const struct ipcl_batch_query both = {.record = "^([0-9]+)",
                                                 .state = "F",
                                                 .exit_status = "=([0-9]+)",
                                                 .exit_signal = ":([0-9]+)",
                                                 .raw_status = true};
    static const struct {
        const char *printed;
        int status;
        const char *said;
    } ends[] = {
        {"7 F=9\n", 128 + 9, "was ended by signal 9 (Killed)"},
        {"7 F=0:9\n", 128 + 9, "was ended by signal 9 (Killed)"},
        {"7 F=768\n", 3, "ended with exit status 3"},
        {"7 F=3:0\n", 3, "ended with exit status 3"},
        {"7 F=0:0\n", 0, ""},
    };
    for (size_t i = 0; i < sizeof(ends) / sizeof(*ends); i++) {
        struct ipcl_error error;
        struct records records = {.count = 0};
        cr_assert_eq(batch_read(&made_up, &both, ends[i].printed, keep, &records, &error), 0);
        cr_expect_eq(records.list[0].status, ends[i].status, "%s", ends[i].printed);
        cr_expect_str_eq(records.list[0].text, ends[i].said, "%s", ends[i].printed);
    }
}
