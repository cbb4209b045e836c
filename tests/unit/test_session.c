/* Sessions: what one builds another verifies once, and nothing else is accepted. */
#include <criterion/criterion.h>
#include <malloc.h>
#include <string.h>

#include "unit.h"
#include "wire/session.h"

#define KEY "a-key-of-this-cluster"

/* A signature and the four parts that it is over. */
enum { PARTS = 5 };
static const enum message_part signed_parts[PARTS] = {
    MESSAGE_SIGNATURE, MESSAGE_HEADER, MESSAGE_PARENT, MESSAGE_METADATA, MESSAGE_CONTENT};

static const struct ipcl_serial_operations *serial;
static struct session *sender, *receiver;
static struct message message;

static void open_sessions(void)
{
    struct ipcl_error error;
    serial = unit_serial("json");
    sender = session_create(KEY, strlen(KEY), "hmac-sha256", serial, NULL, &error);
    receiver = session_create(KEY, strlen(KEY), "hmac-sha256", serial, NULL, &error);
    cr_assert(sender && receiver, "%s", error.text);
    message_init(&message);
}

static void close_sessions(void)
{
    message_close(&message);
    session_destroy(sender);
    session_destroy(receiver);
}

TestSuite(session, .init = open_sessions, .fini = close_sessions);

static void build(struct session *session, char msg_id[MESSAGE_ID_LENGTH + 1])
{
    struct ipcl_error error;
    json_t *content = json_pack("{s:s}", "code", "a = 1");
    struct session_parts parts = {.msg_type = "execute_request", .content = content};
    message_clear(&message);
    cr_assert_eq(session_build(session, &message, &parts, msg_id, &error), 0, "%s", error.text);
    cr_assert_eq(session_sign(session, &message, &error), 0, "%s", error.text);
    json_decref(content);
}

static void change(enum message_part part, size_t at)
{
    ((char *)zmq_msg_data(message_part(&message, part)))[at] ^= 1;
}

Test(session, accepts_what_the_same_key_signed)
{
    char msg_id[MESSAGE_ID_LENGTH + 1];
    build(sender, msg_id);
    cr_assert_eq(session_verify(receiver, &message), SESSION_ACCEPTED);
    struct ipcl_error error;
    json_t *header = session_unpack(receiver, message_part(&message, MESSAGE_HEADER), &error);
    cr_assert_str_eq(json_string_value(json_object_get(header, "msg_id")), msg_id);
    cr_assert_str_eq(json_string_value(json_object_get(header, "msg_type")), "execute_request");
    cr_assert_str_eq(json_string_value(json_object_get(header, "session")), session_id(sender));
    cr_assert_eq(strlen(json_string_value(json_object_get(header, "date"))), 27);
    json_decref(header);
}

Test(session, gives_each_message_its_own_id)
{
    char first[MESSAGE_ID_LENGTH + 1], second[MESSAGE_ID_LENGTH + 1];
    build(sender, first);
    build(sender, second);
    cr_assert_str_neq(first, second);
    cr_assert_eq(session_verify(receiver, &message), SESSION_ACCEPTED);
}

Test(session, remembers_no_more_than_some_message_types)
{
    struct ipcl_error error;
    char type[32];
    size_t before = 0;
    for (int i = 0; i < 3000; i++) {
        struct session_parts parts = {.msg_type = type};
        snprintf(type, sizeof(type), "type_%d_reply", i);
        message_clear(&message);
        cr_assert_eq(session_build(sender, &message, &parts, NULL, &error), 0, "%s", error.text);
        cr_assert_eq(session_sign(sender, &message, &error), 0, "%s", error.text);
        if (i == 1000)
            before = mallinfo2().uordblks;
    }
    cr_assert_lt(mallinfo2().uordblks, before + 100000);
    struct ipcl_member member = {.name = "msg_type"};
    cr_assert_eq(session_verify(receiver, &message), SESSION_ACCEPTED);
    session_find(receiver, message_part(&message, MESSAGE_HEADER), &member, 1);
    cr_assert_arr_eq(member.data, type, member.size);
}

Test(session, refuses_a_signature_that_it_has_seen)
{
    build(sender, NULL);
    cr_assert_eq(session_verify(receiver, &message), SESSION_ACCEPTED);
    cr_assert_eq(session_verify(receiver, &message), SESSION_REPEATED);
    cr_assert_eq(session_refused(receiver, SESSION_REPEATED), 1);
}

Test(session, signs_anew_for_the_next_hop_without_touching_copies)
{
    struct ipcl_error error;
    struct message copy;
    struct session *other = session_create("another", 7, "hmac-sha256", serial, NULL, &error);
    struct session *others = session_create("another", 7, "hmac-sha256", serial, NULL, &error);
    cr_assert(other && others, "%s", error.text);
    build(sender, NULL);
    message_init(&copy);
    cr_assert_eq(message_copy(&copy, &message), 0);
    cr_assert_eq(session_sign(other, &message, &error), 0);
    cr_assert_eq(session_verify(others, &message), SESSION_ACCEPTED);
    cr_assert_eq(session_verify(receiver, &message), SESSION_FORGED);
    cr_assert_eq(session_verify(receiver, &copy), SESSION_ACCEPTED);
    message_close(&copy);
    session_destroy(other);
    session_destroy(others);
}

