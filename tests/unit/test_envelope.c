/* Envelopes: messages come out as they were put in, in their order, for their peer; what does not
 * fit is left to its sender; and what is malformed ends in a message without a delimiter. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "wire/envelope.h"
#include "wire/loop.h"
#include "wire/socket.h"

/* What was sent, as "peer:number number ..." of each envelope. */
struct sent {
    char text[4096];
    size_t frame_bytes; /* the largest */
    struct message last;
};

static int number_of(struct message *message)
{
    int number;
    memcpy(&number, zmq_msg_data(message_buffer(message, 0)), sizeof(number));
    return number;
}

static int leave(void *self, struct message *message)
{
    (void)self;
    (void)message;
    return 0;
}

static void note(void *self, struct message *envelope)
{
    struct sent *sent = self;
    struct envelope_reader reader = {0};
    struct message message;
    char *at = sent->text + strlen(sent->text);
    zmq_msg_t *frame = envelope_of(envelope);
    bool named = frame != message_frame(envelope, 0);
    message_init(&message);
    at += sprintf(at, "%.*s:", named ? (int)zmq_msg_size(message_peer(envelope)) : 0,
                  (char *)zmq_msg_data(message_peer(envelope)));
    cr_assert(envelope_open(&reader, envelope));
    cr_expect_eq(envelope_messages(envelope), reader.messages);
    while (envelope_next(&reader, &message)) {
        cr_assert(message_is_whole(&message));
        cr_expect_eq(message_identities(&message), named + 1u);
        at += sprintf(at, "%d ", number_of(&message));
    }
    envelope_close(&reader);
    strcpy(at, "\n");
    if (zmq_msg_size(frame) > sent->frame_bytes)
        sent->frame_bytes = zmq_msg_size(frame);
    message_move(&sent->last, envelope);
    message_close(&message);
}

static struct sent sent;
static struct envelopes envelopes;

static void prepare(int64_t frame_bytes_max)
{
    message_init(&sent.last);
    envelopes_prepare(&envelopes, frame_bytes_max, leave, note, &sent);
}

static void release(void)
{
    message_close(&sent.last);
    envelopes_release(&envelopes);
}

TestSuite(envelope, .fini = release);

/* A message from a client, with a number and so many bytes as its buffers. */
static void make(struct message *message, const char *peer, int number, size_t bytes)
{
    char *buffer = calloc(1, bytes + 1);
    message_init(message);
    if (*peer)
        message_append(message, peer, strlen(peer));
    message_append(message, "client", 6);
    message_append_parts(message);
    message_set_part(message, MESSAGE_HEADER, "{}", 2);
    message_append(message, &number, sizeof(number));
    message_append(message, buffer, bytes);
    free(buffer);
}

static bool put(const char *peer, int number, size_t bytes)
{
    struct message message;
    make(&message, peer, number, bytes);
    size_t count = message_frame_count(&message);
    bool taken = envelopes_put(&envelopes, peer, strlen(peer), &message, *peer != '\0');
    cr_expect_eq(message_frame_count(&message), taken ? 0 : count);
    message_close(&message);
    return taken;
}

Test(envelope, has_the_messages_for_its_peer_in_their_order)
{
    prepare(0);
    for (int i = 0; i < 4; i++)
        cr_expect(put(i % 2 ? "odd" : "even", i, 10));
    cr_expect_str_eq(sent.text, "", "it is sent when it is closed");
    envelopes_close(&envelopes);
    cr_expect_str_eq(sent.text, "even:0 2 \nodd:1 3 \n");
    envelopes_close(&envelopes);
    cr_expect(put("", 4, 0), "a socket with one peer");
    envelopes_close(&envelopes);
    cr_expect_str_eq(sent.text, "even:0 2 \nodd:1 3 \n:4 \n");
}

Test(envelope, is_sent_before_what_is_too_large_for_it)
{
    prepare(0);
    cr_expect(put("one", 1, 10));
    cr_expect(put("two", 2, 10));
    cr_expect_not(put("one", 3, 10000));
    cr_expect_str_eq(sent.text, "one:1 \n");
}

Test(envelope, has_no_more_bytes_than_the_largest_frame)
{
    static const size_t largest[] = {0, 1000, 10};
    for (size_t i = 0; i < sizeof(largest) / sizeof(*largest); i++) {
        sent.frame_bytes = 0;
        *sent.text = '\0';
        prepare((int64_t)largest[i]);
        size_t taken = 0;
        for (int number = 0; number < 100; number++) {
            *sent.text = '\0';
            taken += put("peer", number, 200);
        }
        envelopes_close(&envelopes);
        cr_expect(!largest[i] || sent.frame_bytes <= largest[i]);
        cr_expect_eq(taken, largest[i] == 10 ? 0 : 100);
        cr_expect_eq(sent.frame_bytes > 0, taken > 0);
        release();
    }
}

