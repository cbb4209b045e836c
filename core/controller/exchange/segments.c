/* The controller's ends of the links by which programs hand each other segments. */
#include "controller/exchange/segments.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <uthash.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "controller/door/room.h"
#include "controller/stats/stats.h"
#include "wire/local.h"
#include "wire/segment.h"
#include "wire/segment_link.h"

/* A program that has gone may have sent messages that are not read yet: so long what it gave is
 * kept for them. */
#define GONE_MS 30000
/* The part of the descriptors that segments may take. Beyond it they are mapped, and travel on in
 * their messages. */
#define DESCRIPTORS_SHARE 4
#define BACKLOG           4096
#define COUNT_MS          1000 /* while there are segments, they are counted this often */

/* A program that has said hello. */
struct segment_peer {
    UT_hash_handle hh;
    struct segment_link link;
    long long gone_ms; /* when it was seen that it has gone; 0: it is there */
    char key[];        /* its role, a byte, and its name */
};

/* A connection that has not said hello yet. */
struct segment_stranger {
    struct segment_stranger *next;
    int socket;
};

static struct {
    pthread_mutex_t lock;
    int listening; /* 0: segments are not offered */
    int events;    /* epoll */
    size_t most;   /* segments at a time */
    const unsigned char *life;
    struct session *sessions[CONNECTION_ROLES];
    struct segment_peer *peers; /* a hash by role and name */
    struct segment_stranger *strangers;
    bool gone; /* peers have */
} state = {.lock = PTHREAD_MUTEX_INITIALIZER};

static int listen_at(const char *path, struct ipcl_error *error)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    unlink(path); /* what a killed controller has left */
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd >= 0 && !bind(fd, (const struct sockaddr *)&address, sizeof(address)) &&
        !listen(fd, BACKLOG))
        return fd;
    ipcl_error_set(error, "cannot listen on %s: %s", path, strerror(errno));
    if (fd >= 0)
        close(fd);
    return -1;
}

static int watch(int fd, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.fd = fd};
    return epoll_ctl(state.events, EPOLL_CTL_ADD, fd, &event);
}

static int open_all(const struct controller *controller, const char *path, struct ipcl_error *error)
{
    for (int role = 0; role < CONNECTION_ROLES; role++)
        if (!(state.sessions[role] = controller_session(controller, role, error)))
            return -1;
    state.events = epoll_create1(EPOLL_CLOEXEC);
    if (state.events < 0)
        return ipcl_error_set(error, "cannot make an epoll descriptor: %s", strerror(errno));
    state.listening = listen_at(path, error);
    if (state.listening < 0)
        return -1;
    /* Edges: what cannot be accepted, as there are no descriptors, does not keep the hub awake. */
    return watch(state.listening, EPOLLIN | EPOLLET) ? ipcl_error_set(error, "epoll fails") : 0;
}

void segments_open(const struct controller *controller)
{
    char path[LOCAL_SEGMENTS_BYTES];
    struct ipcl_error error;
    if (!controller->shared_memory || local_segments(&controller->clients, path))
        return;
    state.life = controller->life;
    state.most = (size_t)limits_descriptors() / DESCRIPTORS_SHARE;
    if (!open_all(controller, path, &error)) {
        room_expect_segments();
        return;
    }
    log_warn("large buffers are not shared, but sent: %s", error.text);
    segments_close();
}

static void drop_peer(struct segment_peer *peer)
{
    HASH_DEL(state.peers, peer);
    segment_link_close(&peer->link);
    free(peer);
}

void segments_close(void)
{
    struct segment_peer *peer, *next;
    HASH_ITER (hh, state.peers, peer, next)
        drop_peer(peer);
    while (state.strangers) {
        struct segment_stranger *stranger = state.strangers;
        state.strangers = stranger->next;
        close(stranger->socket);
        free(stranger);
    }
    for (int role = 0; role < CONNECTION_ROLES; role++)
        session_destroy(state.sessions[role]);
    memset(state.sessions, 0, sizeof(state.sessions));
    if (state.listening > 0)
        close(state.listening);
    if (state.events > 0)
        close(state.events);
    state.listening = state.events = 0;
}