Test(session, refuses_a_change_to_any_signed_part)
{
    for (size_t i = 0; i < PARTS; i++) {
        build(sender, NULL);
        change(signed_parts[i], 0);
        cr_assert_eq(session_verify(receiver, &message), SESSION_FORGED, "part %d",
                     signed_parts[i]);
    }
    cr_assert_eq(session_refused(receiver, SESSION_FORGED), PARTS);
}

Test(session, refuses_another_key)
{
    struct ipcl_error error;
    struct session *stranger = session_create("another", 7, "hmac-sha256", serial, NULL, &error);
    build(stranger, NULL);
    cr_assert_eq(session_verify(receiver, &message), SESSION_FORGED);
    session_destroy(stranger);
}

Test(session, refuses_unsigned_and_short_signatures)
{
    build(sender, NULL);
    zmq_msg_t *signature = message_part(&message, MESSAGE_SIGNATURE);
    zmq_msg_close(signature);
    zmq_msg_init(signature);
    cr_assert_eq(session_verify(receiver, &message), SESSION_UNSIGNED);
    zmq_msg_close(signature);
    zmq_msg_init_size(signature, 10);
    memset(zmq_msg_data(signature), '0', 10);
    cr_assert_eq(session_verify(receiver, &message), SESSION_FORGED);
}

Test(session, refuses_truncated_messages)
{
    build(sender, NULL);
    size_t whole = message.count;
    for (size_t frames = 0; frames < whole; frames++) {
        build(sender, NULL);
        while (message.count > frames)
            zmq_msg_close(&message.frames[--message.count]);
        if (message.delimiter > message.count)
            message.delimiter = message.count;
        cr_assert_eq(session_verify(receiver, &message), SESSION_TRUNCATED, "%zu frames", frames);
    }
}

Test(session, refuses_a_signed_header_that_is_no_header)
{
    static const char *const headers[] = {"",
                                          "[]",
                                          "1",
                                          "{\"msg_id\": 1, \"msg_type\": \"x\"}",
                                          "{\"msg_id\": \"x\"}",
                                          "{\"msg_id\": \"x\", \"msg_type\""};
    struct ipcl_error error;
    for (size_t i = 0; i < sizeof(headers) / sizeof(*headers); i++) {
        /* Unsigned sessions let us write any header. */
        struct session *open = session_create("", 0, "hmac-sha256", serial, NULL, &error);
        build(sender, NULL);
        zmq_msg_t *header = message_part(&message, MESSAGE_HEADER);
        zmq_msg_close(header);
        zmq_msg_init_size(header, strlen(headers[i]));
        memcpy(zmq_msg_data(header), headers[i], strlen(headers[i]));
        cr_assert_eq(session_verify(open, &message), SESSION_MALFORMED, "%s", headers[i]);
        session_destroy(open);
    }
}

Test(session, says_which_scheme_it_does_not_know)
{
    struct ipcl_error error;
    cr_assert_null(session_create(KEY, strlen(KEY), "md5", serial, NULL, &error));
    cr_assert(strstr(error.text, "md5"));
    cr_assert_null(session_create(KEY, strlen(KEY), "hmac-nonsense", serial, NULL, &error));
    cr_assert(strstr(error.text, "hmac-nonsense"));
}

static void assert_signed(const char *key, size_t size, const char *const frames[PARTS])
{
    struct ipcl_error error;
    struct message published;
    struct session *session = session_create(key, size, "hmac-sha256", serial, NULL, &error);
    message_init(&published);
    message_append_parts(&published);
    for (size_t i = 0; i < PARTS; i++)
        message_set_part(&published, signed_parts[i], frames[i], strlen(frames[i]));
    /* The signature is right, so it is the header that is refused: it is no JSON. */
    cr_assert_eq(session_verify(session, &published), SESSION_MALFORMED);
    message_close(&published);
    session_destroy(session);
}

Test(session, agrees_with_the_published_hmac)
{
    /* Test case 2 of RFC 4231, spread over the four signed parts: HMAC signs their
     * concatenation. */
    assert_signed(
        "Jefe", 4,
        (const char *const[]){"5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
                              "what do ya want ", "for ", "noth", "ing?"});
    /* Test case 6: a key that is longer than a block of the digest. */
    char key[131];
    memset(key, 0xaa, sizeof(key));
    assert_signed(key, sizeof(key),
                  (const char *const[]){
                      "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
                      "Test Using Larger ", "Than Block-Size Key", " - ", "Hash Key First"});
}
