/* Segments: what is handed over is what was given, nobody changes it, it goes with its last user;
 * what is no segment is not taken. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "wire/held.h"
#include "wire/segment.h"
#include "wire/segment_link.h"

#define BYTES SEGMENT_ALONE_BYTES

static char data[BYTES];

static size_t count(void)
{
    size_t bytes, segments = segment_count(&bytes);
    cr_assert_eq(bytes, segments * BYTES);
    return segments;
}

/* A message with one buffer, that is a segment. */
static void make(struct message *message)
{
    zmq_msg_t frame;
    memset(data, 'd', sizeof(data));
    message_init(message);
    message_append_parts(message);
    cr_assert_eq(segment_make(&frame, data, sizeof(data)), 0);
    message_append_frame(message, &frame);
}

/* The same message as another program has it: nothing but the bytes. */
static void copy(struct message *to, struct message *from)
{
    message_init(to);
    message_duplicate(to, from);
    message_find_delimiter(to);
}

static void check_opened(struct message *message)
{
    zmq_msg_t *frame = message_buffer(message, 0);
    cr_assert_eq(zmq_msg_size(frame), BYTES);
    cr_assert_arr_eq(zmq_msg_data(frame), data, BYTES);
}

Test(segment, is_opened_as_often_as_wanted_each_time_with_memory_of_its_own)
{
    struct message message, other;
    make(&message);
    message_init(&other);
    message_copy(&other, &message);
    cr_assert_eq(message_bytes(&message), strlen(MESSAGE_DELIMITER) + BYTES);
    cr_assert_eq(segment_open(message_buffer(&message, 0)), 0);
    cr_assert_eq(count(), 1, "the other message has it, too");
    memset(zmq_msg_data(message_buffer(&message, 0)), 'x', BYTES);
    cr_assert_eq(segment_open(message_buffer(&other, 0)), 0);
    cr_assert_eq(count(), 0);
    check_opened(&other);
    cr_assert_eq(segment_open(message_buffer(&other, 0)), -1, "it is open");
    message_close(&message);
    check_opened(&other);
    message_close(&other);
}

Test(segment, cannot_be_changed_or_cut_by_whoever_has_its_descriptor)
{
    struct message message;
    make(&message);
    int descriptor = segment_descriptor(message_buffer(&message, 0));
    cr_assert_eq(ftruncate(descriptor, 1), -1);
    cr_assert_eq(pwrite(descriptor, "x", 1, 0), -1);
    cr_assert_eq(mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0), MAP_FAILED);
    message_close(&message);
}

Test(segment, stays_with_a_message_that_is_put_aside)
{
    struct message message, restored;
    struct held_pool *pool = held_pool_create();
    size_t before = held_bytes();
    make(&message);
    struct held *held = held_create(&message, pool), *again = held_create(&message, pool);
    message_close(&message);
    cr_assert_eq(count(), 1);
    cr_assert_geq(held_bytes() - before, 2 * BYTES);
    held_destroy(held);
    message_init(&restored);
    cr_assert_eq(held_restore(again, &restored), 0);
    held_destroy(again);
    cr_assert_eq(held_bytes(), before);
    cr_assert_eq(segment_link_give(NULL, &restored), 0);
    check_opened(&restored);
    message_close(&restored);
    cr_assert_eq(count(), 0);
    held_pool_destroy(pool);
}

Test(segment, is_not_made_where_the_system_does_not_allow_it)
{
    zmq_msg_t frame;
    struct rlimit limit;
    getrlimit(RLIMIT_FSIZE, &limit);
    limit.rlim_cur = BYTES - 1;
    setrlimit(RLIMIT_FSIZE, &limit);
    cr_assert_eq(segment_make(&frame, data, BYTES), -1);
    cr_assert_eq(segment_make(&frame, data, BYTES - 1), 0);
    zmq_msg_close(&frame);
    getrlimit(RLIMIT_NOFILE, &limit);
    setrlimit(RLIMIT_NOFILE, &(struct rlimit){0, limit.rlim_max});
    int status = segment_make(&frame, data, 1);
    setrlimit(RLIMIT_NOFILE, &limit);
    cr_assert_eq(status, -1);
    cr_assert_eq(count(), 0);
}