int segments_descriptor(void)
{
    return state.listening > 0 ? state.events : -1;
}

static struct segment_peer *find_peer(enum connection_role role, const void *name, size_t size)
{
    char key[1 + UINT8_MAX];
    struct segment_peer *peer = NULL;
    if (size > UINT8_MAX)
        return NULL;
    key[0] = (char)role;
    memcpy(key + 1, name, size);
    HASH_FIND(hh, state.peers, key, size + 1, peer);
    return peer;
}

static struct segment_peer *add_peer(const struct segment_hello *hello)
{
    struct segment_peer *peer = calloc(1, sizeof(*peer) + 1 + hello->name_size);
    if (!peer)
        return NULL;
    peer->key[0] = (char)hello->role;
    memcpy(peer->key + 1, hello->name, hello->name_size);
    HASH_ADD_KEYPTR(hh, state.peers, peer->key, 1 + hello->name_size, peer);
    return peer;
}

/* Takes in a program that has proved that it has its role's key. What it gave by an earlier
 * connection stays. Returns 0 or -1. */
static int meet(int socket, const struct segment_hello *hello)
{
    if (!seal_is_proof(state.sessions[hello->role], hello->name, hello->name_size, state.life,
                       SEAL_LIFE_BYTES, hello->proof, hello->proof_size))
        return -1;
    struct segment_peer *peer = find_peer(hello->role, hello->name, hello->name_size);
    if (segment_link_welcome(socket) || (!peer && !(peer = add_peer(hello))))
        return -1;
    segment_link_connect(&peer->link, socket);
    peer->gone_ms = 0;
    return 0;
}

static void hear_strangers(void)
{
    struct segment_stranger **at = &state.strangers, *stranger;
    struct segment_hello hello;
    while ((stranger = *at)) {
        int heard = segment_link_hear(stranger->socket, &hello);
        if (!heard) {
            at = &stranger->next;
            continue;
        }
        if (heard < 0 || meet(stranger->socket, &hello))
            close(stranger->socket);
        *at = stranger->next;
        free(stranger);
    }
}

static bool is_own_user(int socket)
{
    struct ucred peer = {.uid = (uid_t)-1};
    socklen_t size = sizeof(peer);
    return !getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &size) && peer.uid == geteuid();
}

static void accept_strangers(void)
{
    int fd;
    while ((fd = accept4(state.listening, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK)) >= 0) {
        struct segment_stranger *stranger = is_own_user(fd) ? malloc(sizeof(*stranger)) : NULL;
        if (!stranger || watch(fd, EPOLLIN | EPOLLRDHUP | EPOLLET)) {
            free(stranger);
            close(fd);
            continue;
        }
        *stranger = (struct segment_stranger){state.strangers, fd};
        state.strangers = stranger;
    }
}

/* Whether the other end of a connection has gone, although there may be something left to read. */
static bool has_gone(int socket)
{
    struct pollfd item = {.fd = socket, .events = POLLRDHUP};
    return poll(&item, 1, 0) > 0;
}

/* What it has given is read now. */
static void note_end(int socket)
{
    struct segment_peer *peer, *next;
    HASH_ITER (hh, state.peers, peer, next)
        if (peer->link.connected && peer->link.socket == socket && has_gone(socket)) {
            segment_link_drain(&peer->link);
            peer->gone_ms = clock_ms();
            state.gone = true;
            return;
        }
}

void segments_look(void *unused)
{
    struct epoll_event events[64];
    (void)unused;
    pthread_mutex_lock(&state.lock);
    for (int count; (count = epoll_wait(state.events, events, 64, 0)) > 0;)
        for (int i = 0; i < count; i++)
            if (events[i].events & (EPOLLRDHUP | EPOLLHUP))
                note_end(events[i].data.fd);
    accept_strangers();
    hear_strangers();
    pthread_mutex_unlock(&state.lock);
}

