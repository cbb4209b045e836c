/* A thread's loop over its sockets.
 *
 * zmq_poll() asks the kernel about each socket several times a wake-up: with ten of them that is
 * some eighty system calls a message. So this loop polls the sockets' own descriptors, once for
 * all. Their meaning is narrow (ZMQ_FD in zmq_getsockopt(3)): one becomes readable when something
 * may have changed, and any call on its socket may take that signal away. Hence the rule: a socket
 * that was read from or sent on is read until it has nothing, before the thread sleeps. */
#include "wire/loop.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/trace.h"
#include "wire/envelope.h"

/* How many messages one socket may have in a round before the others get their turn. */
#define BATCH       256
#define SOURCES_MAX 24

struct source {
    void *socket;          /* NULL: a plain descriptor */
    loop_receive *receive; /* one of these two */
    loop_ready *ready;
    void *self;
    struct traffic *traffic; /* NULL: it is not counted */
    bool envelopes;          /* may come */
    bool check;              /* it may have something to read, whatever its descriptor says */
    int rest_ms;
    long long rests_until_ms;
};

/* The sockets that this thread has sent on since the loop last looked: few, so a list does. */
static _Thread_local struct {
    void *sockets[SOURCES_MAX];
    size_t count;
    bool overflow;
} sent;

/* The loop that this thread runs, or has entered. */
static _Thread_local struct loop *running;

struct loop {
    const char *name;
    pthread_mutex_t turn; /* held by the thread that is at work, not while the loop waits */
    int wake_fd;          /* eventfd, source 0: ends the wait */
    int outer_fd;         /* epoll over all descriptors; -1: no other loop waits for this one */
    atomic_bool stopping;
    struct source sources[SOURCES_MAX];
    struct pollfd descriptors[SOURCES_MAX];
    size_t count;
    void *kept[SOURCES_MAX];
    size_t kept_count;
    loop_tick *tick;
    void *tick_self;
    struct rounds *rounds; /* NULL: they are not counted */
    long long woken_us;
    bool counts; /* what goes through one of its sockets */
    struct log_limit too_large;
};

void loop_wake(struct loop *loop)
{
    uint64_t one = 1;
    while (write(loop->wake_fd, &one, sizeof(one)) < 0 && errno == EINTR)
        ;
}

static void woken(void *self)
{
    struct loop *loop = self;
    uint64_t count;
    while (read(loop->wake_fd, &count, sizeof(count)) < 0 && errno == EINTR)
        ;
}

struct loop *loop_create(const char *name, struct ipcl_error *error)
{
    struct loop *loop = calloc(1, sizeof(*loop));
    if (!loop) {
        ipcl_error_set(error, "out of memory");
        return NULL;
    }
    loop->name = name;
    loop->outer_fd = -1;
    pthread_mutex_init(&loop->turn, NULL);
    loop->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (loop_add_fd(loop, loop->wake_fd, woken, loop)) {
        ipcl_error_set(error, "the loop of %s cannot be made: %s", name, strerror(errno));
        loop_destroy(loop);
        return NULL;
    }
    return loop;
}

/* A socket that has nothing to read now: no signal is missed by what was sent on it before. */
static void forget_sent(const void *socket)
{
    for (size_t i = 0; i < sent.count; i++)
        if (sent.sockets[i] == socket)
            sent.sockets[i] = sent.sockets[--sent.count];
}

void loop_destroy(struct loop *loop)
{
    if (!loop)
        return;
    if (loop->wake_fd >= 0)
        close(loop->wake_fd);
    if (loop->outer_fd >= 0)
        close(loop->outer_fd);
    for (size_t i = 0; i < loop->count; i++)
        if (loop->sources[i].socket) {
            forget_sent(loop->sources[i].socket);
            zmq_close(loop->sources[i].socket);
        }
    for (size_t i = 0; i < loop->kept_count; i++)
        zmq_close(loop->kept[i]);
    pthread_mutex_destroy(&loop->turn);
    free(loop);
}