static int file_of(size_t size, int seals)
{
    int descriptor = memfd_create("test", MFD_ALLOW_SEALING);
    cr_assert_eq(write(descriptor, data, size), (ssize_t)size);
    cr_assert_eq(fcntl(descriptor, F_ADD_SEALS, seals), 0);
    return descriptor;
}

Test(segment, is_taken_only_if_it_is_sealed_and_has_its_size)
{
    const int all = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;
    struct message message, received, other;
    int ends[2];
    make(&message);
    copy(&received, &message);
    copy(&other, &message);
    message_close(&message);
    zmq_msg_t *frame = message_buffer(&received, 0);
    cr_assert(segment_is_reference(frame));
    cr_assert_eq(segment_adopt(frame, file_of(BYTES, F_SEAL_SHRINK | F_SEAL_GROW)), -1);
    cr_assert_eq(segment_adopt(frame, file_of(BYTES, F_SEAL_GROW | F_SEAL_WRITE)), -1);
    cr_assert_eq(segment_adopt(frame, file_of(BYTES - 1, all)), -1);
    cr_assert_eq(pipe(ends), 0);
    cr_assert_eq(segment_adopt(frame, ends[0]), -1);
    cr_assert_eq(segment_adopt(frame, -1), -1);
    cr_assert_eq(segment_open(frame), -1, "it owns nothing");
    cr_assert_eq(count(), 0);
    int hole = memfd_create("test", MFD_ALLOW_SEALING);
    cr_assert_eq(ftruncate(hole, (off_t)BYTES), 0);
    cr_assert_eq(fcntl(hole, F_ADD_SEALS, all), 0);
    cr_assert_eq(segment_adopt(frame, hole), -1);
    cr_assert_eq(segment_adopt(frame, file_of(BYTES, all)), 0);
    cr_assert_eq(count(), 1);
    cr_assert_eq(segment_adopt(message_buffer(&other, 0), file_of(BYTES, all)), -1,
                 "another file under the same reference");
    message_close(&other);
    message_close(&received);
    cr_assert_eq(count(), 0);
}

static void make_links(struct segment_link links[2])
{
    int sockets[2];
    cr_assert_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, sockets), 0);
    for (int i = 0; i < 2; i++)
        links[i] = (struct segment_link){.connected = true, .socket = sockets[i]};
}

Test(segment_link, hands_over_what_messages_refer_to_in_any_order)
{
    struct segment_link links[2];
    struct message sent[3], received[3];
    make_links(links);
    for (int i = 0; i < 3; i++) {
        make(&sent[i]);
        cr_assert_eq(segment_link_give(&links[0], &sent[i]), 0);
        copy(&received[i], &sent[i]);
        message_close(&sent[i]);
    }
    struct message unread;
    make(&unread);
    cr_assert_eq(segment_link_give(&links[1], &unread), 0);
    message_close(&unread);
    segment_link_close(
        &links[0]); /* also what a program gave that has gone, with something unread */
    for (int i = 2; i >= 0; i--) {
        cr_assert_eq(segment_link_unpack(&links[1], &received[i]), 0);
        check_opened(&received[i]);
        message_close(&received[i]);
    }
    cr_assert_eq(count(), 0);
    segment_link_close(&links[1]);
}

Test(segment_link, says_that_what_was_not_given_or_was_taken_back_is_not_there)
{
    struct segment_link links[2];
    struct message sent, received;
    make_links(links);
    make(&sent);
    copy(&received, &sent);
    cr_assert_eq(segment_link_take(NULL, &received), -1);
    cr_assert_eq(segment_link_give(&links[0], &sent), 0);
    segment_link_recall(&links[0], &sent);
    message_close(&sent);
    segment_link_drain(&links[1]);
    cr_assert_eq(segment_link_take(&links[1], &received), -1);
    cr_assert_null(links[1].arrived);
    cr_assert_eq(segment_link_give(&links[1], &received), -1);
    message_close(&received);
    segment_link_close(&links[0]);
    segment_link_close(&links[1]);
}

