/* Replies that are earlier than their clients: each client gets its own in order, and one that is
 * not there costs one try at a time, however much waits for it. */
#include <criterion/criterion.h>
#include <limits.h>
#include <string.h>

#include "controller/early.h"
#include "wire/loop.h"

#define REPLIES 100

/* In the place of the socket: which clients are there, how often sending was tried, and what the
 * first of them got. */
static bool first_is_there, second_is_there;
static int tries, to_first, to_second;

int __wrap_message_send(struct message *message, void *socket);

int __wrap_message_send(struct message *message, void *socket)
{
    (void)socket;
    tries++;
    bool first = !memcmp(zmq_msg_data(&message->frames[0]), "first", 5);
    if (!(first ? first_is_there : second_is_there))
        return -1;
    if (first)
        cr_expect_eq(memcmp(zmq_msg_data(&message->frames[1]), &to_first, sizeof(int)), 0);
    ++*(first ? &to_first : &to_second);
    message_clear(message);
    return 0;
}

static void reply_to(struct early *early, const char *client, int number)
{
    struct message message;
    message_init(&message);
    message_append(&message, client, strlen(client));
    message_append(&message, &number, sizeof(number));
    early_send(early, &message);
    message_close(&message);
}

static long long tick(struct early *early)
{
    tries = 0;
    return early_tick(early, early->next_try_ms);
}

/* A controller that replaced another, and replies to two clients that are not back. */
static struct early open_early(void)
{
    struct controller controller = {.restarted = true};
    struct early early = {0};
    early_prepare(&early, &controller, NULL);
    cr_assert(early.until_ms > 0);
    early.until_ms = LLONG_MAX; /* however slow this machine is */
    for (int i = 0; i < REPLIES; i++)
        reply_to(&early, "first", i);
    reply_to(&early, "second", 0);
    return early;
}

Test(early, a_client_that_is_not_there_costs_one_try_and_holds_up_no_other)
{
    struct early early = open_early();
    cr_expect_neq(tick(&early), LOOP_NEVER);
    cr_expect_eq(tries, 2, "one for each client");
    second_is_there = true;
    cr_expect_neq(tick(&early), LOOP_NEVER);
    cr_expect_eq(tries, 2);
    cr_expect_eq(to_second, 1);
    cr_expect_neq(tick(&early), LOOP_NEVER);
    cr_expect_eq(tries, 1);
    first_is_there = true;
    cr_expect_eq(tick(&early), LOOP_NEVER);
    cr_expect_eq(to_first, REPLIES, "all of its replies, in their order");
}

Test(early, what_is_for_clients_that_never_come_is_let_go)
{
    struct early early = open_early();
    early.until_ms = 1;
    tick(&early);
    cr_expect_null(early.first);
    cr_expect_eq(to_first + to_second, 0);
    reply_to(&early, "first", 0);
    cr_expect_null(early.first);
    early_release(&early);
}