/* Returns 0, or -1 where the loop has as many as it can. */
static int add(struct loop *loop, struct source source, int descriptor)
{
    if (loop->count == SOURCES_MAX) {
        errno = ENOSPC;
        return -1;
    }
    loop->descriptors[loop->count] = (struct pollfd){.fd = descriptor, .events = POLLIN};
    loop->sources[loop->count++] = source;
    return 0;
}

/* What happened to a socket before it was added may have taken its signal: it is checked once. */
static int add_socket(struct loop *loop, struct source source)
{
    int descriptor = -1;
    size_t size = sizeof(descriptor);
    if (!source.socket)
        return -1;
    source.check = true;
    if (!zmq_getsockopt(source.socket, ZMQ_FD, &descriptor, &size) &&
        !add(loop, source, descriptor))
        return 0;
    loop_keep(loop, source.socket);
    return -1;
}

int loop_add(struct loop *loop, void *socket, loop_receive *receive, void *self)
{
    return add_socket(loop, (struct source){.socket = socket, .receive = receive, .self = self});
}

int loop_add_open(struct loop *loop, void *socket, loop_receive *receive, void *self)
{
    return add_socket(
        loop,
        (struct source){.socket = socket, .receive = receive, .self = self, .envelopes = true});
}

int loop_add_ready(struct loop *loop, void *socket, loop_ready *ready, void *self)
{
    return add_socket(loop, (struct source){.socket = socket, .ready = ready, .self = self});
}

int loop_add_fd(struct loop *loop, int fd, loop_ready *ready, void *self)
{
    if (fd < 0)
        return -1;
    return add(loop, (struct source){.ready = ready, .self = self}, fd);
}

void loop_remove_fd(struct loop *loop, int fd)
{
    for (size_t i = 0; i < loop->count; i++)
        if (!loop->sources[i].socket && loop->descriptors[i].fd == fd)
            loop->descriptors[i].fd = -1; /* which poll(2) passes over */
}

void loop_rest(struct loop *loop, const void *socket, int rest_ms)
{
    for (size_t i = 0; i < loop->count; i++)
        if (loop->sources[i].socket == socket)
            loop->sources[i].rest_ms = rest_ms;
}

void loop_count(struct loop *loop, const void *socket, struct traffic *traffic)
{
    loop->counts = true;
    for (size_t i = 0; i < loop->count; i++)
        if (loop->sources[i].socket == socket)
            loop->sources[i].traffic = traffic;
}

void loop_count_rounds(struct loop *loop, struct rounds *rounds)
{
    loop->rounds = rounds;
}

struct traffic *loop_traffic(const void *socket)
{
    if (!running || !running->counts)
        return NULL;
    for (size_t i = 0; i < running->count; i++)
        if (running->sources[i].socket == socket)
            return running->sources[i].traffic;
    return NULL;
}

int loop_keep(struct loop *loop, void *socket)
{
    if (!socket)
        return -1;
    if (loop->kept_count == SOURCES_MAX) {
        zmq_close(socket);
        errno = ENOSPC;
        return -1;
    }
    loop->kept[loop->kept_count++] = socket;
    return 0;
}

void loop_set_tick(struct loop *loop, loop_tick *tick, void *self)
{
    loop->tick = tick;
    loop->tick_self = self;
}

void loop_sent(void *socket)
{
    for (size_t i = 0; i < sent.count; i++)
        if (sent.sockets[i] == socket)
            return;
    if (sent.count < SOURCES_MAX)
        sent.sockets[sent.count++] = socket;
    else
        sent.overflow = true;
}

/* Whether the source was sent on, which may have taken the signal of a message to it. */
static bool was_sent_on(const struct source *source)
{
    if (!source->socket || sent.overflow)
        return source->socket != NULL;
    for (size_t i = 0; i < sent.count; i++)
        if (sent.sockets[i] == source->socket)
            return true;
    return false;
}

/* Whenever something is looked at, what rests is looked at, too. */
static void check_resting(struct loop *loop)
{
    for (size_t i = 0; i < loop->count; i++)
        if (loop->sources[i].rest_ms)
            loop->sources[i].check = true;
}

