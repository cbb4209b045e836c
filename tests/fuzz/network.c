/* A network that goes nowhere, for harnesses of threads. */
#include "network.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <zmq.h>

#include "base/clock.h"
#include "wire/socket.h"

#define SOURCES_MAX  64
#define ROUNDS_MAX   4 /* what a thread says makes another speak */
#define MESSAGES_MAX 16

bool network_reachable = true;

struct source {
    struct loop *loop;
    void *socket;
    loop_receive *receive; /* or */
    loop_ready *ready;
    void *self;
    bool outer; /* peers can send to it */
    bool router;
};

static struct network {
    const char *const *names;
    unsigned long age; /* part of its addresses: those of closed sockets stay in use for a while */
    struct source sources[SOURCES_MAX];
    unsigned count, outer_count;
    struct {
        loop_tick *tick;
        void *self;
    } ticks[SOURCES_MAX];
    unsigned tick_count;
    unsigned inputs; /* how many its state has had; 0: there is no state */
} networks[NETWORKS], *now = networks;

static struct fuzz_bytes arriving;

/* The linker gives these names (ld(1), --wrap). */
int __real_zmq_bind(void *socket, const char *url);
int __real_zmq_connect(void *socket, const char *url);
int __real_zmq_msg_send(zmq_msg_t *frame, void *socket, int flags);
int __real_zmq_send(void *socket, const void *data, size_t size, int flags);
int __real_message_recv(struct message *message, void *socket, int flags);
int __real_loop_add(struct loop *loop, void *socket, loop_receive *receive, void *self);
int __real_loop_add_open(struct loop *loop, void *socket, loop_receive *receive, void *self);
int __real_loop_add_ready(struct loop *loop, void *socket, loop_ready *ready, void *self);
void __real_loop_set_tick(struct loop *loop, loop_tick *tick, void *self);
int __wrap_zmq_bind(void *socket, const char *url);
int __wrap_zmq_connect(void *socket, const char *url);
int __wrap_zmq_msg_send(zmq_msg_t *frame, void *socket, int flags);
int __wrap_zmq_send(void *socket, const void *data, size_t size, int flags);
int __wrap_message_recv(struct message *message, void *socket, int flags);
int __wrap_zmq_socket_monitor(void *socket, const char *url, int events);
int __wrap_socket_bind_port(void *socket, const char *interface, int *port,
                            struct ipcl_error *error);
int __wrap_loop_add(struct loop *loop, void *socket, loop_receive *receive, void *self);
int __wrap_loop_add_open(struct loop *loop, void *socket, loop_receive *receive, void *self);
int __wrap_loop_add_ready(struct loop *loop, void *socket, loop_ready *ready, void *self);
void __wrap_loop_set_tick(struct loop *loop, loop_tick *tick, void *self);
int __wrap_gate_watch_losses(struct ipcl_error *error);

static int type_of(void *socket)
{
    int type;
    size_t size = sizeof(type);
    FUZZ_ASSERT(!zmq_getsockopt(socket, ZMQ_TYPE, &type, &size));
    return type;
}

/* Writes the address that stands for `url`. Returns whether `url` is one of those that are real. */
static bool is_inside(const char *url, char address[64])
{
    const size_t prefix = strlen("inproc://");
    if (strncmp(url, "inproc://", prefix))
        return false;
    snprintf(address, 64, "%s-%lu", url, now->age);
    for (const char *const *name = now->names; name && *name; name++)
        if (!strcmp(url + prefix, *name))
            return true;
    return false;
}

int __wrap_zmq_bind(void *socket, const char *url)
{
    char address[64];
    return is_inside(url, address) ? __real_zmq_bind(socket, address) : 0;
}

int __wrap_zmq_connect(void *socket, const char *url)
{
    char address[64];
    return is_inside(url, address) ? __real_zmq_connect(socket, address) : 0;
}

int __wrap_zmq_socket_monitor(void *socket, const char *url, int events)
{
    (void)socket;
    (void)url;
    (void)events;
    return 0;
}

int __wrap_socket_bind_port(void *socket, const char *interface, int *port,
                            struct ipcl_error *error)
{
    (void)socket;
    (void)interface;
    (void)error;
    *port = 1;
    return 0;
}

/* Reads each byte, for AddressSanitizer. */
static void look_at(const void *data, size_t size)
{
    volatile unsigned char sum = 0;
    for (size_t i = 0; i < size; i++)
        sum = (unsigned char)(sum + ((const unsigned char *)data)[i]);
}

static bool speaks_inside(void *socket)
{
    int type = type_of(socket);
    return type == ZMQ_PUSH || type == ZMQ_PAIR;
}

int __wrap_zmq_msg_send(zmq_msg_t *frame, void *socket, int flags)
{
    int size = (int)zmq_msg_size(frame);
    look_at(zmq_msg_data(frame), zmq_msg_size(frame));
    if (speaks_inside(socket)) {
        if (__real_zmq_msg_send(frame, socket, flags | ZMQ_DONTWAIT) >= 0)
            return size;
    } else if (!network_reachable) {
        errno = EHOSTUNREACH;
        return -1;
    }
    zmq_msg_close(frame);
    zmq_msg_init(frame);
    return size;
}

