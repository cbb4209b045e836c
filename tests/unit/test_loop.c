/* A thread's loop: it misses no message, whatever was sent meanwhile, and it ends when it is
 * told. */
#include <criterion/criterion.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "wire/loop.h"
#include "wire/socket.h"

#define ROUNDS      20000
#define PATIENCE_MS 60000

static void *context;

static void open_context(void)
{
    context = zmq_ctx_new();
}

static void close_context(void)
{
    zmq_ctx_term(context);
}

TestSuite(loop, .init = open_context, .fini = close_context, .timeout = 300);

static void *open_pair(const char *url, bool binds)
{
    struct ipcl_error error;
    struct socket_options options = {.type = ZMQ_PAIR};
    void *socket = socket_create(context, &options, &error);
    int status = binds ? socket_bind(socket, url, &error) : socket_connect(socket, url, &error);
    cr_assert_eq(status, 0, "%s", error.text);
    return socket;
}

/* One side of a game: each message is answered with another, sometimes with several. */
struct player {
    struct loop *loop;
    void *socket;
    void *aside; /* a second socket, by which messages are sent that nothing asks for */
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
    player->loop = loop_create(name, NULL);
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
    /* A player that missed a message would stop, and the test would run out of time. */
    pthread_join(threads[1], NULL);
    loop_stop(left.loop);
    pthread_join(threads[0], NULL);
    cr_assert_geq(right.received, ROUNDS);
    cr_assert_geq(left.aside_received + 1, ROUNDS / 7 / 2);
    message_close(&first);
    loop_destroy(left.loop);
    loop_destroy(right.loop);
}

Test(loop, loses_no_message_inside_another_loop)
{
    struct player left, right;
    struct message first;
    pthread_t thread;
    open_player(&left, "left", true);
    open_player(&right, "right", false);
    struct pollfd outer = {.fd = loop_descriptor(left.loop), .events = POLLIN};
    cr_assert_eq(loop_descriptor(left.loop), outer.fd);
    message_init(&first);
    message_append(&first, "ball", 4);
    message_send(&first, left.socket);
    pthread_create(&thread, NULL, play, &right);
    for (loop_turn(left.loop); left.received < ROUNDS; loop_turn(left.loop))
        cr_assert_eq(poll(&outer, 1, PATIENCE_MS), 1, "a message was missed: %u of %u, %u aside",
                     left.received, right.received, left.aside_received);
    pthread_join(thread, NULL);
    cr_assert_geq(left.aside_received + 1, ROUNDS / 7 / 2);
    message_close(&first);
    loop_destroy(left.loop);
    loop_destroy(right.loop);
}

/* Sends a ball and counts what comes back. */
struct visited {
    struct loop *loop;
    void *socket;
    atomic_uint received;
};

static void come_back(void *self, struct message *message)
{
    (void)message;
    ((struct visited *)self)->received++;
}

static void *wait_for_balls(void *self)
{
    loop_run(((struct visited *)self)->loop);
    return NULL;
}

static void send_ball(struct visited *visited)
{
    struct message ball;
    message_init(&ball);
    message_append(&ball, "ball", 4);
    cr_assert_eq(message_send(&ball, visited->socket), 0);
    message_close(&ball);
}

Test(loop, misses_nothing_while_another_thread_takes_its_place)
{
    struct visited visited = {.loop = loop_create("visited", NULL)};
    struct player wall;
    pthread_t threads[2];
    unsigned sent = 0;
    visited.socket = open_pair("inproc://game", false);
    cr_assert_eq(loop_add(visited.loop, visited.socket, come_back, &visited), 0);
    open_player(&wall, "wall", true);
    pthread_create(&threads[0], NULL, wait_for_balls, &visited);
    pthread_create(&threads[1], NULL, play, &wall);
    /* Two balls are under way. If the one that comes back while another is sent was missed, the
     * test would run out of time. */
    while (sent < ROUNDS) {
        if (sent - visited.received >= 2 || !loop_enter(visited.loop)) {
            sched_yield();
            continue;
        }
        send_ball(&visited);
        sent++;
        loop_leave(visited.loop);
    }
    pthread_join(threads[1], NULL);
    while (visited.received < ROUNDS)
        sched_yield();
    loop_stop(visited.loop);
    pthread_join(threads[0], NULL);
    loop_destroy(visited.loop);
    loop_destroy(wall.loop);
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
    struct timed timed = {.loop = loop_create("timed", NULL), .fd = eventfd(0, EFD_NONBLOCK)};
    cr_assert_eq(loop_add_fd(timed.loop, timed.fd, read_fd, &timed), 0);
    loop_set_tick(timed.loop, tick, &timed);
    loop_run(timed.loop);
    cr_assert_eq(timed.reads, 1);
    loop_destroy(timed.loop);
    close(timed.fd);
}

