/* Reads along what libzmq reads. Called by main, and by libzmq's threads, one at a time for a
 * connection.
 *
 * ZMTP 3 (RFC 23 of ZeroMQ): a greeting of 64 bytes, then frames: a byte of flags, the size in one
 * byte or eight, and so many bytes. The first are the handshake: two of a CurveZMQ client, HELLO
 * and INITIATE, behind which libzmq takes nothing of a stranger; or one, READY, where there is no
 * encryption. */
#include "controller/door/gate.h"

#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <utlist.h>

#include "base/clock.h"
#include "base/log.h"
#include "controller/door/peer_name.h"
#include "wire/socket.h"

#define GREETING_BYTES 64
#define FLAG_LARGE     0x02 /* eight bytes of size follow */
/* INITIATE has 257 bytes and the peer's metadata, which has a name of up to 255 bytes. */
#define HANDSHAKE_BYTES_MAX 2048
/* The encrypted part of INITIATE begins with as many bytes of zeros (NaCl), and of keys. */
#define INITIATE_NONCE "CurveZMQINITIATE"
#define INITIATE_SKIP  (32 + 128)

struct peer {
    uint64_t left;           /* bytes to come of the frame that is being read */
    long long window_ms;     /* of a subscriber: when it began, */
    uint32_t bytes;          /* and what may still come in it */
    unsigned char greeted;   /* bytes of the greeting that have come */
    unsigned char handshake; /* frames of it that are to come */
    unsigned char have;      /* bytes of a header that have come, */
    unsigned char flags;     /* its first, and in `left` the size as far as it is known */
    bool open;               /* it was accepted here, and has not ended */
    struct gate_peers is;    /* what it is; also of a listener: those who connect to it are */
    bool misnamed;           /* it takes a name that is libzmq's own */
    bool ending;             /* what comes next is too large */
    int losses;              /* where such is told; also of a listener. 0: nowhere */
    struct peer_name name;   /* where it is in what it says of itself */
    bool stranger;           /* it is in that list: */
    struct peer *prev, *next;
};

static struct {
    struct peer *peers;
    size_t count;
    uint64_t frame_bytes_max;
} gate;

static _Thread_local struct gate_peers expected;
static _Thread_local int watched;        /* `losses` of what this thread listens on next */
static _Thread_local int receiving = -1; /* whose bytes libzmq reads in this thread */

/* Peers that have not proved who they are, the oldest first. */
static struct {
    pthread_mutex_t lock;
    struct peer *first;
    size_t count, max;
    struct log_limit too_many, refused;
} strangers = {.lock = PTHREAD_MUTEX_INITIALIZER, .max = SIZE_MAX};

int gate_open(size_t descriptors, struct ipcl_error *error)
{
    gate.peers = calloc(descriptors, sizeof(*gate.peers));
    if (!gate.peers)
        return ipcl_error_set(error,
                              "out of memory: up to %zu connections are possible (ulimit -n), "
                              "and each takes %zu bytes",
                              descriptors, sizeof(*gate.peers));
    gate.count = descriptors;
    return 0;
}

void gate_set(uint64_t frame_bytes_max)
{
    gate.frame_bytes_max = frame_bytes_max;
}

void gate_set_strangers(size_t max)
{
    pthread_mutex_lock(&strangers.lock);
    strangers.max = max;
    pthread_mutex_unlock(&strangers.lock);
}

static struct peer *peer_of(int fd)
{
    return fd >= 0 && (size_t)fd < gate.count ? &gate.peers[fd] : NULL;
}

void gate_expect(struct gate_peers peers)
{
    expected = peers;
}

/* The other end is open as long as there may be connections: until the process ends. */
int gate_watch_losses(struct ipcl_error *error)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC | O_NONBLOCK))
        return ipcl_error_set(error, "cannot make a pipe: %s", strerror(errno));
    watched = ends[1];
    return ends[0];
}

void gate_watch_end(void)
{
    watched = 0;
}

bool gate_read_loss(int losses, struct gate_loss *loss)
{
    return read(losses, loss, sizeof(*loss)) == sizeof(*loss);
}