/* Returns when to look again. */
static long long forget_gone(long long now_ms)
{
    struct segment_peer *peer, *next;
    long long due_ms = CLOCK_NEVER;
    state.gone = false;
    HASH_ITER (hh, state.peers, peer, next) {
        if (!peer->gone_ms)
            continue;
        if (!peer->link.arrived || now_ms >= peer->gone_ms + GONE_MS) {
            drop_peer(peer);
            continue;
        }
        state.gone = true;
        due_ms = clock_sooner(due_ms, peer->gone_ms + GONE_MS);
    }
    return due_ms;
}

long long segments_tick(long long now_ms)
{
    long long due_ms = CLOCK_NEVER;
    size_t bytes;
    if (state.listening <= 0)
        return due_ms;
    pthread_mutex_lock(&state.lock);
    if (state.gone)
        due_ms = forget_gone(now_ms);
    pthread_mutex_unlock(&state.lock);
    size_t count = segment_count(&bytes);
    counter_set(&stats.segments, count);
    counter_set(&stats.segments_bytes, bytes);
    return count ? clock_sooner(due_ms, now_ms + COUNT_MS) : due_ms;
}

/* A peer whose end was seen while it was used. */
static void note_used(struct segment_peer *peer)
{
    if (!peer || peer->link.connected || peer->gone_ms)
        return;
    peer->gone_ms = clock_ms();
    state.gone = true;
}

static size_t count_references(struct message *message)
{
    size_t count = 0;
    for (size_t i = 0; i < message_buffer_count(message); i++)
        count += segment_is_reference(message_buffer(message, i));
    return count;
}

/* Hands over a message's segments, or opens them. Returns 0 or -1. */
static int hand_over(struct segment_link *link, struct message *message)
{
    size_t before = count_references(message);
    int status = segment_link_give(link, message);
    counter_add(&stats.segments_opened, before - count_references(message));
    return status;
}

int segments_take(enum connection_role role, struct message *message)
{
    zmq_msg_t *name = message_peer(message);
    size_t bytes;
    if (!count_references(message))
        return 0;
    pthread_mutex_lock(&state.lock);
    struct segment_peer *peer = find_peer(role, zmq_msg_data(name), zmq_msg_size(name));
    int status = segment_link_take(peer ? &peer->link : NULL, message);
    if (!status && segment_count(&bytes) > state.most)
        status = hand_over(NULL, message);
    note_used(peer);
    pthread_mutex_unlock(&state.lock);
    return status;
}

static int give(enum connection_role role, const void *name, size_t size, struct message *message)
{
    if (!count_references(message))
        return 0;
    pthread_mutex_lock(&state.lock);
    struct segment_peer *peer = find_peer(role, name, size);
    int status = hand_over(peer ? &peer->link : NULL, message);
    note_used(peer);
    pthread_mutex_unlock(&state.lock);
    return status;
}

int segments_give(enum connection_role role, struct message *message)
{
    zmq_msg_t *name = message_peer(message);
    return give(role, zmq_msg_data(name), zmq_msg_size(name), message);
}

int segments_give_to(const char *engine, struct message *message)
{
    return give(CONNECTION_ENGINE, engine, strlen(engine), message);
}

static void recall(enum connection_role role, const void *name, size_t size,
                   struct message *message)
{
    if (!count_references(message))
        return;
    pthread_mutex_lock(&state.lock);
    struct segment_peer *peer = find_peer(role, name, size);
    segment_link_recall(peer ? &peer->link : NULL, message);
    note_used(peer);
    pthread_mutex_unlock(&state.lock);
}

void segments_recall(enum connection_role role, struct message *message)
{
    zmq_msg_t *name = message_peer(message);
    recall(role, zmq_msg_data(name), zmq_msg_size(name), message);
}

void segments_recall_from(const char *engine, struct message *message)
{
    recall(CONNECTION_ENGINE, engine, strlen(engine), message);
}
