/* What libzmq is given to read, and to which connection or listener a descriptor belongs. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "controller/door/gate.h"

#define DESCRIPTORS    256
#define GREETING_BYTES 64

static struct ipcl_error error;

/* The linker gives the gate this clock. */
static long long now_ms = 1;
long long __wrap_clock_ms(void);
long long __wrap_clock_ms(void)
{
    return now_ms;
}

static int listener(void)
{
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    cr_assert_eq(bind(fd, &(struct sockaddr){.sa_family = AF_UNIX}, sizeof(sa_family_t)), 0);
    cr_assert_eq(listen(fd, 1), 0);
    return fd;
}

/* A connection of a peer that has not proved who it is. */
static int stranger(int at, int *other)
{
    int ends[2];
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0);
    gate_admit(at, ends[0]);
    *other = ends[1];
    return ends[0];
}

static bool is_listening(int fd)
{
    int yes = 0;
    socklen_t size = sizeof(yes);
    return !getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &yes, &size) && yes;
}

static bool has_ended(int other)
{
    char byte;
    return recv(other, &byte, 1, MSG_DONTWAIT) == 0;
}

Test(gate, the_descriptor_of_a_connection_that_was_ended_here_may_be_a_listeners)
{
    int other, others[3];
    cr_assert_eq(gate_open(DESCRIPTORS, &error), 0);
    gate_set(1000);
    gate_expect((struct gate_peers){.encrypted = true});
    gate_set_strangers(2);
    int first = listener(), ended = stranger(first, &other);
    close(ended);
    int second = listener();
    cr_assert_eq(second, ended);
    for (int i = 0; i < 3; i++)
        stranger(first, &others[i]);
    cr_assert(is_listening(second));
    cr_assert(has_ended(others[0]), "the oldest makes room");
    cr_assert_not(has_ended(others[2]));
}

/* Sends the data, and returns whether the gate hands it on. */
static bool passes(int fd, int other, const void *data, size_t size)
{
    char read[GREETING_BYTES];
    cr_assert_leq(size, sizeof(read));
    cr_assert_eq(send(other, data, size, MSG_NOSIGNAL), (ssize_t)size);
    return recv(fd, read, sizeof(read), 0) == (ssize_t)size && !memcmp(read, data, size);
}

/* A connection that has sent its greeting, and a handshake of empty frames. */
static int subscriber(int *other)
{
    unsigned char greeting[GREETING_BYTES] = {[0] = 0xff, [9] = 0x7f, [10] = 3};
    cr_assert_eq(gate_open(DESCRIPTORS, &error), 0);
    gate_set(1000);
    gate_expect((struct gate_peers){.encrypted = true, .subscribers = true});
    int fd = stranger(listener(), other);
    cr_assert(passes(fd, *other, greeting, sizeof(greeting)));
    cr_assert(passes(fd, *other, "\4\0\4", 4));
    return fd;
}

/* Sends READY with this name, byte by byte. Returns whether all of it passes. */
static bool may_be_named(const char *name, unsigned char size)
{
    unsigned char greeting[GREETING_BYTES] = {[0] = 0xff, [9] = 0x7f, [10] = 3}, ready[64] = {4};
    char *at = (char *)ready + 2;
    int other, fd;
    cr_assert_eq(gate_open(DESCRIPTORS, &error), 0);
    gate_set(1000);
    gate_expect((struct gate_peers){.encrypted = false});
    fd = stranger(listener(), &other);
    cr_assert(passes(fd, other, greeting, sizeof(greeting)));
    at += sprintf(at, "\5READY\13Socket-Type%c%c%c\6DEALER\10Identity%c%c%c%c", 0, 0, 0, 0, 0, 0,
                  size);
    memcpy(at, name, size);
    ready[1] = (unsigned char)(at + size - (char *)ready - 2);
    for (size_t i = 0; i < ready[1] + 2u; i++)
        if (!passes(fd, other, ready + i, 1))
            return false;
    return true;
}

Test(gate, names_that_begin_with_a_zero_byte_are_nobodys)
{
    cr_assert_not(may_be_named("\0\1\2\3\4", 5));
    cr_assert_not(may_be_named("\0", 1));
    cr_assert(may_be_named("a\0\0", 3));
    cr_assert(may_be_named("", 0));
}

Test(gate, what_comes_before_a_frame_that_is_too_large_is_handed_on_and_the_loss_is_told)
{
    unsigned char greeting[GREETING_BYTES] = {[0] = 0xff, [9] = 0x7f, [10] = 3};
    static const char ready[45] = "\4\53\5READY\10Identity\0\0\0\6engine\13Socket-Type\0\0";
    struct gate_loss loss;
    char read[64];
    int other, fd, losses;
    cr_assert_eq(gate_open(DESCRIPTORS, &error), 0);
    gate_set(100);
    gate_expect((struct gate_peers){.encrypted = false});
    losses = gate_watch_losses(&error);
    fd = stranger(listener(), &other);
    cr_assert(passes(fd, other, greeting, sizeof(greeting)));
    cr_assert(passes(fd, other, ready, sizeof(ready)));
    cr_assert_eq(send(other, "\0\1a\0\2bc\0\145d", 10, 0), 10);
    cr_assert_eq(recv(fd, read, sizeof(read), 0), 7);
    cr_assert_not(gate_read_loss(losses, &loss), "libzmq has not taken yet what came before");
    cr_assert_eq(recv(fd, read, sizeof(read), 0), -1);
    cr_assert(gate_read_loss(losses, &loss));
    cr_assert_str_eq(loss.name, "engine");
    cr_assert(strstr(loss.text, "101 bytes"), "%s", loss.text);
    close(losses);
}

/* An encrypted heartbeat has forty bytes, as a topic of six. */
static const unsigned char heartbeat[42] = {0, 40};

Test(gate, a_subscriber_that_sends_heartbeats_for_weeks_is_not_cut_off)
{
    int other, fd = subscriber(&other);
    for (int i = 0; i < 20 * GATE_SUBSCRIBER_BYTES_MAX / (int)sizeof(heartbeat); i++) {
        now_ms += 500;
        cr_assert(passes(fd, other, heartbeat, sizeof(heartbeat)), "heartbeat %d", i);
    }
}

Test(gate, what_a_subscriber_sends_at_once_is_bounded)
{
    int other, fd = subscriber(&other), passed = 0;
    while (passes(fd, other, heartbeat, sizeof(heartbeat)))
        passed++;
    cr_assert_leq(passed * (int)sizeof(heartbeat), GATE_SUBSCRIBER_BYTES_MAX);
    cr_assert_gt((passed + 3) * (int)sizeof(heartbeat), GATE_SUBSCRIBER_BYTES_MAX);
}