Test(segment_link, puts_into_the_message_what_the_other_end_does_not_read)
{
    struct segment_link links[2];
    struct message messages[2];
    size_t given = 0, i = 0;
    make_links(links);
    make(&messages[0]);
    make(&messages[1]);
    /* One that is given again at once counts once. */
    for (int again = 0; again < 100; again++)
        cr_assert_eq(segment_link_give(&links[0], &messages[1]), 0);
    cr_assert(segment_is_reference(message_buffer(&messages[1], 0)));
    while (!segment_link_give(&links[0], &messages[i]) &&
           segment_is_reference(message_buffer(&messages[i], 0))) {
        given += BYTES;
        i = 1 - i;
    }
    cr_assert_gt(given, 0);
    cr_assert_leq(given, ((size_t)1 << 30) + BYTES);
    check_opened(&messages[i]);
    message_close(&messages[0]);
    message_close(&messages[1]);
    segment_link_close(&links[0]);
    segment_link_close(&links[1]);
}

Test(segment_link, without_a_connection_leaves_messages_as_they_are)
{
    struct segment_link link = {0};
    struct message message;
    message_init(&message);
    message_append_parts(&message);
    message_append(&message, data, BYTES);
    segment_link_pack(&link, &message);
    cr_assert_eq(segment_link_give(&link, &message), 0);
    check_opened(&message);
    message_close(&message);
    segment_link_close(&link);
}

Test(segment_link, makes_segments_of_large_buffers_alone)
{
    struct segment_link links[2];
    struct message message;
    make_links(links);
    message_init(&message);
    message_append_parts(&message);
    message_append(&message, data, SEGMENT_ALONE_BYTES - 1);
    message_append(&message, data, BYTES);
    segment_link_pack(&links[0], &message);
    cr_assert_not(segment_is_reference(message_buffer(&message, 0)));
    cr_assert(segment_is_reference(message_buffer(&message, 1)));
    cr_assert_eq(count(), 1);
    message_close(&message);
    segment_link_close(&links[0]);
    segment_link_close(&links[1]);
}

static int hear(const void *bytes, size_t size, struct segment_hello *hello)
{
    int sockets[2];
    cr_assert_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, sockets), 0);
    cr_assert_eq(segment_link_hear(sockets[1], hello), 0, "nothing has come yet");
    cr_assert_eq(write(sockets[0], bytes, size), (ssize_t)size);
    int heard = segment_link_hear(sockets[1], hello);
    close(sockets[0]);
    cr_assert_eq(segment_link_hear(sockets[1], hello), -1);
    close(sockets[1]);
    return heard;
}

Test(segment_link, hears_a_hello_and_nothing_else)
{
    static const char hello_bytes[] = "\0ipcluster segments 1\0\1\4nameproof";
    struct segment_hello hello;
    cr_assert_eq(hear(hello_bytes, sizeof(hello_bytes) - 1, &hello), 1);
    cr_assert_eq(hello.role, CONNECTION_ENGINE);
    cr_assert_eq(hello.name_size, 4);
    cr_assert_arr_eq(hello.name, "name", 4);
    cr_assert_eq(hello.proof_size, 5);
    cr_assert_arr_eq(hello.proof, "proof", 5);
    for (size_t size = 1; size < 28; size++)
        cr_assert_eq(hear(hello_bytes, size, &hello), -1, "cut after %zu", size);
    cr_assert_eq(hear("\0ipcluster segments 1\0\7\4nameproof", 33, &hello), -1);
    cr_assert_eq(hear("\0ipcluster segments 1\0\1\377name", 28, &hello), -1);
    cr_assert_eq(hear("something else that is long enough", 34, &hello), -1);
}