/* What came by a socket that rests and by another, and the ends to send by. */
struct calm {
    struct loop *loop;
    void *to_calm, *to_hasty;
    char came[8];
    unsigned ticks;
};

static void note(void *self, struct message *message)
{
    struct calm *calm = self;
    strncat(calm->came, zmq_msg_data(message_frame(message, 0)), 1);
    if (strlen(calm->came) == 3)
        loop_end(calm->loop);
}

static void open_calm(struct calm *calm, int rest_ms)
{
    memset(calm, 0, sizeof(*calm));
    calm->loop = loop_create("calm", NULL);
    void *resting = open_pair("inproc://calm", true), *hasty = open_pair("inproc://hasty", true);
    calm->to_calm = open_pair("inproc://calm", false);
    calm->to_hasty = open_pair("inproc://hasty", false);
    cr_assert_eq(loop_add(calm->loop, resting, note, calm), 0);
    cr_assert_eq(loop_add(calm->loop, hasty, note, calm), 0);
    cr_assert_eq(loop_keep(calm->loop, calm->to_calm), 0);
    cr_assert_eq(loop_keep(calm->loop, calm->to_hasty), 0);
    loop_rest(calm->loop, resting, rest_ms);
}

/* 'a' begins the rest, 'b' comes while it lasts, and 'c' by the other socket. */
static long long disturb(void *self, long long now_ms)
{
    struct calm *calm = self;
    if (calm->ticks == 1 && !*calm->came)
        return now_ms + 2;
    calm->ticks++;
    if (calm->ticks == 1)
        zmq_send(calm->to_calm, "a", 1, 0);
    else if (calm->ticks == 2)
        zmq_send(calm->to_calm, "b", 1, 0);
    else if (calm->ticks == 10)
        zmq_send(calm->to_hasty, "c", 1, 0);
    if (calm->ticks <= 10)
        cr_expect(strlen(calm->came) <= 1, "it rests");
    return now_ms + 2;
}

Test(loop, reads_what_rests_before_what_does_not)
{
    struct calm calm;
    open_calm(&calm, 1000 * 1000);
    loop_set_tick(calm.loop, disturb, &calm);
    loop_run(calm.loop);
    cr_expect_str_eq(calm.came, "abc");
    loop_destroy(calm.loop);
}

static long long send_three(void *self, long long now_ms)
{
    struct calm *calm = self;
    (void)now_ms;
    if (calm->ticks == strlen(calm->came) && calm->ticks < 3)
        zmq_send(calm->to_calm, &"abc"[calm->ticks++], 1, 0);
    return CLOCK_NEVER;
}

Test(loop, reads_what_rests_when_its_rest_ends)
{
    struct calm calm;
    open_calm(&calm, 5);
    loop_set_tick(calm.loop, send_three, &calm);
    loop_run(calm.loop);
    cr_expect_str_eq(calm.came, "abc");
    loop_destroy(calm.loop);
}

/* What drains all sockets when a descriptor is ready, one of which was never made: as a client
 * whose tunnel has ended, and whose controller is too old to broadcast. */
struct drained {
    struct loop *loop;
    int fd;
    unsigned calls;
};

static void drain_all(void *self)
{
    struct drained *drained = self;
    if (++drained->calls == 1)
        loop_drain(drained->loop, NULL);
    loop_end(drained->loop);
}

Test(loop, drains_no_descriptor_in_place_of_a_socket_that_is_not_there)
{
    struct drained drained = {.loop = loop_create("drained", NULL), .fd = eventfd(1, EFD_NONBLOCK)};
    cr_assert_eq(loop_add_fd(drained.loop, drained.fd, drain_all, &drained), 0);
    loop_run(drained.loop);
    cr_assert_eq(drained.calls, 1);
    loop_destroy(drained.loop);
    close(drained.fd);
}

Test(loop, refuses_what_is_not_there)
{
    struct loop *loop = loop_create("nothing", NULL);
    cr_assert_eq(loop_add(loop, NULL, count, NULL), -1);
    cr_assert_eq(loop_add_fd(loop, -1, read_fd, NULL), -1);
    cr_assert_eq(loop_keep(loop, NULL), -1);
    loop_destroy(loop);
}
