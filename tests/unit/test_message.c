/* Multipart messages: what is sent arrives whole, by reference, and nothing that arrives can
 * hurt. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "wire/message.h"

static void *context, *left, *right, *router;

/* Waits for nothing: what does not come fails, and no socket keeps the context from ending. */
static void *open_socket(int type)
{
    void *socket = zmq_socket(context, type);
    int none = 0;
    zmq_setsockopt(socket, ZMQ_RCVTIMEO, &none, sizeof(none));
    zmq_setsockopt(socket, ZMQ_LINGER, &none, sizeof(none));
    return socket;
}

static void open_sockets(void)
{
    context = zmq_ctx_new();
    left = open_socket(ZMQ_PAIR);
    right = open_socket(ZMQ_PAIR);
    router = open_socket(ZMQ_ROUTER);
    zmq_bind(left, "inproc://pair");
    zmq_connect(right, "inproc://pair");
}

static void close_sockets(void)
{
    zmq_close(left);
    zmq_close(right);
    zmq_close(router);
    zmq_ctx_term(context);
}

TestSuite(message, .init = open_sockets, .fini = close_sockets);

static void append_text(struct message *message, const char *text)
{
    cr_assert_eq(message_append(message, text, strlen(text)), 0);
}

static bool frame_is(zmq_msg_t *frame, const char *text)
{
    return frame && zmq_msg_size(frame) == strlen(text) &&
           !memcmp(zmq_msg_data(frame), text, strlen(text));
}

/* Each part has its number in it. */
static void text_of(int part, char text[24])
{
    snprintf(text, 24, "part %d", part);
}

static bool has_part(struct message *message, int part)
{
    char text[24];
    text_of(part, text);
    return frame_is(message_part(message, part), text);
}

static void fill(struct message *message, size_t buffers)
{
    append_text(message, "client");
    append_text(message, "engine");
    cr_assert_eq(message_append_parts(message), 0);
    for (int part = 0; part < MESSAGE_PARTS; part++) {
        char text[24];
        text_of(part, text);
        cr_assert_eq(message_set_part(message, part, text, strlen(text)), 0);
    }
    for (size_t i = 0; i < buffers; i++)
        append_text(message, "buffer");
}

Test(message, arrives_with_its_parts_in_place)
{
    struct message sent, received;
    message_init(&sent);
    message_init(&received);
    fill(&sent, 2);
    cr_assert_eq(message_send(&sent, left), 0);
    cr_assert_eq(sent.count, 0);
    cr_assert_eq(message_recv(&received, right, 0), 0);
    cr_assert_eq(message_identities(&received), 2);
    cr_assert(message_is_whole(&received));
    for (int part = 0; part < MESSAGE_PARTS; part++)
        cr_assert(has_part(&received, part), "part %d", part);
    cr_assert_eq(message_buffer_count(&received), 2);
    cr_assert(frame_is(message_buffer(&received, 1), "buffer"));
    cr_assert_null(message_buffer(&received, 2));
    message_close(&sent);
    message_close(&received);
}

Test(message, may_have_many_buffers)
{
    struct message sent, received;
    message_init(&sent);
    message_init(&received);
    fill(&sent, 5000);
    cr_assert_eq(message_send(&sent, left), 0);
    cr_assert_eq(message_recv(&received, right, 0), 0);
    cr_assert_eq(message_buffer_count(&received), 5000);
    cr_assert(has_part(&received, MESSAGE_HEADER));
    message_close(&sent);
    message_close(&received);
}

Test(message, of_too_many_frames_is_refused_and_the_next_one_arrives)
{
    struct message message;
    message_init(&message);
    for (int i = 0; i < MESSAGE_FRAMES_MAX + 10; i++)
        zmq_send(left, "", 0, ZMQ_SNDMORE);
    zmq_send(left, "", 0, 0);
    zmq_send(left, "next", 4, 0);
    cr_assert_eq(message_recv(&message, right, 0), -1);
    cr_assert_eq(errno, EMSGSIZE);
    cr_assert_eq(message_recv(&message, right, 0), 0);
    cr_assert(frame_is(&message.frames[0], "next"));
    message_close(&message);
}

Test(message, without_delimiter_has_no_parts)
{
    struct message message;
    message_init(&message);
    zmq_send(left, "one", 3, ZMQ_SNDMORE);
    zmq_send(left, "two", 3, 0);
    cr_assert_eq(message_recv(&message, right, 0), 0);
    cr_assert_null(message_part(&message, MESSAGE_SIGNATURE));
    cr_assert_eq(message_buffer_count(&message), 0);
    message_close(&message);
}

Test(message, is_copied_by_reference)
{
    struct message original, copy;
    char *large = calloc(1, 1 << 20);
    message_init(&original);
    message_init(&copy);
    fill(&original, 0);
    cr_assert_eq(message_append(&original, large, 1 << 20), 0);
    cr_assert_eq(message_copy(&copy, &original), 0);
    cr_assert_eq(zmq_msg_data(message_buffer(&copy, 0)),
                 zmq_msg_data(message_buffer(&original, 0)));
    cr_assert_eq(copy.delimiter, original.delimiter);
    message_close(&original);
    cr_assert(has_part(&copy, MESSAGE_HEADER));
    message_close(&copy);
    free(large);
}

Test(message, to_an_unknown_peer_is_kept)
{
    int yes = 1;
    zmq_setsockopt(router, ZMQ_ROUTER_MANDATORY, &yes, sizeof(yes));
    zmq_bind(router, "inproc://router");
    struct message message;
    message_init(&message);
    fill(&message, 1);
    size_t count = message.count;
    cr_assert_eq(message_send(&message, router), -1);
    cr_assert_eq(errno, EHOSTUNREACH);
    cr_assert_eq(message.count, count);
    cr_assert_eq(message_send_to(&message, router, "nobody", 6), -1);
    cr_assert_eq(message.count, count);
    message_close(&message);
}

static int releases;

static void count_release(void *data, void *hint)
{
    (void)data;
    (void)hint;
    releases++;
}

Test(message, releases_what_it_was_handed_once)
{
    static char bytes[100000];
    struct message sent, received;
    message_init(&sent);
    message_init(&received);
    releases = 0;
    fill(&sent, 0);
    cr_assert_eq(message_append_owned(&sent, bytes, sizeof(bytes), count_release, NULL), 0);
    message_send(&sent, left);
    message_recv(&received, right, 0);
    cr_assert_eq(zmq_msg_data(message_buffer(&received, 0)), (void *)bytes);
    cr_assert_eq(releases, 0);
    message_close(&received);
    cr_assert_eq(releases, 1);
    message_close(&sent);
}

Test(message, swaps_its_first_two_identities)
{
    struct message message;
    message_init(&message);
    fill(&message, 0);
    message_swap_identities(&message);
    cr_assert(frame_is(&message.frames[0], "engine"));
    cr_assert(frame_is(&message.frames[1], "client"));
    message_close(&message);
}
