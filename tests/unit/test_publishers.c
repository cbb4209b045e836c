/* Whose output is taken: under which topics engines may publish. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "controller/schedulers/publishers.h"

static struct publishers publishers;

static void note(enum notice_kind kind, int id, const char *uuid, bool sealed)
{
    struct notice notice = {.kind = kind, .id = id, .sealed = sealed};
    snprintf(notice.uuid, sizeof(notice.uuid), "%s", uuid);
    snprintf(notice.route, sizeof(notice.route), "route-of-%s", uuid);
    publishers_note(&publishers, &notice);
}

static struct publisher *find(const char *uuid)
{
    return publishers_find(&publishers, uuid, strlen(uuid));
}

static bool may_use(const char *uuid, const char *topic)
{
    zmq_msg_t frame;
    zmq_msg_init_size(&frame, strlen(topic));
    memcpy(zmq_msg_data(&frame), topic, strlen(topic));
    bool may = publishers_may_use(&publishers, uuid ? find(uuid) : NULL, &frame);
    zmq_msg_close(&frame);
    return may;
}

static void release(void)
{
    publishers_release(&publishers);
}

TestSuite(publishers, .fini = release);

Test(publishers, an_engine_that_seals_has_the_topics_of_its_own_id_and_nobody_else_has_them)
{
    note(NOTICE_EXPECTED, 3, "ours", true);
    note(NOTICE_EXPECTED, 4, "theirs", false);
    cr_assert(may_use("ours", "engine.3.stdout") && may_use("ours", "status.3"));
    cr_assert(!may_use("ours", "engine.4.stdout") && !may_use("ours", "engine.33.stdout"));
    cr_assert(!may_use("ours", "stdout") && !may_use("ours", ""));
    for (size_t i = 0; i < 2; i++) {
        const char *other = i ? "theirs" : NULL;
        cr_assert(!may_use(other, "engine.3.stdout") && !may_use(other, "status.3"));
        cr_assert(may_use(other, "engine.4.stdout") && may_use(other, "datapub"));
    }
}

Test(publishers, what_an_engine_said_last_is_taken_after_it_has_gone)
{
    note(NOTICE_EXPECTED, 3, "first", true);
    note(NOTICE_GONE, 3, "first", true);
    note(NOTICE_EXPECTED, 3, "second", true);
    cr_assert(may_use("first", "engine.3.stdout") && may_use("second", "engine.3.stdout"));
    cr_assert(!may_use(NULL, "engine.3.stdout"));
    note(NOTICE_GONE, 3, "second", true);
    cr_assert(may_use("second", "engine.3.stdout"));
}

Test(publishers, an_engine_that_comes_back_has_its_new_id)
{
    note(NOTICE_KNOWN, 3, "ours", true);
    cr_assert(may_use("ours", "engine.3.stdout"));
    note(NOTICE_EXPECTED, 5, "ours", true);
    cr_assert(may_use("ours", "engine.5.stdout") && !may_use("ours", "engine.3.stdout"));
    cr_assert_str_eq(find("ours")->route, "route-of-ours");
}

Test(publishers, of_those_that_have_gone_some_are_remembered)
{
    char uuid[16];
    for (int i = 0; i <= PUBLISHERS_GONE_MAX; i++) {
        snprintf(uuid, sizeof(uuid), "e%d", i);
        note(NOTICE_EXPECTED, i, uuid, true);
        note(NOTICE_GONE, i, uuid, true);
        note(NOTICE_GONE, i, uuid, true);
    }
    cr_assert(!find("e0") && find("e1"));
    cr_assert_eq(HASH_CNT(hh_uuid, publishers.by_uuid), PUBLISHERS_GONE_MAX);
}
