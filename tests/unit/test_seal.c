/* Seals: a sealed message is taken once, unchanged, at the place and by the controller that it is
 * for. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "unit.h"
#include "wire/seal.h"

#define KEY    "a-key-of-this-cluster"
#define CLIENT "c0ffee00-0000-4000-8000-000000000001"

static const unsigned char life[SEAL_LIFE_BYTES] = "this controller";
static const unsigned char other_life[SEAL_LIFE_BYTES] = "another one";
static struct session *theirs, *ours;
static struct seal client, controller;
static struct message message;

static struct session *open_session(const char *key, const char *scheme)
{
    struct ipcl_error error;
    struct session *session =
        session_create(key, strlen(key), scheme, unit_serial("json"), NULL, &error);
    cr_assert(session, "%s", error.text);
    return session;
}

static void open_ends(void)
{
    theirs = open_session(KEY, "hmac-sha256");
    ours = open_session(KEY, "hmac-sha256");
    client = (struct seal){.session = theirs, .channel = SEAL_TASK, .required = true, .life = life};
    controller = client;
    controller.session = ours;
    controller.controller = true;
    controller.required = false;
    message_init(&message);
}

static void close_ends(void)
{
    message_close(&message);
    seal_release(&client);
    seal_release(&controller);
    session_destroy(theirs);
    session_destroy(ours);
}

TestSuite(seal, .init = open_ends, .fini = close_ends);

static void build(const char *msg_type)
{
    struct ipcl_error error;
    json_t *content = json_pack("{s:s}", "code", "a = 1"),
           *metadata = json_pack("{s:i}", "retries", 1);
    struct session_parts parts = {.msg_type = msg_type,
                                  .content = content,
                                  .metadata = metadata,
                                  .parent = "{\"a\": 1}",
                                  .parent_size = 8};
    message_clear(&message);
    cr_assert_eq(session_build(theirs, &message, &parts, NULL, &error), 0, "%s", error.text);
    cr_assert_eq(message_append(&message, "a buffer", 8), 0);
    cr_assert_eq(message_append(&message, "another", 7), 0);
    json_decref(content);
    json_decref(metadata);
}

static void send_sealed(void)
{
    struct ipcl_error error;
    build("apply_request");
    cr_assert_eq(seal_sign(&client, &message, CLIENT, strlen(CLIENT), true, &error), 0, "%s",
                 error.text);
}

static enum session_verdict take_as(struct seal *seal, const char *name)
{
    struct message copy;
    message_init(&copy);
    /* As it comes from a socket: nothing is known of it. */
    for (size_t i = 0; i < message.count; i++)
        message_append(&copy, zmq_msg_data(&message.frames[i]), zmq_msg_size(&message.frames[i]));
    copy.delimiter = message.delimiter;
    enum session_verdict verdict = seal_verify(seal, &copy, name, strlen(name));
    message_close(&copy);
    return verdict;
}

static enum session_verdict take(void)
{
    return take_as(&controller, CLIENT);
}

Test(seal, is_taken_once)
{
    send_sealed();
    cr_assert_eq(take(), SESSION_ACCEPTED);
    cr_assert_eq(take(), SESSION_REPEATED);
    cr_assert(seal_knows(&controller, CLIENT, strlen(CLIENT)));
}

Test(seal, what_was_sent_before_the_past_was_closed_is_stale)
{
    struct message late;
    send_sealed();
    message_init(&late);
    cr_assert_eq(message_copy(&late, &message), 0);
    cr_assert_eq(seal_highest(&controller, CLIENT, strlen(CLIENT)), 0);
    send_sealed();
    cr_assert_eq(take(), SESSION_ACCEPTED);
    cr_assert_eq(seal_highest(&controller, CLIENT, strlen(CLIENT)), client.counter);
    seal_close_past(&controller, CLIENT, strlen(CLIENT));
    cr_assert_eq(message_copy(&message, &late), 0);
    cr_assert_eq(take(), SESSION_STALE);
    message_close(&late);
    send_sealed();
    cr_assert_eq(take(), SESSION_ACCEPTED);
}