void loop_close(struct loop *loop, void *socket)
{
    size_t index = 0;
    while (index < loop->count && loop->sources[index].socket != socket)
        index++;
    if (!socket || index == loop->count)
        return;
    size_t behind = --loop->count - index;
    memmove(&loop->sources[index], &loop->sources[index + 1], behind * sizeof(*loop->sources));
    memmove(&loop->descriptors[index], &loop->descriptors[index + 1],
            behind * sizeof(*loop->descriptors));
    forget_sent(socket);
    zmq_close(socket);
}

/* Marks the sources that were sent on. Returns whether any source is to be looked at. */
static bool collect_sent(struct loop *loop)
{
    bool any = false;
    for (size_t i = 0; i < loop->count; i++) {
        struct source *source = &loop->sources[i];
        source->check = source->check || was_sent_on(source);
        any = any || source->check;
    }
    sent.count = 0;
    sent.overflow = false;
    if (any)
        check_resting(loop);
    return any;
}

/* Hands over the messages of an envelope. Returns how many there were. */
static size_t deliver(struct loop *loop, const struct source *source,
                      struct envelope_reader *reader)
{
    struct message message;
    size_t count = 0;
    message_init(&message);
    for (; !loop->stopping && envelope_next(reader, &message); count++)
        source->receive(source->self, &message);
    message_close(&message);
    envelope_close(reader);
    return count;
}

/* Hands over what has come. Returns how many messages that were, at least 1. */
static size_t take(struct loop *loop, const struct source *source, struct message *message)
{
    struct envelope_reader reader = {0};
    size_t count = 1;
    if (source->traffic)
        traffic_note(source->traffic, TRAFFIC_IN, 1, traffic_bytes(message, 0));
    if (source->envelopes && envelope_open(&reader, message))
        count = deliver(loop, source, &reader);
    else
        source->receive(source->self, message);
    if (source->traffic && count > 1)
        traffic_note(source->traffic, TRAFFIC_IN, count - 1, 0);
    return count ? count : 1; /* an empty envelope has its turn, too */
}

/* Reads at most `limit` messages. Returns whether there may be more. */
static bool serve(struct loop *loop, const struct source *source, size_t limit)
{
    struct message message;
    bool more = true;
    trace_arrived();
    if (source->ready) {
        source->ready(source->self);
        return false;
    }
    message_init(&message);
    for (size_t served = 0; more && served < limit && !loop->stopping;) {
        if (!message_recv(&message, source->socket, ZMQ_DONTWAIT)) {
            served += take(loop, source, &message);
        } else if (errno == EMSGSIZE || errno == ENOMEM) {
            log_limited(&loop->too_large, IPCL_LOG_WARN, "%s: a message was dropped: %s",
                        loop->name, errno == ENOMEM ? "out of memory" : "it has too many frames");
            served++;
        } else {
            more = false;
        }
        trace_arrived();
    }
    message_close(&message);
    if (!more)
        forget_sent(source->socket);
    return more;
}

void loop_drain(struct loop *loop, void *socket)
{
    for (size_t i = 0; i < loop->count; i++)
        if (socket && loop->sources[i].socket == socket)
            serve(loop, &loop->sources[i], SIZE_MAX);
}

static int timeout_of(long long due_ms, long long now_ms)
{
    if (due_ms == CLOCK_NEVER)
        return -1;
    if (due_ms <= now_ms)
        return 0;
    return due_ms - now_ms > INT_MAX ? INT_MAX : (int)(due_ms - now_ms);
}

/* Serves the sources that may have something. Returns whether any is to be looked at again. */
static bool serve_round(struct loop *loop)
{
    for (size_t i = 0; i < loop->count && !loop->stopping; i++) {
        struct source *source = &loop->sources[i];
        if (!source->check)
            continue;
        source->check = serve(loop, source, BATCH);
    }
    return collect_sent(loop);
}

/* Leaves sockets that rest out of the poll. Returns when to poll them again, or `due_ms` where that
 * is sooner. */
