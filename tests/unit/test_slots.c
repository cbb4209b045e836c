/* The places of a set's engines. */
#include <criterion/criterion.h>
#include <stdio.h>

#include "cluster/supervisor/slots.h"

#define LATE_MS 3000

static struct slots slots;
static unsigned gone;
static int ids[8];
static unsigned id_count;

static void open_slots(void)
{
    slots = (struct slots){.list = NULL};
    gone = 0;
}

static void close_slots(void)
{
    slots_release(&slots);
}

TestSuite(slots, .init = open_slots, .fini = close_slots);

static void count_gone(void *context, const struct engine_slot *slot)
{
    (void)context;
    (void)slot;
    gone++;
}

/* The hub lists engines of these ids; each has the uuid "ID.life". */
static void list(const char *registered, int life)
{
    for (; *registered; registered++) {
        char uuid[16];
        snprintf(uuid, sizeof(uuid), "%c.%d", *registered, life);
        slots_see(&slots, *registered - '0', uuid);
    }
}

static void see(const char *registered, int life)
{
    list(registered, life);
    slots_seen(&slots);
}

static unsigned start(long long now_ms)
{
    slots_settle(&slots, now_ms, count_gone, NULL);
    return slots_start(&slots, now_ms, ids, &id_count);
}

Test(slots, an_engine_comes_back_under_its_id_once_launcher_and_hub_miss_it)
{
    slots.returns_max = 1;
    slots_add(&slots, 2);
    see("37", 0);
    slots_ended(&slots, 1, -1, false, 0);
    cr_assert_eq(start(1000), 0); /* the hub has not noticed: the id is not free */
    see("7", 0);
    cr_assert_eq(start(100), 0); /* it takes a while */
    cr_assert_eq(start(1000), 1);
    cr_assert_eq(id_count, 1);
    cr_assert_eq(ids[0], 3);
    cr_assert_eq(start(9000), 0);
    list("3", 1);
    see("7", 0);
    cr_assert_not(slots_pending(&slots));
}

Test(slots, an_engine_that_the_hub_alone_misses_is_not_started_twice)
{
    slots.returns_max = 9;
    slots_add(&slots, 1);
    see("0", 0);
    see("", 0);
    cr_assert_eq(start(100000), 0);
    see("0", 0);
    cr_assert(slots_find(&slots, 0));
}

Test(slots, each_comes_back_as_often_as_it_may_and_later_each_time)
{
    long long now_ms = 0, waited_ms = 0;
    slots.returns_max = 3;
    slots_add(&slots, 1);
    for (int life = 0; life < 4; life++) {
        long long died_ms = now_ms;
        see("5", life);
        slots_ended(&slots, 1, 5, false, now_ms);
        see("", life);
        cr_assert(slots_hope(&slots) || life == 3);
        while (life < 3 && start(now_ms) == 0)
            now_ms += 10;
        cr_assert_geq(now_ms - died_ms, life < 3 ? 2 * waited_ms : 0);
        waited_ms = now_ms - died_ms;
    }
    cr_assert_eq(start(now_ms + 1000000), 0);
    cr_assert_eq(gone, 1);
    cr_assert_not(slots_hope(&slots));
}

Test(slots, engines_that_ended_together_come_back_together)
{
    slots.returns_max = 1;
    slots_add(&slots, 3);
    see("012", 0);
    slots_ended(&slots, 3, -1, false, 0);
    see("2", 0);
    cr_assert_eq(start(1000), 0);
    cr_assert_eq(start(2000), 0); /* the hub has not noticed yet that one has ended */
    see("", 0);
    cr_assert_eq(start(2000), 3);
    cr_assert_eq(id_count, 3);
}

Test(slots, an_engine_that_ended_well_or_was_to_end_does_not_come_back)
{
    slots.returns_max = 9;
    slots_add(&slots, 2);
    see("01", 0);
    slots_find(&slots, 1)->fate = FATE_END;
    slots_ended(&slots, 1, 0, true, 0);
    slots_ended(&slots, 1, 1, false, 0);
    see("", 0);
    cr_assert_eq(start(100000), 0);
    cr_assert_eq(gone, 2);
}

Test(slots, an_engine_that_is_to_come_back_does_so_at_once_however_it_ended)
{
    slots_add(&slots, 1);
    see("4", 0);
    slots_find(&slots, 4)->fate = FATE_RESTART;
    slots_ended(&slots, 1, 4, true, 7);
    see("", 0);
    cr_assert_eq(start(7), 1);
    cr_assert_eq(ids[0], 4);
}

Test(slots, an_engine_that_never_came_is_started_again_without_an_id)
{
    slots.returns_max = 1;
    slots_add(&slots, 2);
    see("0", 0);
    slots_ended(&slots, 1, -1, false, 0);
    cr_assert_eq(start(0), 0); /* it may still be the other */
    cr_assert_eq(start(LATE_MS), 1);
    cr_assert_eq(id_count, 0);
    see("09", 0);
    cr_assert(slots_find(&slots, 9));
}