Test(seal, is_taken_once_however_many_come_between)
{
    struct message first;
    send_sealed();
    message_init(&first);
    cr_assert_eq(message_copy(&first, &message), 0);
    cr_assert_eq(take(), SESSION_ACCEPTED);
    for (int i = 0; i < 70000; i++) {
        cr_assert_eq(seal_sign(&client, &message, CLIENT, strlen(CLIENT), true, NULL), 0);
        cr_assert_eq(seal_verify(&controller, &message, CLIENT, strlen(CLIENT)), SESSION_ACCEPTED);
    }
    cr_assert_eq(message_copy(&message, &first), 0);
    cr_assert_eq(take(), SESSION_REPEATED);
    message_close(&first);
}

Test(seal, covers_every_byte)
{
    send_sealed();
    for (size_t frame = message.delimiter + 1; frame < message.count; frame++)
        for (size_t i = 0; i < zmq_msg_size(&message.frames[frame]); i++) {
            char *byte = (char *)zmq_msg_data(&message.frames[frame]) + i;
            *byte ^= 1;
            enum session_verdict verdict = take();
            *byte ^= 1;
            cr_assert_eq(verdict, SESSION_FORGED, "frame %zu, byte %zu", frame, i);
        }
    cr_assert_eq(take(), SESSION_ACCEPTED);
}

/* Moves a byte from the end of one part or buffer to the beginning of the next. */
Test(seal, covers_where_parts_end)
{
    for (int part = 0; part <= MESSAGE_PARTS; part++) {
        send_sealed();
        zmq_msg_t *left = message_part(&message, part), *right = message_part(&message, part + 1);
        size_t size = zmq_msg_size(left), next = zmq_msg_size(right);
        char moved[256];
        cr_assert_lt(next, sizeof(moved));
        if (!size)
            continue;
        moved[0] = ((char *)zmq_msg_data(left))[size - 1];
        memcpy(moved + 1, zmq_msg_data(right), next);
        cr_assert_eq(message_replace(right, moved, next + 1), 0);
        memcpy(moved, zmq_msg_data(left), size - 1 < sizeof(moved) ? size - 1 : sizeof(moved));
        if (size - 1 <= sizeof(moved)) {
            cr_assert_eq(message_replace(left, moved, size - 1), 0);
            cr_assert_eq(take(), SESSION_FORGED);
        }
    }
}

/* Of few bytes and of so many that they have a tag of their own. */
static const size_t sizes[] = {1, 15, 16, 17, 1024, 4077, 4078, 4096, 5000, 1 << 20};

Test(seal, covers_every_buffer_of_any_size)
{
    for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
        size_t size = sizes[i], at[] = {0, size / 2, size - 1};
        char *bytes = calloc(1, size);
        build("apply_request");
        cr_assert_eq(message_append(&message, bytes, size), 0);
        free(bytes);
        cr_assert_eq(seal_sign(&client, &message, CLIENT, strlen(CLIENT), true, NULL), 0);
        char *buffer = zmq_msg_data(message_buffer(&message, 2));
        for (size_t k = 0; k < 3; k++) {
            buffer[at[k]] ^= 1;
            cr_assert_eq(take(), SESSION_FORGED, "byte %zu of %zu", at[k], size);
            buffer[at[k]] ^= 1;
        }
        cr_assert_eq(take(), SESSION_ACCEPTED, "%zu bytes", size);
        /* Without that buffer the others need no tag of their own. */
        cr_assert_eq(seal_sign(&client, &message, CLIENT, strlen(CLIENT), true, NULL), 0);
        zmq_msg_close(&message.frames[--message.count]);
        cr_assert_eq(take(), SESSION_FORGED, "a buffer of %zu bytes is gone", size);
    }
}

Test(seal, covers_how_many_buffers_there_are)
{
    send_sealed();
    cr_assert_eq(message_append(&message, "", 0), 0);
    cr_assert_eq(take(), SESSION_FORGED);
    send_sealed();
    zmq_msg_close(&message.frames[--message.count]);
    cr_assert_eq(take(), SESSION_FORGED);
}

Test(seal, leaves_buffers_to_an_encrypted_connection)
{
    client.encrypted = controller.encrypted = true;
    send_sealed();
    zmq_msg_close(&message.frames[--message.count]);
    cr_assert_eq(take(), SESSION_ACCEPTED);
    controller.encrypted = false;
    send_sealed();
    cr_assert_eq(take(), SESSION_FORGED, "both ends know what is covered");
}

/* seal.h says what a seal covers. Another program has computed these seals from that
 * description. */
