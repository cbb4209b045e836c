/* Replies that are earlier than their clients: each client gets its own in order, and one that is
 * not there costs one try at a time, however much waits for it. */
#include <criterion/criterion.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "controller/early.h"
#include "controller/flight.h"
#include "controller/outbox.h"
#include "unit.h"
#include "wire/loop.h"

#define REPLIES 100

/* In the place of the outbox: which clients are there, how often sending was tried, and what they
 * got. */
static bool first_is_there, second_is_there;
static int tries, to_first, to_second;

enum outbox_fate outbox_send(struct outbox *outbox, struct message *message, size_t reserve)
{
    (void)outbox;
    (void)reserve;
    tries++;
    bool first = !memcmp(zmq_msg_data(&message->frames[0]), "first", 5);
    if (!(first ? first_is_there : second_is_there))
        return OUTBOX_ABSENT;
    if (first)
        cr_expect_eq(
            memcmp(zmq_msg_data(&message->frames[message->count - 1]), &to_first, sizeof(int)), 0);
    ++*(first ? &to_first : &to_second);
    message_clear(message);
    return OUTBOX_TAKEN;
}

size_t flight_weight(const struct message *message)
{
    return message->count;
}

static void reply_to(struct early *early, const char *client, int number)
{
    struct message message;
    char parent[64];
    snprintf(parent, sizeof(parent), "{\"session\": \"%s\"}", client);
    message_init(&message);
    message_append(&message, client, strlen(client));
    message_append_delimiter(&message);
    for (int part = MESSAGE_SIGNATURE; part <= MESSAGE_CONTENT; part++) {
        const char *text = part == MESSAGE_PARENT ? parent : "{}";
        message_append(&message, text, strlen(text));
    }
    message_append(&message, &number, sizeof(number));
    early_hold(early, &message);
    message_close(&message);
}

static int tries_of_tick(struct early *early)
{
    tries = 0;
    early_tick(early, early->next_try_ms);
    return tries;
}

Test(early, a_client_that_is_not_there_costs_one_try_and_holds_up_no_other)
{
    struct ipcl_error error;
    struct controller controller = {.restarted = true};
    struct early early = {0};
    struct session *session =
        session_create("key", 3, "hmac-sha256", unit_serial("json"), NULL, &error);
    cr_assert(session, "%s", error.text);
    early_prepare(&early, &controller, session, NULL);
    early.until_ms = LLONG_MAX; /* however slow this machine is */
    for (int i = 0; i < REPLIES; i++)
        reply_to(&early, "first", i);
    reply_to(&early, "second", 0);
    cr_expect_eq(tries_of_tick(&early), 2, "one for each client");
    second_is_there = true;
    cr_expect_eq(tries_of_tick(&early), 2);
    cr_expect_eq(to_second, 1);
    cr_expect_eq(tries_of_tick(&early), 1);
    first_is_there = true;
    cr_expect_eq(tries_of_tick(&early), REPLIES);
    cr_expect_eq(to_first, REPLIES, "all of its replies, in their order");
    cr_expect_null(early.first);
    early_release(&early);
    session_destroy(session);
}
