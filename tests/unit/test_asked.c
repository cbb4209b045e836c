/* Requests that wait for answers: only the engine that was asked may answer, and once. An engine of
 * which no answer is awaited is forgotten. */
#include <criterion/criterion.h>
#include <string.h>

#include "controller/exchange/asked.h"

static const struct ipcl_member request_type = {
    .state = IPCL_MEMBER_TEXT, .data = "apply_request", .size = 13};

static struct ipcl_member text(const char *words)
{
    return (struct ipcl_member){.state = IPCL_MEMBER_TEXT, .data = words, .size = strlen(words)};
}

static void ask(struct asked *asked, const char *engine, const char *msg_id)
{
    struct ipcl_member id = text(msg_id);
    zmq_msg_t client;
    zmq_msg_init_size(&client, 1);
    memcpy(zmq_msg_data(&client), "c", 1);
    cr_assert_eq(asked_add(asked, &client, engine, &id, &request_type), 0);
    zmq_msg_close(&client);
}

static enum asked_verdict answer(struct asked *asked, const char *engine, const char *msg_id)
{
    struct ipcl_member id = text(msg_id);
    struct message message;
    message_init(&message);
    message_append(&message, engine, strlen(engine));
    message_append(&message, "c", 1);
    enum asked_verdict verdict = asked_take(asked, &message, &id);
    message_close(&message);
    return verdict;
}

Test(asked, only_who_was_asked_answers_and_once)
{
    struct asked asked;
    cr_assert_eq(asked_init(&asked, false, NULL), 0);
    ask(&asked, "a", "1");
    cr_assert_eq(answer(&asked, "b", "1"), ASKED_OTHER);
    cr_assert_eq(answer(&asked, "a", "1"), ASKED_ANSWER);
    cr_assert_eq(answer(&asked, "a", "1"), ASKED_OTHER);
    asked_release(&asked);
}

Test(asked, an_engine_of_which_nothing_is_awaited_is_forgotten)
{
    struct asked asked;
    cr_assert_eq(asked_init(&asked, true, NULL), 0);
    ask(&asked, "a", "1");
    ask(&asked, "a", "2");
    ask(&asked, "b", "1");
    answer(&asked, "a", "1");
    asked_forget(&asked, "b");
    cr_assert(asked.engines, "a has another");
    answer(&asked, "a", "2");
    cr_assert_null(asked.engines);
    ask(&asked, "a", "1");
    asked_release(&asked);
    cr_assert_null(asked.engines);
}