static void expect_seal(const char *scheme, size_t bytes, const char *expected)
{
    static const char header[] = "{\"msg_id\": \"1\", \"msg_type\": \"apply_request\"}";
    struct session *session = open_session(KEY, scheme);
    struct seal seal = {.session = session,
                        .channel = SEAL_TASK,
                        .life = life,
                        .counter = 999999,
                        .used_ms = clock_ms()};
    char text[256] = "", buffer[5000];
    memset(buffer, 'x', sizeof(buffer));
    message_clear(&message);
    message_append_parts(&message);
    message_set_part(&message, MESSAGE_HEADER, header, strlen(header));
    message_set_part(&message, MESSAGE_PARENT, "{}", 2);
    message_set_part(&message, MESSAGE_METADATA, "{}", 2);
    message_set_part(&message, MESSAGE_CONTENT, "{}", 2);
    message_append(&message, "a buffer", 8);
    message_append(&message, bytes ? buffer : "another", bytes ? bytes : 7);
    cr_assert_eq(seal_sign(&seal, &message, CLIENT, strlen(CLIENT), true, NULL), 0);
    zmq_msg_t *signature = message_part(&message, MESSAGE_SIGNATURE);
    memcpy(text, zmq_msg_data(signature), zmq_msg_size(signature));
    cr_assert_str_eq(text, expected);
    seal_release(&seal);
    session_destroy(session);
}

#define REST "00000000000f42407468697320636f6e74726f6c6c657200"

Test(seal, is_what_its_description_says)
{
    expect_seal("hmac-sha256", 0,
                "55a25fbdcf392d87c7fd042471416c63cb47d879956eb127b88692df0bf58c7c" REST);
    expect_seal("hmac-sha256", 5000,
                "17309b9c417dca591ef97fbb84df60655675b3dac00e05d744c8ea85a2468004" REST);
    expect_seal("hmac-md5", 0, "d72caf36e79652724b524231a9ee2efb" REST);
}

Test(seal, is_there_with_any_signature_scheme)
{
    static const char *const schemes[] = {"hmac-md5", "hmac-sha1", "hmac-sha512"};
    for (size_t i = 0; i < 3; i++) {
        seal_release(&controller);
        session_destroy(theirs);
        session_destroy(ours);
        theirs = client.session = open_session(KEY, schemes[i]);
        ours = controller.session = open_session(KEY, schemes[i]);
        send_sealed();
        cr_assert_eq(take_as(&controller, "another"), SESSION_FORGED);
        cr_assert_eq(take(), SESSION_ACCEPTED);
        cr_assert_eq(take(), SESSION_REPEATED);
    }
}

/* A controller's two sides have keys of their own; a broadcast has one tag for all its engines. */
Test(seal, of_the_next_hop_has_tags_of_that_hops_key)
{
    struct session *near = open_session("another key", "hmac-sha256"),
                   *far = open_session("another key", "hmac-sha256");
    struct seal sender = {.session = near, .role = CONNECTION_ENGINE, .controller = true},
                engine = {.session = far, .role = CONNECTION_ENGINE};
    char *bytes = calloc(1, 5000);
    build("apply_request");
    cr_assert_eq(message_append(&message, bytes, 5000), 0);
    free(bytes);
    cr_assert_eq(seal_sign(&client, &message, CLIENT, strlen(CLIENT), true, NULL), 0);
    cr_assert_eq(seal_verify(&controller, &message, CLIENT, strlen(CLIENT)), SESSION_ACCEPTED);
    cr_assert_eq(seal_tag_buffers(&sender, &message), 0);
    for (int i = 0; i < 2; i++) {
        const char *name = i ? "one engine" : "another engine";
        struct message part;
        message_init(&part);
        cr_assert_eq(message_append_all(&part, &message), 0);
        part.delimiter = message.delimiter;
        message_share_tag(&part, &message);
        cr_assert_eq(seal_sign(&sender, &part, name, strlen(name), true, NULL), 0);
        part.tagged = NULL; /* as it comes from a socket */
        cr_assert_eq(seal_verify(&engine, &part, name, strlen(name)), SESSION_ACCEPTED);
        message_close(&part);
    }
    seal_release(&sender);
    seal_release(&engine);
    session_destroy(near);
    session_destroy(far);
}

