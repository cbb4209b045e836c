/* Replies that come before their clients have connected: each client gets its own in order. A
 * client that is not there costs one try at a time, however much waits for it. A client that libzmq
 * names is found by its old name, and then by its session. */
#include <criterion/criterion.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "controller/delivery/early.h"
#include "controller/exchange/segments.h"
#include "controller/delivery/flight.h"
#include "controller/delivery/outbox.h"
#include "unit.h"
#include "wire/loop.h"

#define REPLIES 100

/* Replaces the outbox: which clients are there, how often sending was tried, and what they got. */
static bool first_is_there, second_is_there;
static int tries, to_first, to_second;
static char last_name[6];

int segments_give(enum connection_role role, struct message *message)
{
    (void)role;
    (void)message;
    return 0;
}

void segments_recall(enum connection_role role, struct message *message)
{
    (void)role;
    (void)message;
}

enum outbox_fate outbox_send(struct outbox *outbox, struct message *message, size_t reserve)
{
    (void)outbox;
    (void)reserve;
    tries++;
    if (zmq_msg_size(message_peer(message)) == 5)
        memcpy(last_name, zmq_msg_data(message_peer(message)), 5);
    bool first = !memcmp(zmq_msg_data(message_peer(message)), "first", 5);
    if (!(first ? first_is_there : second_is_there))
        return OUTBOX_ABSENT;
    if (first)
        cr_expect_eq(memcmp(zmq_msg_data(message_last_frame(message)), &to_first, sizeof(int)), 0);
    ++*(first ? &to_first : &to_second);
    message_clear(message);
    return OUTBOX_TAKEN;
}

static void build(struct message *message, const char *name, size_t name_size,
                  enum message_part with_session, const char *client)
{
    char header[64];
    snprintf(header, sizeof(header), "{\"session\": \"%s\"}", client);
    message_init(message);
    message_append(message, name, name_size);
    message_append_parts(message);
    for (enum message_part part = 0; part < MESSAGE_PARTS; part++) {
        const char *text = part == with_session ? header : "{}";
        message_set_part(message, part, text, strlen(text));
    }
}

static void reply_to(struct early *early, const char *client, int number)
{
    struct message message;
    build(&message, client, strlen(client), MESSAGE_PARENT, client);
    message_append(&message, &number, sizeof(number));
    early_hold(early, &message, NULL);
    message_close(&message);
}

static void prepare(struct early *early, struct session **session)
{
    struct ipcl_error error;
    static struct seal seal;
    struct controller controller = {.restarted = true};
    *session = session_create("key", 3, "hmac-sha256", unit_serial("json"), NULL, &error);
    cr_assert(*session, "%s", error.text);
    seal = (struct seal){.session = *session};
    early_prepare(early, &controller, &seal, NULL);
    early->until_ms = LLONG_MAX; /* however slow this machine is */
}

static int tries_of_tick(struct early *early)
{
    tries = 0;
    early_tick(early, early->next_try_ms);
    return tries;
}

Test(early, a_client_that_is_not_there_costs_one_try_and_holds_up_no_other)
{
    struct early early = {0};
    struct session *session;
    prepare(&early, &session);
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

#define OLD_NAME "\0old!"
#define NEW_NAME "\0new!"

/* A reply for a client that had OLD_NAME. Another client may have that name now. */
static void send_and_meet(struct early *early, const char *client, const char *name)
{
    struct message message;
    build(&message, OLD_NAME, 5, MESSAGE_PARENT, client);
    cr_assert(early_address(early, &message), "a copy is kept");
    message_close(&message);
    tries = 0;
    build(&message, name, 5, MESSAGE_HEADER, client);
    early_meet(early, &message);
    message_close(&message);
    cr_expect_null(early->first);
}

Test(early, a_client_that_libzmq_names_gets_its_reply_once_more_only_if_it_is_another)
{
    struct early early = {0};
    struct session *session;
    struct message message;
    second_is_there = true;
    prepare(&early, &session);
    send_and_meet(&early, "the same", OLD_NAME);
    cr_expect_eq(tries, 0);
    send_and_meet(&early, "another", NEW_NAME);
    cr_expect_eq(tries, 1);
    cr_expect_eq(memcmp(last_name, NEW_NAME, 5), 0);
    /* From now on it is known where it is. */
    build(&message, OLD_NAME, 5, MESSAGE_PARENT, "another");
    cr_expect_null(early_address(&early, &message));
    cr_expect_eq(memcmp(zmq_msg_data(message_peer(&message)), NEW_NAME, 5), 0);
    message_close(&message);
    early_release(&early);
    session_destroy(session);
}

Test(early, a_client_that_libzmq_names_and_that_comes_late_is_tried_by_its_old_name)
{
    struct early early = {0};
    struct session *session;
    struct message message;
    prepare(&early, &session);
    build(&message, OLD_NAME, 5, MESSAGE_PARENT, "late");
    early_hold(&early, &message, early_address(&early, &message));
    message_close(&message);
    cr_expect_eq(tries_of_tick(&early), 1);
    second_is_there = true;
    cr_expect_eq(tries_of_tick(&early), 1);
    cr_expect_eq(memcmp(last_name, OLD_NAME, 5), 0);
    cr_expect_eq(tries_of_tick(&early), 0, "it was sent, and is kept");
    build(&message, NEW_NAME, 5, MESSAGE_HEADER, "late");
    early_meet(&early, &message);
    message_close(&message);
    cr_expect_eq(memcmp(last_name, NEW_NAME, 5), 0);
    cr_expect_null(early.first);
    early_release(&early);
    session_destroy(session);
}