static void unlink_stranger(struct peer *peer)
{
    if (!peer->stranger)
        return;
    DL_DELETE(strangers.first, peer);
    strangers.count--;
    peer->stranger = false;
}

/* It has proved who it is. */
static void forget_stranger(struct peer *peer)
{
    pthread_mutex_lock(&strangers.lock);
    unlink_stranger(peer);
    pthread_mutex_unlock(&strangers.lock);
}

/* It has gone. */
static void gate_forget(struct peer *peer)
{
    pthread_mutex_lock(&strangers.lock);
    unlink_stranger(peer);
    peer->open = false;
    pthread_mutex_unlock(&strangers.lock);
}

/* The oldest stranger makes room for a new one: a handshake takes milliseconds. */
static void end_oldest(void)
{
    struct peer *oldest = strangers.first;
    unlink_stranger(oldest);
    shutdown((int)(oldest - gate.peers), SHUT_RDWR);
    log_limited(&strangers.too_many, IPCL_LOG_WARN,
                "full: more than %zu connections have not proved who they are; the oldest of them "
                "are ended",
                strangers.max);
}

/* The folder keeps others out, unless somebody has opened it to them. */
static bool is_foreign(int fd)
{
    struct ucred user;
    socklen_t size = sizeof(user);
    int family = AF_UNSPEC;
    socklen_t family_size = sizeof(family);
    if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &family, &family_size) || family != AF_UNIX)
        return false;
    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &user, &size) ||
           (user.uid != geteuid() && user.uid != 0);
}

bool gate_admit(int listener, int fd)
{
    const struct peer *at = peer_of(listener);
    struct peer *peer = peer_of(fd);
    if (!peer || !at)
        return true;
    if (is_foreign(fd))
        return false;
    pthread_mutex_lock(&strangers.lock);
    if (strangers.count >= strangers.max)
        end_oldest();
    *peer = (struct peer){.open = true,
                          .stranger = true,
                          .handshake = at->is.encrypted ? 2 : 1,
                          .is = at->is,
                          .losses = at->losses};
    DL_APPEND(strangers.first, peer);
    strangers.count++;
    pthread_mutex_unlock(&strangers.lock);
    return true;
}

/* With an older protocol, libzmq would accept a frame before the handshake. */
static bool is_greeting(unsigned char at, unsigned char byte)
{
    return at == 0 ? byte == 0xff : at == 9 ? (byte & 1) != 0 : at == 10 ? byte >= 3 : true;
}

static uint64_t frame_max(const struct peer *peer)
{
    return peer->handshake        ? HANDSHAKE_BYTES_MAX
           : peer->is.subscribers ? SOCKET_TOPIC_BYTES_MAX
                                  : gate.frame_bytes_max;
}

/* A frame has come whole. */
static void end_frame(struct peer *peer)
{
    if (peer->handshake && !--peer->handshake)
        forget_stranger(peer);
}

/* Takes a byte of a header. Returns false if the frame, whose size is in `left`, is too large. */
static bool read_header(struct peer *peer, unsigned char byte)
{
    if (!peer->have)
        peer->flags = byte;
    else
        peer->left = peer->left << 8 | byte;
    if (++peer->have < (peer->flags & FLAG_LARGE ? 9 : 2))
        return true;
    peer->have = 0;
    if (peer->left > frame_max(peer))
        return false;
    if (!peer->left)
        end_frame(peer);
    return true;
}

/* What a subscriber sends is encrypted: a heartbeat looks like a topic. So what counts is how much
 * comes in a time, and not what it is. */
static bool is_too_much(struct peer *peer, size_t size)
{
    long long now_ms = clock_ms();
    if (!peer->window_ms || now_ms - peer->window_ms >= GATE_SUBSCRIBER_MS) {
        peer->window_ms = now_ms;
        peer->bytes = GATE_SUBSCRIBER_BYTES_MAX;
    }
    if (size > peer->bytes)
        return true;
    peer->bytes -= (uint32_t)size;
    return false;
}