Test(seal, is_for_one_name_channel_side_and_direction)
{
    struct seal other = controller;
    send_sealed();
    other.peers = other.order = NULL;
    cr_assert_eq(take_as(&other, "c0ffee00-0000-4000-8000-000000000002"), SESSION_FORGED);
    cr_assert_eq(take_as(&other, ""), SESSION_FORGED);
    other.channel = SEAL_DIRECT;
    cr_assert_eq(take_as(&other, CLIENT), SESSION_FORGED);
    other.channel = SEAL_TASK;
    other.role = CONNECTION_ENGINE;
    cr_assert_eq(take_as(&other, CLIENT), SESSION_FORGED);
    other.role = CONNECTION_CLIENT;
    other.controller = false;
    cr_assert_eq(take_as(&other, CLIENT), SESSION_FORGED, "it does not come back as an answer");
    cr_assert_eq(take(), SESSION_ACCEPTED);
}

Test(seal, is_for_one_life_of_the_controller)
{
    struct ipcl_error error;
    send_sealed();
    controller.life = other_life;
    cr_assert_eq(take(), SESSION_STALE);
    cr_assert_eq(take(), SESSION_STALE);
    build("apply_request");
    cr_assert_eq(seal_introduce(&client, &message, CLIENT, strlen(CLIENT), true, &error), 0);
    cr_assert_eq(take(), SESSION_STALE);
    /* Whoever does not know the life asks the hub for it, or says that an engine has ended. */
    client.channel = controller.channel = SEAL_HUB;
    build("shutdown_request");
    cr_assert_eq(seal_introduce(&client, &message, CLIENT, strlen(CLIENT), true, &error), 0);
    cr_assert_eq(take(), SESSION_STALE);
    const char *const told[] = {"connection_request", "registration_request",
                                "unregistration_request"};
    for (size_t i = 0; i < sizeof(told) / sizeof(*told); i++) {
        build(told[i]);
        cr_assert_eq(seal_introduce(&client, &message, CLIENT, strlen(CLIENT), true, &error), 0);
        cr_assert_eq(take(), SESSION_ACCEPTED);
        cr_assert_eq(take(), SESSION_REPEATED);
    }
}

Test(seal, and_a_plain_signature_are_never_taken_for_each_other)
{
    struct ipcl_error error;
    char text[512];
    send_sealed();
    zmq_msg_t *signature = message_part(&message, MESSAGE_SIGNATURE);
    memcpy(text, zmq_msg_data(signature), zmq_msg_size(signature));
    cr_assert_eq(message_replace(signature, text, 64), 0);
    cr_assert_eq(take(), SESSION_FORGED);
    build("apply_request");
    cr_assert_eq(seal_sign(&client, &message, CLIENT, strlen(CLIENT), false, &error), 0);
    cr_assert_eq(take(), SESSION_ACCEPTED, "ipyparallel's programs sign so");
    cr_assert_eq(take(), SESSION_REPEATED);
    build("apply_reply");
    cr_assert_eq(seal_sign(&controller, &message, CLIENT, strlen(CLIENT), false, &error), 0);
    cr_assert_eq(take_as(&client, CLIENT), SESSION_UNBOUND, "not where a seal is required");
    memcpy(text, zmq_msg_data(signature), 64);
    memset(text + 64, '0', 48);
    cr_assert_eq(message_replace(signature, text, 112), 0);
    cr_assert_eq(take_as(&client, CLIENT), SESSION_FORGED);
}

Test(seal, what_was_sent_under_names_that_are_forgotten_stays_refused)
{
    struct message first;
    char name[64];
    send_sealed();
    message_init(&first);
    cr_assert_eq(message_copy(&first, &message), 0);
    cr_assert_eq(take(), SESSION_ACCEPTED);
    for (int i = 0; i <= SEAL_PEERS_MAX; i++) {
        snprintf(name, sizeof(name), "client %d", i);
        cr_assert_eq(seal_sign(&client, &message, name, strlen(name), true, NULL), 0);
        cr_assert_eq(seal_verify(&controller, &message, name, strlen(name)), SESSION_ACCEPTED);
    }
    cr_assert_not(seal_knows(&controller, CLIENT, strlen(CLIENT)), "memory is bounded");
    cr_assert_eq(message_copy(&message, &first), 0);
    cr_assert_eq(take(), SESSION_REPEATED, "and the promise is not");
    send_sealed();
    cr_assert_eq(take(), SESSION_ACCEPTED, "whoever is forgotten goes on");
    message_close(&first);
}