Test(slots, of_too_many_engines_each_that_ends_is_one_less)
{
    slots.returns_max = 9;
    slots_add(&slots, 3);
    see("012", 0);
    slots_ended(&slots, 1, 2, false, 0);
    see("01", 0);
    start(0);
    cr_assert_eq(slots_count(&slots), 3);
    cr_assert_eq(slots_forgo(&slots, 2), 1); /* the one that was to come back */
    slots.surplus = 1;
    slots_ended(&slots, 1, 1, false, 0);
    see("0", 0);
    cr_assert_eq(slots_leaving(&slots), 1);
    cr_assert_eq(start(100000), 0);
    cr_assert_eq(slots_count(&slots), 1);
    slots_ended(&slots, 1, 0, false, 100000);
    see("", 0);
    start(100000);
    cr_assert_eq(start(200000), 1);
}

Test(slots, what_cannot_be_started_again_counts_as_having_ended)
{
    slots.returns_max = 2;
    slots_add(&slots, 1);
    see("0", 0);
    slots_ended(&slots, 1, 0, false, 0);
    see("", 0);
    start(0);
    cr_assert_eq(start(1000), 1);
    slots_failed(&slots, 1000);
    start(1000);
    cr_assert_eq(start(3000), 1);
    cr_assert_eq(ids[0], 0);
}

Test(slots, an_engine_that_comes_back_is_not_taken_for_one_that_leaves)
{
    slots_add(&slots, 2);
    see("01", 0);
    slots_find(&slots, 0)->fate = FATE_RESTART;
    slots_find(&slots, 1)->fate = FATE_END;
    cr_assert_eq(slots_leaving(&slots), 1);
    see("", 0);
    cr_assert_eq(slots_leaving(&slots), 1);
}

Test(slots, an_engine_that_has_ended_is_known_before_the_hub_has_noticed)
{
    slots_add(&slots, 3);
    see("012", 0);
    slots_ended(&slots, 1, 1, false, 0);
    cr_assert_eq(slots_leaving(&slots), 0);
    cr_assert_eq(slots_unnoticed(&slots), 1);
    see("02", 0);
    cr_assert_eq(slots_leaving(&slots), 1);
    cr_assert_eq(slots_unnoticed(&slots), 0);
}

Test(slots, the_place_of_an_engine_that_is_not_counted_any_more_goes)
{
    slots.returns_max = 9;
    slots_add(&slots, 3);
    see("01", 0);
    slots_ended(&slots, 2, -1, false, 0);
    slots.lost = 2;
    see("0", 0);
    cr_assert_eq(start(0), 0);
    cr_assert_eq(start(LATE_MS), 0);
    cr_assert_eq(start(2 * LATE_MS), 0);
    cr_assert_eq(slots_count(&slots), 1);
    cr_assert_eq(gone, 0);
    cr_assert_not(slots_pending(&slots));
    slots_ended(&slots, 1, 0, false, 9000);
    see("", 0);
    start(9000);
    cr_assert_eq(start(20000), 1);
}

Test(slots, what_is_cancelled_before_it_comes_goes_at_once_and_takes_no_others_place)
{
    slots.returns_max = 9;
    slots_add(&slots, 4);
    see("0", 0);
    slots_cancel(&slots, 2);
    cr_assert_eq(slots_leaving(&slots), 2);
    see("01", 0); /* the one that is still wanted has come */
    cr_assert_eq(slots_leaving(&slots), 2);
    slots_ended(&slots, 2, -1, true, 0);
    cr_assert_eq(start(0), 0);
    cr_assert_eq(gone, 2);
    cr_assert_eq(slots_count(&slots), 2);
    cr_assert_not(slots_pending(&slots));
}

Test(slots, an_engine_of_a_job_that_waits_once_more_is_expected_and_comes_under_any_id)
{
    slots.returns_max = 1;
    slots_add(&slots, 3);
    see("012", 0);
    slots_wait(&slots, 2, 0);
    see("2", 0);
    cr_assert_eq(start(0), 0);
    cr_assert_eq(slots_leaving(&slots), 0);
    cr_assert_eq(slots_expected(&slots), 2);
    slots_cancel(&slots, 1);
    cr_assert_eq(slots_expected(&slots), 1);
    list("7", 1);
    see("2", 0);
    cr_assert_eq(start(0), 0);
    cr_assert_not(slots_pending(&slots));
    /* One that dies has died. */
    see("2", 0);
    slots_ended(&slots, 1, -1, false, 10);
    cr_assert_eq(start(10000), 1);
    cr_assert_eq(ids[0], 7);
}