/* Takes bytes of a frame's body. Returns false if they are not allowed. */
static bool read_body(struct peer *peer, const unsigned char *data, size_t size)
{
    for (size_t i = 0; peer->handshake && !peer->is.encrypted && i < size; i++) {
        peer->misnamed = !peer_name_take(&peer->name, data[i]);
        if (peer->misnamed)
            return false;
    }
    peer->left -= size;
    if (!peer->left)
        end_frame(peer);
    return true;
}

/* Takes the next bytes. Returns how many they were, or 0 if they are not allowed. */
static size_t read_next(struct peer *peer, const unsigned char *data, size_t size)
{
    if (peer->greeted < GREETING_BYTES)
        return is_greeting(peer->greeted++, *data);
    if (peer->have || !peer->left)
        return read_header(peer, *data);
    size_t taken = size < peer->left ? size : peer->left;
    return read_body(peer, data, taken) ? taken : 0;
}

/* Returns how much of this is for libzmq: all, nothing, or what comes before a frame that is too
 * large, as it may be whole answers. */
static size_t read_along(struct peer *peer, const unsigned char *data, size_t size)
{
    size_t taken, whole = 0;
    if (peer->is.subscribers && is_too_much(peer, size))
        return 0;
    for (size_t at = 0; at < size; at += taken) {
        if (!peer->have && !peer->left)
            whole = at;
        taken = read_next(peer, data + at, size - at);
        if (!taken)
            return peer->handshake || peer->is.subscribers ? 0 : whole;
    }
    return size;
}

static void describe_peer(int fd, char *text, size_t size)
{
    struct sockaddr_in6 address = {0};
    socklen_t length = sizeof(address);
    char host[INET6_ADDRSTRLEN] = "a program of this host";
    if (!getpeername(fd, (struct sockaddr *)&address, &length) && address.sin6_family == AF_INET6)
        inet_ntop(AF_INET6, &address.sin6_addr, host, sizeof(host));
    else if (address.sin6_family == AF_INET)
        inet_ntop(AF_INET, &((struct sockaddr_in *)(void *)&address)->sin_addr, host, sizeof(host));
    snprintf(text, size, "%s", host);
}

/* Whoever waits for it is to hear of it. Where the pipe is full it stands in the log alone. */
static void tell_loss(const struct peer *peer)
{
    struct gate_loss loss = {0};
    memcpy(loss.name, peer->name.text, sizeof(loss.name));
    snprintf(
        loss.text, sizeof(loss.text),
        "the answer was lost: a part of it has %llu bytes, but the controller reads up to %llu "
        "(IPController.frame_bytes_max): send it in pieces, or start the controller with a "
        "higher limit",
        (unsigned long long)peer->left, (unsigned long long)gate.frame_bytes_max);
    if (write(peer->losses, &loss, sizeof(loss)) < 0)
        return;
}

static void gate_refuse(int fd, const struct peer *peer)
{
    char who[INET6_ADDRSTRLEN], why[192];
    describe_peer(fd, who, sizeof(who));
    if (peer->greeted < GREETING_BYTES)
        snprintf(why, sizeof(why), "it does not speak ZMTP 3");
    else if (peer->misnamed)
        snprintf(why, sizeof(why),
                 "its name begins with a zero byte, which is reserved for peers without a name");
    else if (peer->left > frame_max(peer))
        snprintf(why, sizeof(why), "it sends a frame of %llu bytes, but at most %llu are allowed%s",
                 (unsigned long long)peer->left, (unsigned long long)frame_max(peer),
                 peer->handshake ? " before it has proved who it is"
                 : peer->is.subscribers
                     ? " in a subscription"
                     : " (IPController.frame_bytes_max): the request or result is lost");
    else
        snprintf(why, sizeof(why),
                 "it subscribes to more than %d bytes of topics within %d "
                 "minutes",
                 GATE_SUBSCRIBER_BYTES_MAX, GATE_SUBSCRIBER_MS / 60000);
    if (peer->losses && !peer->handshake && !peer->is.subscribers)
        tell_loss(peer);
    pthread_mutex_lock(&strangers.lock);
    log_limited(&strangers.refused, IPCL_LOG_WARN, "the connection of %s is ended: %s", who, why);
    pthread_mutex_unlock(&strangers.lock);
}