static void send_as(const char *name)
{
    cr_assert_eq(seal_sign(&client, &message, name, strlen(name), true, NULL), 0);
}

static void meet_others(int count)
{
    char name[64];
    for (int i = 0; i < count; i++) {
        snprintf(name, sizeof(name), "client %d", i);
        send_as(name);
        cr_assert_eq(seal_verify(&controller, &message, name, strlen(name)), SESSION_ACCEPTED);
    }
}

Test(seal, of_whoever_has_been_silent_for_longest_is_forgotten_first)
{
    build("apply_request");
    send_as("one that is silent");
    cr_assert_eq(take_as(&controller, "one that is silent"), SESSION_ACCEPTED);
    for (int i = 0; i < 4; i++) {
        send_sealed();
        cr_assert_eq(take(), SESSION_ACCEPTED);
        meet_others(SEAL_PEERS_MAX / 2);
    }
    cr_assert(seal_knows(&controller, CLIENT, strlen(CLIENT)));
    send_sealed();
    cr_assert_eq(take(), SESSION_ACCEPTED);
    message_clear(&message);
    build("apply_request");
    char name[64];
    for (int i = 0; i < SEAL_PEERS_MAX - 1; i++) {
        snprintf(name, sizeof(name), "another %d", i);
        send_as(name);
        cr_assert_eq(seal_verify(&controller, &message, name, strlen(name)), SESSION_ACCEPTED);
    }
    cr_assert(seal_knows(&controller, CLIENT, strlen(CLIENT)));
    cr_assert_not(seal_knows(&controller, "one that is silent", strlen("one that is silent")));
    cr_assert_not(seal_knows(&controller, "client 0", strlen("client 0")));
}

/* Whoever has the key could otherwise keep everybody new out, with counters of the year 600000. */
Test(seal, with_a_counter_of_the_far_future_keeps_nobody_out)
{
    struct message first;
    uint64_t honest;
    message_init(&first);
    send_sealed();
    honest = client.counter;
    client.counter = UINT64_MAX - SEAL_PEERS_MAX;
    send_as("who holds the key");
    cr_assert_eq(message_copy(&first, &message), 0);
    cr_assert_eq(take_as(&controller, "who holds the key"), SESSION_ACCEPTED);
    client.counter = honest;
    meet_others(SEAL_PEERS_MAX + 1);
    send_as("who is new");
    cr_assert_eq(take_as(&controller, "who is new"), SESSION_ACCEPTED);
    cr_assert_eq(message_copy(&message, &first), 0);
    cr_assert_eq(take_as(&controller, "who holds the key"), SESSION_REPEATED);
    message_close(&first);
}

Test(seal, with_counters_of_the_far_future_is_taken_of_some_and_memory_is_bounded)
{
    uint64_t honest;
    char name[64];
    int taken = 0;
    send_sealed();
    honest = client.counter;
    client.counter = UINT64_MAX - 2 * SEAL_PEERS_MAX;
    for (int i = 0; i < SEAL_PEERS_MAX; i++) {
        snprintf(name, sizeof(name), "ahead %d", i);
        send_as(name);
        taken += seal_verify(&controller, &message, name, strlen(name)) == SESSION_ACCEPTED;
    }
    cr_assert_eq(taken, SEAL_PEERS_MAX / 2);
    client.counter = honest;
    meet_others(SEAL_PEERS_MAX);
    send_sealed();
    cr_assert_eq(take(), SESSION_ACCEPTED);
    cr_assert_eq(controller.ahead, (unsigned)taken, "none of them was forgotten");
}

Test(seal, of_a_controller_counts_on_from_where_it_begins)
{
    struct seal engine = {.session = theirs}, successor = {.session = ours, .controller = true};
    uint64_t begin = (uint64_t)((clock_wall() + 3600) * 1e6);
    successor.counter = begin;
    for (int i = 0; i < 2; i++) {
        successor.used_ms = clock_ms() - 3600000; /* it was silent for an hour */
        build("apply_request");
        cr_assert_eq(seal_sign(&successor, &message, "engine", 6, true, NULL), 0);
        cr_assert_eq(take_as(&engine, "engine"), SESSION_ACCEPTED);
    }
    cr_assert_eq(successor.counter, begin + 2);
    seal_release(&engine);
}

