/* A thread's loop: no message is slept over, whoever was sent to meanwhile, and it ends when it is
 * told. */
#include <criterion/criterion.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "wire/loop.h"
#include "wire/socket.h"

#define ROUNDS 20000

static void *context;

static void open_context(void)
{
    context = zmq_ctx_new();
}

static void close_context(void)
{
    zmq_ctx_term(context);
}

TestSuite(loop, .init = open_context, .fini = close_context, .timeout = 60);

static void *open_pair(const char *url, bool binds)
{
    struct ipcl_error error;
    struct socket_options options = {.type = ZMQ_PAIR};
    void *socket = socket_create(context, &options, &error);
    int status = binds ? socket_bind(socket, url, &error) : socket_connect(socket, url, &error);
    cr_assert_eq(status, 0, "%s", error.text);
    return socket;
}

/* One side of a game in which each message is answered with another, now and then with several. */
struct player {
    struct loop *loop;
    void *socket;
    void *aside; /* a second socket, which is sent on without being asked */
    unsigned received;
    unsigned aside_received;
};

static void answer(void *self, struct message *message)
{
    struct player *player = self;
    if (++player->received % 7 == 0) {
        struct message more;
        message_init(&more);
        message_append(&more, "aside", 5);
        message_send(&more, player->aside);
        message_close(&more);
    }
    message_send(message, player->socket);
    if (player->received >= ROUNDS)
        loop_end(player->loop);
}

static void count(void *self, struct message *message)
{
    (void)message;
    ((struct player *)self)->aside_received++;
}

static void *play(void *self)
{
    loop_run(((struct player *)self)->loop);
    return NULL;
}

static void open_player(struct player *player, const char *name, bool binds)
{
    memset(player, 0, sizeof(*player));
    player->loop = loop_create(context, name, NULL);
    player->socket = open_pair("inproc://game", binds);
    player->aside = open_pair("inproc://aside", binds);
    cr_assert_eq(loop_add(player->loop, player->socket, answer, player), 0);
    cr_assert_eq(loop_add(player->loop, player->aside, count, player), 0);
}

Test(loop, loses_no_message_however_threads_meet)
{
    struct player left, right;
    struct message first;
    pthread_t threads[2];
    open_player(&left, "left", true);
    open_player(&right, "right", false);
    message_init(&first);
    message_append(&first, "ball", 4);
    message_send(&first, left.socket);
    pthread_create(&threads[0], NULL, play, &left);
    pthread_create(&threads[1], NULL, play, &right);
    /* One that slept over a message would play no further, and the test would run out of time. */
    pthread_join(threads[1], NULL);
    loop_stop(left.loop);
    pthread_join(threads[0], NULL);
    cr_assert_geq(right.received, ROUNDS);
    cr_assert_geq(left.aside_received + 1, ROUNDS / 7 / 2);
    message_close(&first);
    loop_destroy(left.loop);
    loop_destroy(right.loop);
}

struct timed {
    struct loop *loop;
    int fd;
    unsigned ticks, reads;
};

static void read_fd(void *self)
{
    struct timed *timed = self;
    uint64_t value;
    cr_assert_eq(read(timed->fd, &value, sizeof(value)), sizeof(value));
    timed->reads++;
}

static long long tick(void *self, long long now_ms)
{
    struct timed *timed = self;
    uint64_t one = 1;
    if (++timed->ticks == 3)
        cr_assert_eq(write(timed->fd, &one, sizeof(one)), sizeof(one));
    if (timed->reads)
        loop_end(timed->loop);
    return now_ms + 5;
}

Test(loop, wakes_for_time_and_for_descriptors)
{
    struct timed timed = {.loop = loop_create(context, "timed", NULL),
                          .fd = eventfd(0, EFD_NONBLOCK)};
    cr_assert_eq(loop_add_fd(timed.loop, timed.fd, read_fd, &timed), 0);
    loop_set_tick(timed.loop, tick, &timed);
    loop_run(timed.loop);
    cr_assert_eq(timed.reads, 1);
    loop_destroy(timed.loop);
    close(timed.fd);
}

Test(loop, refuses_what_is_not_there)
{
    struct loop *loop = loop_create(context, "nothing", NULL);
    cr_assert_eq(loop_add(loop, NULL, count, NULL), -1);
    cr_assert_eq(loop_add_fd(loop, -1, read_fd, NULL), -1);
    cr_assert_eq(loop_keep(loop, NULL), -1);
    loop_destroy(loop);
}