static ssize_t end_connection(int fd, struct peer *peer)
{
    gate_refuse(fd, peer);
    gate_forget(peer);
    errno = ECONNRESET;
    return -1;
}

/* recv(2), as libzmq's threads call it: a program's own functions come before those of the
 * libraries. The system is called itself, so that ThreadSanitizer, which does not see how libzmq
 * hands over what it has read, does not see who wrote it either. */
__attribute__((visibility("default"))) ssize_t gate_receive(int fd, void *data, size_t size,
                                                            int flags) __asm__("recv");

ssize_t gate_receive(int fd, void *data, size_t size, int flags)
{
    struct peer *peer = peer_of(fd);
    receiving = fd;
    if (peer && peer->open && peer->ending)
        return end_connection(fd, peer);
    ssize_t received = syscall(SYS_recvfrom, fd, data, size, flags, NULL, NULL);
    bool over = !received || (received < 0 && errno != EAGAIN && errno != EINTR);
    if (!peer || !peer->open || (received < 0 && !over))
        return received;
    if (over) {
        gate_forget(peer);
        return received;
    }
    size_t passed = read_along(peer, data, (size_t)received);
    if (!passed)
        return end_connection(fd, peer);
    peer->ending = passed < (size_t)received;
    return (ssize_t)passed;
}

/* crypto_box_open() of libsodium, as libzmq calls it in the thread that has just received what is
 * in the box. What it cannot open ends the connection. */
__attribute__((visibility("default"))) int
gate_open_box(unsigned char *plain, const unsigned char *box, unsigned long long size,
              const unsigned char *nonce, const unsigned char *from,
              const unsigned char *key) __asm__("crypto_box_open");

int gate_open_box(unsigned char *plain, const unsigned char *box, unsigned long long size,
                  const unsigned char *nonce, const unsigned char *from, const unsigned char *key)
{
    int (*open_next)(unsigned char *, const unsigned char *, unsigned long long,
                     const unsigned char *, const unsigned char *, const unsigned char *);
    struct peer *peer = peer_of(receiving);
    struct peer_name name = {.stage = PEER_NAME_PROPERTY_SIZE};
    *(void **)&open_next = dlsym(RTLD_NEXT, "crypto_box_open");
    if (!open_next || open_next(plain, box, size, nonce, from, key))
        return -1;
    if (!peer || memcmp(nonce, INITIATE_NONCE, strlen(INITIATE_NONCE)) != 0)
        return 0;
    for (size_t i = INITIATE_SKIP; i < size && !peer->misnamed; i++)
        peer->misnamed = !peer_name_take(&name, plain[i]);
    peer->name = name;
    if (peer->misnamed)
        gate_refuse(receiving, peer);
    return peer->misnamed ? -1 : 0;
}

/* close(2), as libzmq's threads call it also where they end a connection themselves: its descriptor
 * may be anything next, a listener as well. ThreadSanitizer closes files by it in the middle of a
 * report, and would wait for itself if it found another to make here. */
__attribute__((visibility("default"))) int gate_close(int fd) __asm__("close");

__attribute__((no_sanitize_thread)) int gate_close(int fd)
{
    int (*close_next)(int);
    struct peer *peer = peer_of(fd);
    if (peer && peer->open)
        gate_forget(peer);
    *(void **)&close_next = dlsym(RTLD_NEXT, "close"); /* ThreadSanitizer is to hear of it, too */
    return close_next(fd);
}

/* listen(2), as zmq_bind() calls it in our thread. */
__attribute__((visibility("default"))) int gate_listen(int fd, int backlog) __asm__("listen");

int gate_listen(int fd, int backlog)
{
    struct peer *peer = peer_of(fd);
    if (peer)
        *peer = (struct peer){.is = expected, .losses = watched};
    return (int)syscall(SYS_listen, fd, backlog);
}