Test(seal, of_who_starts_anew_is_taken)
{
    send_sealed();
    cr_assert_eq(take(), SESSION_ACCEPTED);
    client.counter = 0;
    long long until_ms = clock_ms() + 2;
    while (clock_ms() < until_ms)
        ;
    send_sealed();
    cr_assert_eq(take(), SESSION_ACCEPTED);
}

/* An envelope as it was sent, and how many messages are in it. */
static struct message envelope;
#define ENCLOSED 3

static int give_counter(void *self, struct message *enclosed)
{
    return seal_enclose(self, enclosed);
}

static void keep_envelope(void *self, struct message *closed)
{
    cr_assert_eq(seal_close_envelope(self, closed, CLIENT, strlen(CLIENT)), 0);
    cr_assert_eq(message_move(&envelope, closed), 0);
}

static void enclose(void)
{
    static struct envelopes envelopes;
    message_init(&envelope);
    envelopes_prepare(&envelopes, 0, give_counter, keep_envelope, &client);
    for (int i = 0; i < ENCLOSED; i++) {
        build("apply_request");
        cr_assert(envelopes_put(&envelopes, "", 0, &message, 0));
    }
    envelopes_close(&envelopes);
    envelopes_release(&envelopes);
}

/* Verifies what is in the envelope. Returns how many messages had this verdict. */
static int count_verdicts(struct seal *seal, const char *name, enum session_verdict wanted)
{
    struct envelope_reader reader = {0};
    struct message inner;
    int count = 0;
    message_init(&inner);
    if (envelope_open(&reader, &envelope))
        while (envelope_next(&reader, &inner))
            count += seal_verify(seal, &inner, name, strlen(name)) == wanted;
    envelope_close(&reader);
    message_close(&inner);
    return count;
}

static int count_taken(struct seal *seal, const char *name)
{
    return count_verdicts(seal, name, SESSION_ACCEPTED);
}

Test(seal, of_an_envelope_is_for_all_that_is_in_it_once)
{
    enclose();
    cr_expect_eq(count_taken(&controller, CLIENT), ENCLOSED);
    cr_expect_eq(seal_highest(&controller, CLIENT, strlen(CLIENT)), client.counter);
    cr_expect_eq(count_verdicts(&controller, CLIENT, SESSION_REPEATED), ENCLOSED);
    message_close(&envelope);
}

Test(seal, of_an_envelope_covers_every_byte)
{
    enclose();
    zmq_msg_t *frame = message_frame(&envelope, 0);
    unsigned char *data = zmq_msg_data(frame);
    for (size_t i = 0; i < zmq_msg_size(frame); i++) {
        data[i] ^= 1;
        cr_assert_eq(count_taken(&controller, CLIENT), 0, "byte %zu", i);
        data[i] ^= 1;
    }
    cr_expect_eq(count_taken(&controller, CLIENT), ENCLOSED);
    message_close(&envelope);
}

Test(seal, of_an_envelope_is_for_one_name_channel_side_direction_and_life)
{
    enclose();
    struct seal other = controller;
    cr_expect_eq(count_taken(&controller, "c0ffee00-0000-4000-8000-000000000002"), 0);
    other.channel = SEAL_DIRECT;
    cr_expect_eq(count_taken(&other, CLIENT), 0);
    other = controller;
    other.role = CONNECTION_ENGINE;
    cr_expect_eq(count_taken(&other, CLIENT), 0);
    cr_expect_eq(count_verdicts(&client, CLIENT, SESSION_FORGED), ENCLOSED);
    controller.life = other_life;
    cr_expect_eq(count_verdicts(&controller, CLIENT, SESSION_STALE), ENCLOSED);
    controller.life = life;
    cr_expect_eq(count_taken(&controller, CLIENT), ENCLOSED);
    message_close(&envelope);
}

Test(seal, of_an_envelope_is_none_for_what_comes_alone)
{
    struct message inner;
    struct envelope_reader reader = {0};
    enclose();
    message_init(&inner);
    cr_assert(envelope_open(&reader, &envelope));
    while (envelope_next(&reader, &inner)) {
        cr_assert_eq(message_copy(&message, &inner), 0);
        cr_expect_eq(take(), SESSION_FORGED);
    }
    envelope_close(&reader);
    message_close(&inner);
    message_close(&envelope);
}