Test(envelope, for_one_peer_too_many_has_the_oldest_sent)
{
    char peer[16];
    prepare(0);
    for (int i = 0; i <= ENVELOPES_OPEN; i++) {
        cr_expect_str_eq(sent.text, "");
        snprintf(peer, sizeof(peer), "%d", i);
        cr_expect(put(peer, i, 1));
    }
    cr_expect_str_eq(sent.text, "0:0 \n");
}

static void keep(void *self, struct message *envelope)
{
    message_move(&((struct sent *)self)->last, envelope);
}

/* What is sent, and what comes out: the same frames, and large ones that are alike only once. */
static size_t expect_same(struct message *messages, size_t count)
{
    struct envelope_reader reader = {0};
    struct message read[8], copy;
    size_t found = 0;
    message_init(&sent.last);
    message_init(&copy);
    envelopes_prepare(&envelopes, 0, leave, keep, &sent);
    for (size_t i = 0; i < count; i++) {
        message_duplicate(&copy, &messages[i]);
        cr_assert(envelopes_put(&envelopes, "", 0, &copy, 0));
    }
    envelopes_close(&envelopes);
    cr_assert(envelope_open(&reader, &sent.last));
    for (size_t i = 0; i < count; i++) {
        message_init(&read[i]);
        cr_assert(envelope_next(&reader, &read[i]));
        cr_assert_eq(read[i].count, messages[i].count);
        cr_assert_eq(read[i].delimiter, messages[i].delimiter);
        for (size_t j = 0; j < read[i].count; j++) {
            zmq_msg_t *frame = message_frame(&read[i], j), *wanted = message_frame(&messages[i], j);
            cr_assert_eq(zmq_msg_size(frame), zmq_msg_size(wanted));
            cr_assert_arr_eq(zmq_msg_data(frame), zmq_msg_data(wanted), zmq_msg_size(frame));
            found += i && j < read[i - 1].count &&
                     zmq_msg_data(frame) == zmq_msg_data(message_frame(&read[i - 1], j));
        }
    }
    cr_expect(!envelope_next(&reader, &copy));
    envelope_close(&reader);
    message_close(&sent.last);
    for (size_t i = 0; i < count; i++)
        message_close(&read[i]);
    return found;
}

/* A task with so many bytes as its function, and this many arguments of so many bytes. */
static void make_task(struct message *message, size_t function, int arguments, size_t bytes, char c)
{
    char *buffer = malloc(5000);
    message_init(message);
    message_append_parts(message);
    memset(buffer, 'h', 5000);
    message_set_part(message, MESSAGE_HEADER, buffer, 200);
    message_set_part(message, MESSAGE_PARENT, buffer, 200);
    message_set_part(message, MESSAGE_METADATA, buffer, 100);
    message_append(message, buffer, function);
    memset(buffer, c, 5000);
    while (arguments-- > 0)
        message_append(message, buffer, bytes);
    message_find_delimiter(message);
    free(buffer);
}

static size_t expect_shared(size_t function, int arguments, size_t bytes, const char *all)
{
    struct message messages[8];
    size_t count = strlen(all);
    for (size_t i = 0; i < count; i++)
        make_task(&messages[i], function, arguments, bytes, all[i]);
    size_t found = expect_same(messages, count);
    for (size_t i = 0; i < count; i++)
        message_close(&messages[i]);
    return found;
}

Test(envelope, has_what_messages_have_in_common_once)
{
    cr_expect_eq(expect_shared(1000, 1, 10, "abcd"), 6, "metadata and function, three times");
    cr_expect_eq(expect_shared(1000, 1, 500, "abcd"), 6);
    cr_expect_eq(expect_shared(1000, 1, 500, "aabb"), 8, "and the argument, twice");
    cr_expect_eq(expect_shared(1000, 1, 500, "abab"), 6);
    cr_expect_eq(expect_shared(ENVELOPE_SHARED_BYTES_LEAST - 1, 0, 0, "ab"), 1);
    cr_expect_eq(expect_shared(ENVELOPE_SHARED_BYTES_LEAST, 0, 0, "ab"), 2);
    cr_expect_eq(expect_shared(ENVELOPE_SHARED_BYTES_MAX, 0, 0, "ab"), 2);
    cr_expect_eq(expect_shared(ENVELOPE_SHARED_BYTES_MAX + 1, 0, 0, "ab"), 1);
    size_t frames = ENVELOPE_FRAMES_SHARED - (1 + MESSAGE_PARTS) - 1;
    cr_expect_eq(expect_shared(100, (int)frames + 5, 100, "aa"), frames + 2, "so many frames");
}

