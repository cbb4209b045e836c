/* Error replies in an engine's place: what a client cannot name well is answered all the same. */
#include <criterion/criterion.h>
#include <string.h>

#include "controller/delivery/reply.h"
#include "unit.h"

static struct session *session;
static void *context, *sender, *receiver;

static void open_all(void)
{
    struct ipcl_error error;
    session = session_create("key", 3, "hmac-sha256", unit_serial("json"), NULL, &error);
    context = zmq_ctx_new();
    sender = zmq_socket(context, ZMQ_PAIR);
    receiver = zmq_socket(context, ZMQ_PAIR);
    cr_assert(session && !zmq_bind(receiver, "inproc://r") && !zmq_connect(sender, "inproc://r"));
}

static void close_all(void)
{
    zmq_close(sender);
    zmq_close(receiver);
    zmq_ctx_term(context);
    session_destroy(session);
}

TestSuite(reply, .init = open_all, .fini = close_all);

/* The type of the answer to a request of this type, or NULL if there is none. */
static char *type_of_answer(const char *type, const char *engine, const char *evalue)
{
    char header[512], *answer = NULL;
    struct message message;
    struct ipcl_member member = {.name = "msg_type"};
    snprintf(header, sizeof(header), "{\"msg_id\": \"1\", \"msg_type\": \"%s\"}", type);
    struct reply_request request = {
        .client = "c", .client_size = 1, .header = header, .header_size = strlen(header)};
    message_init(&message);
    if (!reply_make_error(session, &message, &request, engine, "EngineError", evalue))
        message_send(&message, sender);
    if (!message_recv(&message, receiver, ZMQ_DONTWAIT) &&
        !session_find(session, message_part(&message, MESSAGE_HEADER), &member, 1))
        answer = strndup(member.data, member.size);
    message_close(&message);
    return answer;
}

Test(reply, has_the_type_that_belongs_to_the_request)
{
    static const char *const types[][2] = {{"execute_request", "execute_reply"},
                                           {"nonsense", "apply_reply"},
                                           {"_request", "apply_reply"}};
    char longest[256];
    for (size_t i = 0; i < sizeof(types) / sizeof(*types); i++) {
        char *type = type_of_answer(types[i][0], "uuid", "died");
        cr_assert(type && !strcmp(type, types[i][1]), "%s: %s", types[i][0], type);
        free(type);
    }
    snprintf(longest, sizeof(longest), "%0200d_request", 0);
    char *type = type_of_answer(longest, "uuid", "died");
    cr_assert_str_eq(type, "apply_reply");
    free(type);
}

Test(reply, names_that_are_no_text_are_answered_too)
{
    char *type = type_of_answer("apply_request", "\xff\xfe", "engine '\xff\xfe' is not registered");
    cr_assert(type, "an answer comes");
    free(type);
}