int __wrap_zmq_send(void *socket, const void *data, size_t size, int flags)
{
    look_at(data, size);
    if (speaks_inside(socket))
        __real_zmq_send(socket, data, size, flags | ZMQ_DONTWAIT);
    else if (!network_reachable) {
        errno = EHOSTUNREACH;
        return -1;
    }
    return (int)size;
}

static void note(struct source source)
{
    FUZZ_ASSERT(now->count < SOURCES_MAX);
    if (!source.socket)
        return;
    int type = type_of(source.socket);
    source.outer = source.receive && type != ZMQ_PULL;
    source.router = type == ZMQ_ROUTER;
    now->outer_count += source.outer;
    now->sources[now->count++] = source;
}

int __wrap_loop_add(struct loop *loop, void *socket, loop_receive *receive, void *self)
{
    note((struct source){.loop = loop, .socket = socket, .receive = receive, .self = self});
    return __real_loop_add(loop, socket, receive, self);
}

int __wrap_loop_add_open(struct loop *loop, void *socket, loop_receive *receive, void *self)
{
    note((struct source){.loop = loop, .socket = socket, .receive = receive, .self = self});
    return __real_loop_add_open(loop, socket, receive, self);
}

int __wrap_loop_add_ready(struct loop *loop, void *socket, loop_ready *ready, void *self)
{
    note((struct source){.loop = loop, .socket = socket, .ready = ready, .self = self});
    return __real_loop_add_ready(loop, socket, ready, self);
}

/* Without connections nothing is lost, and the gate would keep an end of each pipe until the
 * process ends. */
int __wrap_gate_watch_losses(struct ipcl_error *error)
{
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return fd < 0 ? ipcl_error_set(error, "there is no descriptor left") : fd;
}

void __wrap_loop_set_tick(struct loop *loop, loop_tick *tick, void *self)
{
    FUZZ_ASSERT(now->tick_count < SOURCES_MAX);
    now->ticks[now->tick_count].tick = tick;
    now->ticks[now->tick_count++].self = self;
    __real_loop_set_tick(loop, tick, self);
}

int __wrap_message_recv(struct message *message, void *socket, int flags)
{
    if (!fuzz_size(arriving))
        return __real_message_recv(message, socket, flags);
    fuzz_message(arriving, message, 1);
    arriving = (struct fuzz_bytes){NULL, NULL};
    return 0;
}

void network_arrive(struct fuzz_bytes bytes)
{
    arriving = bytes;
}

void network_set_inside(const char *const *names)
{
    now->names = names;
}

void network_receive(unsigned index, struct fuzz_bytes bytes, struct message *message)
{
    if (!now->outer_count)
        return;
    index %= now->outer_count;
    for (unsigned i = 0; i < now->count; i++) {
        if (!now->sources[i].outer || index--)
            continue;
        /* A ROUTER always hands up an identity and a frame more. */
        fuzz_message(bytes, message, now->sources[i].router ? 2 : 1);
        now->sources[i].receive(now->sources[i].self, message);
        return;
    }
}

void network_settle(void)
{
    for (int round = 0; round < ROUNDS_MAX; round++) {
        for (unsigned i = 0; i < now->count; i++) {
            if (now->sources[i].ready)
                now->sources[i].ready(now->sources[i].self);
            else if (!now->sources[i].outer)
                loop_drain(now->sources[i].loop, now->sources[i].socket);
        }
    }
}

void network_tick(long long later_ms)
{
    for (unsigned i = 0; i < now->tick_count; i++)
        now->ticks[i].tick(now->ticks[i].self, clock_ms() + later_ms);
}

/* Enters the state of a setting. A state that is old, or over, is made anew. */
static void enter(unsigned number)
{
    static unsigned long age;
    now = &networks[number];
    network_harness.enter(number);
    bool over = network_harness.is_over && now->inputs && network_harness.is_over();
    if (now->inputs && (over || now->inputs >= fuzz_life())) {
        network_harness.destroy();
        now->inputs = 0;
    }
    if (!now->inputs) {
        *now = (struct network){.age = ++age};
        network_reachable = true;
        network_harness.create(number);
    }
    now->inputs++;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_bytes input = {data + 1, data + size}, one;
    struct message message;
    if (!size)
        return 0;
    enter(data[0] % network_harness.settings);
    message_init(&message);
    for (int i = 0; i < MESSAGES_MAX && fuzz_cut(&input, FUZZ_MESSAGE, &one); i++) {
        if (!fuzz_size(one))
            continue;
        unsigned what = *one.at++;
        network_reachable = !(what & 0x80);
        network_harness.happen(what, one, &message);
        arriving = (struct fuzz_bytes){NULL, NULL};
    }
    message_close(&message);
    return 0;
}