Test(envelope, mixes_messages_of_any_form)
{
    struct message messages[6];
    make_task(&messages[0], 1000, 2, 100, 'a');
    make_task(&messages[1], 1000, 0, 0, 'a');
    make_task(&messages[2], 1000, 2, 100, 'a');
    make_task(&messages[3], 100, 2, 1000, 'a');
    make_task(&messages[4], 100, 20, 70, 'a');
    make_task(&messages[5], 100, 1, 70, 'a');
    message_add_identity(&messages[1], "engine", 6);
    message_add_identity(&messages[3], "engine", 6);
    expect_same(messages, 6);
    for (size_t i = 0; i < 6; i++)
        message_close(&messages[i]);
}

/* Reads an envelope that was cut or changed. Returns how many messages without a delimiter came. */
static size_t read_bad(const unsigned char *data, size_t size)
{
    struct envelope_reader reader = {0};
    struct message outer, message;
    size_t count = 0, broken = 0;
    unsigned char *copy = malloc(size ? size : 1); /* for AddressSanitizer */
    message_init(&outer);
    message_init(&message);
    memcpy(copy, data, size);
    message_append(&outer, "peer", 4);
    message_append(&outer, copy, size);
    message_find_delimiter(&outer);
    if (envelope_open(&reader, &outer))
        while (envelope_next(&reader, &message)) {
            count++;
            broken += !message_has_delimiter(&message);
        }
    envelope_close(&reader);
    cr_expect(count <= 4);
    message_close(&outer);
    message_close(&message);
    free(copy);
    return broken;
}

Test(envelope, that_is_malformed_ends_in_a_message_without_a_delimiter)
{
    unsigned char data[4096];
    prepare(0);
    for (int i = 0; i < 3; i++)
        put("", i, i ? 70 : 5); /* the last two share theirs */
    envelopes_close(&envelopes);
    size_t size = zmq_msg_size(message_frame(&sent.last, 0));
    memcpy(data, zmq_msg_data(message_frame(&sent.last, 0)), size);
    for (size_t cut = 0; cut <= size; cut++)
        cr_expect_eq(read_bad(data, cut), cut >= ENVELOPE_HEAD_BYTES && cut < size);
    for (size_t i = 0; i < size; i++) {
        unsigned char kept = data[i];
        data[i] = 0xff;
        read_bad(data, size);
        data[i] = kept;
    }
}

static void hear(void *self, struct message *message)
{
    char *text = self;
    cr_expect_eq(message_identities(message), 2);
    sprintf(text + strlen(text), "%d ", number_of(message));
}

static void send_on(void *self, struct message *envelope)
{
    cr_assert_eq(message_send(envelope, self), 0);
}

Test(envelope, is_handed_over_by_the_loop_message_by_message, .timeout = 60)
{
    struct ipcl_error error;
    struct socket_options router = {.type = ZMQ_ROUTER}, dealer = {.type = ZMQ_DEALER};
    char text[100] = "";
    void *context = zmq_ctx_new();
    struct loop *loop = loop_create("loop", &error);
    struct traffic traffic = {0};
    void *in = socket_create(context, &router, &error),
         *out = socket_create(context, &dealer, &error);
    cr_assert_eq(socket_bind(in, "inproc://envelope", &error), 0);
    cr_assert_eq(socket_connect(out, "inproc://envelope", &error), 0);
    cr_assert_eq(loop_add_open(loop, in, hear, text), 0);
    loop_count(loop, in, &traffic);
    envelopes_prepare(&envelopes, 0, leave, send_on, out);
    for (int i = 1; i <= 3; i++)
        put("", i, 10);
    envelopes_close(&envelopes);
    struct message alone;
    make(&alone, "", 4, 20000);
    message_send(&alone, out);
    while (strlen(text) < 8)
        loop_turn(loop);
    cr_expect_str_eq(text, "1 2 3 4 ");
    cr_expect_eq(counter_get(&traffic.messages[TRAFFIC_IN]), 4);
    loop_destroy(loop);
    zmq_close(out);
    zmq_ctx_term(context);
    message_init(&sent.last);
}
