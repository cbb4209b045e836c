/* The file of hand-outs: a task counts as given out, unless it is certain that it was not. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "controller/delivery/handouts.h"
#include "unit.h"

#define RING 131072

static char folder[PATH_BYTES], file[2 * PATH_BYTES];

static void setup(void)
{
    unit_make_folder(folder);
    snprintf(file, sizeof(file), "%s/given-out", folder);
}

static void teardown(void)
{
    unit_remove_folder(folder);
}

TestSuite(handouts, .init = setup, .fini = teardown);

static struct handouts *reopen(int64_t session, int64_t before)
{
    struct ipcl_error error;
    struct handouts *handouts = handouts_open(file, session, before, &error);
    cr_assert(handouts, "%s", error.text);
    return handouts;
}

/* A controller with a store that nobody had before. */
static struct handouts *begin(void)
{
    struct handouts *handouts = reopen(1, 0);
    cr_assert(handouts_may_have(handouts, "any"));
    handouts_begin(handouts);
    return handouts;
}

static void add(struct handouts *handouts, const char *msg_id)
{
    const struct handout handout = {.engine = handouts_hash("an engine", 9), .counter = 7};
    handouts_add(handouts, msg_id, strlen(msg_id), &handout);
}

Test(handouts, what_was_given_out_is_found_by_those_who_come_after)
{
    struct handouts *handouts = begin();
    struct stat status;
    add(handouts, "a");
    add(handouts, "b");
    add(handouts, "unreachable");
    handouts_undo(handouts);
    add(handouts, "c");
    handouts_settle(handouts, 1);
    handouts_close(handouts);
    cr_assert(!stat(file, &status) && (status.st_mode & 0777) == 0600);
    handouts = reopen(2, 1);
    cr_assert(handouts_may_have(handouts, "a"));
    cr_assert(handouts_may_have(handouts, "b"));
    cr_assert(handouts_may_have(handouts, "c"));
    cr_assert_not(handouts_may_have(handouts, "z"));
    cr_assert_not(handouts_may_have(handouts, "unreachable"));
    /* The controller is killed before the store has the task. */
    add(handouts, "d");
    handouts_close(handouts);
    handouts = reopen(3, 2);
    cr_assert(handouts_may_have(handouts, "b"));
    cr_assert(handouts_may_have(handouts, "d"));
    handouts_begin(handouts);
    handouts_close(handouts);
    /* The store may never have got the task, and its client sends it again only now. */
    handouts = reopen(4, 3);
    cr_assert(handouts_may_have(handouts, "b"));
    cr_assert(handouts_may_have(handouts, "d"));
    handouts_close(handouts);
    handouts_close(reopen(6, 5));
    handouts = reopen(7, 6);
    handouts_begin(handouts);
    handouts_close(handouts);
    handouts = reopen(8, 7);
    cr_assert(handouts_may_have(handouts, "d"), "also where another had the store meanwhile");
    cr_assert_not(handouts_may_have(handouts, "z"));
    handouts_close(handouts);
}

static void add_as(struct handouts *handouts, const char *msg_id, const struct handout *handout)
{
    handouts_add(handouts, msg_id, strlen(msg_id), handout);
}

Test(handouts, what_became_of_a_task_last_is_known_until_it_is_forgotten)
{
    const struct handout first = {.engine = 1, .counter = 11, .retries = 2, .deaths = 0},
                         second = {.engine = 2, .counter = 12, .retries = 1, .deaths = 1},
                         taken_back = {.retries = 1, .deaths = 1};
    struct handout found;
    struct handouts *handouts = begin();
    add_as(handouts, "a", &second);
    add_as(handouts, "b", &first);
    add_as(handouts, "b", &second);
    add_as(handouts, "a", &taken_back);
    handouts_settle(handouts, 1);
    handouts_close(handouts);

    handouts = reopen(2, 1);
    cr_assert(handouts_find(handouts, "b", &found));
    cr_assert_eq(found.engine, 2);
    cr_assert_eq(found.counter, 12);
    cr_assert_eq(found.retries, 1);
    cr_assert_eq(found.deaths, 1);
    cr_assert(handouts_find(handouts, "a", &found));
    cr_assert_eq(found.engine, 0);
    cr_assert_not(handouts_find(handouts, "c", &found));
    cr_assert(handouts_may_have(handouts, "b"));
    cr_assert_not(handouts_may_have(handouts, "a"), "it was taken back");
    handouts_forget(handouts);
    cr_assert_not(handouts_find(handouts, "b", &found));
    handouts_close(handouts);

    handouts = reopen(4, 3);
    cr_assert_not(handouts_find(handouts, "b", &found), "another controller had the store");
    handouts_close(handouts);
}

Test(handouts, nothing_is_certain_where_another_controller_had_the_store)
{
    handouts_close(begin());
    for (int64_t before = 0; before < 3; before += 2) {
        struct handouts *handouts = reopen(1, before);
        cr_assert(handouts_may_have(handouts, "a"));
        handouts_close(handouts);
    }
    cr_assert(handouts_may_have(NULL, "a"));
}

Test(handouts, nothing_is_certain_where_the_store_lost_something_or_is_far_behind)
{
    struct handouts *handouts = begin();
    handouts_doubt(handouts);
    handouts_close(handouts);
    handouts = reopen(2, 1);
    cr_assert(handouts_may_have(handouts, "a"));
    handouts_begin(handouts);
    for (int i = 0; i <= RING; i++)
        add(handouts, "x");
    handouts_close(handouts);
    handouts = reopen(3, 2);
    cr_assert(handouts_may_have(handouts, "a"));
    handouts_begin(handouts);
    for (int i = 0; i < RING; i++)
        add(handouts, "y");
    handouts_close(handouts);
    handouts = reopen(4, 3);
    cr_assert_not(handouts_may_have(handouts, "a"));
    cr_assert(handouts_may_have(handouts, "y"));
    /* What is lost before it begins is doubtful afterwards, too. */
    handouts_doubt(handouts);
    handouts_begin(handouts);
    handouts_close(handouts);
    handouts = reopen(5, 4);
    cr_assert(handouts_may_have(handouts, "a"));
    handouts_close(handouts);
}

Test(handouts, a_damaged_file_is_nobodys)
{
    for (int size = 0; size < 200; size += 7) {
        handouts_close(begin());
        cr_assert(!truncate(file, size));
        struct handouts *handouts = reopen(2, 1);
        cr_assert(handouts_may_have(handouts, "a"));
        handouts_close(handouts);
        unlink(file);
    }
    int fd = open(file, O_WRONLY | O_CREAT, 0600);
    for (int i = 0; i < 5000; i++)
        cr_assert_eq(write(fd, "garbage garbage garbage garbage", 32), 32);
    close(fd);
    struct handouts *handouts = reopen(2, 1);
    cr_assert(handouts_may_have(handouts, "a"));
    handouts_close(handouts);
}

Test(handouts, a_file_that_cannot_be_made_is_named)
{
    struct ipcl_error error;
    snprintf(file, sizeof(file), "%s/missing/given-out", folder);
    cr_assert_null(handouts_open(file, 1, 0, &error));
    cr_assert(strstr(error.text, file));
}