static long long leave_resting(struct loop *loop, long long now_ms, long long due_ms)
{
    for (size_t i = 0; i < loop->count; i++) {
        const struct source *source = &loop->sources[i];
        bool rests = now_ms < source->rests_until_ms;
        loop->descriptors[i].events = rests ? 0 : POLLIN;
        if (rests)
            due_ms = clock_sooner(due_ms, source->rests_until_ms);
    }
    return due_ms;
}

/* Waits for what there is to do, until `due_ms` at the latest. Returns 0, or -1 where polling
 * fails. */
static int wait_for_sources(struct loop *loop, long long now_ms, long long due_ms)
{
    due_ms = leave_resting(loop, now_ms, due_ms);
    if (loop->rounds)
        rounds_note(loop->rounds, clock_precise_us() - loop->woken_us);
    pthread_mutex_unlock(&loop->turn);
    int ready = poll(loop->descriptors, loop->count, timeout_of(due_ms, now_ms));
    pthread_mutex_lock(&loop->turn);
    if (loop->rounds)
        loop->woken_us = clock_precise_us();
    for (size_t i = 0; ready > 0 && i < loop->count; i++) {
        struct source *source = &loop->sources[i];
        if (!loop->descriptors[i].revents)
            continue;
        source->check = true;
        if (source->rest_ms)
            source->rests_until_ms = clock_ms() + source->rest_ms;
    }
    if (ready > 0)
        check_resting(loop);
    return ready < 0 && errno != EINTR ? -1 : 0;
}

void loop_run(struct loop *loop)
{
    int failed = 0;
    running = loop;
    pthread_mutex_lock(&loop->turn);
    loop->woken_us = clock_precise_us();
    while (!failed) {
        bool again = serve_round(loop);
        /* What was sent on mostly has nothing: one look here saves asking the kernel twice. */
        if (again)
            again = serve_round(loop);
        long long now = clock_ms(), due = CLOCK_NEVER;
        if (loop->tick && !loop->stopping) {
            trace_arrived();
            due = loop->tick(loop->tick_self, now);
            again = collect_sent(loop);
        }
        if (loop->stopping)
            break;
        failed = wait_for_sources(loop, now, again ? now : due);
    }
    running = NULL;
    pthread_mutex_unlock(&loop->turn);
}

void loop_stop(struct loop *loop)
{
    loop->stopping = true;
    loop_wake(loop);
}

void loop_end(struct loop *loop)
{
    loop->stopping = true;
}

bool loop_enter(struct loop *loop)
{
    bool entered = !pthread_mutex_trylock(&loop->turn);
    if (entered)
        running = loop;
    return entered;
}

static bool is_readable(void *socket)
{
    int events;
    size_t size = sizeof(events);
    return zmq_getsockopt(socket, ZMQ_EVENTS, &events, &size) || events & ZMQ_POLLIN;
}

void loop_leave(struct loop *loop)
{
    bool any = false;
    for (size_t i = 0; i < loop->count; i++) {
        struct source *source = &loop->sources[i];
        if (was_sent_on(source) && is_readable(source->socket))
            source->check = any = true;
    }
    sent.count = 0;
    sent.overflow = false;
    running = NULL;
    pthread_mutex_unlock(&loop->turn);
    if (any)
        loop_wake(loop);
}

int loop_descriptor(struct loop *loop)
{
    if (loop->outer_fd < 0)
        loop->outer_fd = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN};
    for (size_t i = 0; i < loop->count && loop->outer_fd >= 0; i++)
        if (epoll_ctl(loop->outer_fd, EPOLL_CTL_ADD, loop->descriptors[i].fd, &event) &&
            errno != EEXIST)
            return -1;
    return loop->outer_fd;
}

void loop_turn(struct loop *loop)
{
    pthread_mutex_lock(&loop->turn);
    running = loop;
    for (size_t i = 0; i < loop->count; i++)
        loop->sources[i].check = true;
    while (serve_round(loop) && !loop->stopping)
        ;
    running = NULL;
    pthread_mutex_unlock(&loop->turn);
}
