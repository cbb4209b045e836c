/* The way that segments take: descriptors over a local socket (unix(7), SCM_RIGHTS). */
#include "wire/segment_link.h"

#include <errno.h>
#include <linux/sockios.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <utlist.h>

#include "wire/local.h"
#include "wire/seal.h"
#include "wire/segment.h"

/* A controller that is stopped does not hold its programs up: they do without. */
#define WELCOME_MS 1000
/* Bytes of segments that may wait for an end that does not read. What is more waits as messages do,
 * which are counted. */
#define UNREAD_BYTES_MAX ((size_t)1 << 30)

#define LOST -2
/* What was given and not asked for: the oldest goes. */
#define ARRIVED_MAX 1024

static const char label[] = "\0ipcluster segments 1";

struct deposit {
    struct deposit *prev, *next;
    int descriptor;
    unsigned char reference[SEGMENT_REFERENCE_BYTES];
};

/* Sends a record, with a descriptor unless that is -1. Returns 0 or -1. */
static int send_record(int socket, const void *bytes, size_t size, int descriptor)
{
    union {
        struct cmsghdr head;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control = {0};
    struct iovec part = {(void *)bytes, size};
    struct msghdr record = {.msg_iov = &part, .msg_iovlen = 1};
    if (descriptor >= 0) {
        control.head = (struct cmsghdr){
            .cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
        memcpy(CMSG_DATA(&control.head), &descriptor, sizeof(int));
        record.msg_control = control.bytes;
        record.msg_controllen = sizeof(control.bytes);
    }
    return sendmsg(socket, &record, MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)size ? 0 : -1;
}

/* Receives a record, and the descriptor that came with it, -1 if none did, or LOST if there was no
 * room for it in this program. Returns the record's size; 0 if
 * the other end has gone, or -1 with errno set. */
static ssize_t receive_record(int socket, void *bytes, size_t size, int *descriptor)
{
    union {
        struct cmsghdr head;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control;
    struct iovec part = {bytes, size};
    struct msghdr record = {.msg_iov = &part,
                            .msg_iovlen = 1,
                            .msg_control = control.bytes,
                            .msg_controllen = CMSG_LEN(sizeof(int))}; /* no room for a second */
    *descriptor = -1;
    ssize_t received = recvmsg(socket, &record, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    const struct cmsghdr *head = received < 0 ? NULL : CMSG_FIRSTHDR(&record);
    if (head && head->cmsg_level == SOL_SOCKET && head->cmsg_type == SCM_RIGHTS &&
        head->cmsg_len == CMSG_LEN(sizeof(int)))
        memcpy(descriptor, CMSG_DATA(head), sizeof(int));
    else if (received >= 0 && record.msg_flags & MSG_CTRUNC)
        *descriptor = LOST;
    return received;
}

static void drop(struct segment_link *link, struct deposit *deposit)
{
    DL_DELETE(link->arrived, deposit);
    link->count--;
    if (deposit->descriptor >= 0)
        close(deposit->descriptor);
    free(deposit);
}

static struct deposit *find(const struct segment_link *link, const void *reference)
{
    struct deposit *deposit;
    DL_FOREACH (link->arrived, deposit)
        if (!memcmp(deposit->reference, reference, SEGMENT_REFERENCE_BYTES))
            break;
    return deposit;
}

static void disconnect(struct segment_link *link)
{
    if (link->connected)
        close(link->socket);
    link->connected = false;
}

/* Reads one record. Returns false if there is none. */
static bool read_record(struct segment_link *link)
{
    unsigned char reference[SEGMENT_REFERENCE_BYTES];
    int descriptor;
    if (!link->connected)
        return false;
    ssize_t size = receive_record(link->socket, reference, sizeof(reference), &descriptor);
    if (size < 0 && errno == ECONNRESET) /* it left something unread; what it gave is still here */
        size = receive_record(link->socket, reference, sizeof(reference), &descriptor);
    if (size <= 0) {
        if (descriptor >= 0)
            close(descriptor);
        if (!size || (errno != EAGAIN && errno != EINTR))
            disconnect(link);
        return false;
    }
    struct deposit *deposit = size == sizeof(reference) ? find(link, reference) : NULL;
    if (descriptor < 0) {
        if (deposit && descriptor != LOST)
            drop(link, deposit);
        return true;
    }
    deposit = size == sizeof(reference) ? malloc(sizeof(*deposit)) : NULL;
    if (!deposit) {
        close(descriptor);
        return true;
    }
    deposit->descriptor = descriptor;
    memcpy(deposit->reference, reference, sizeof(reference));
    DL_APPEND(link->arrived, deposit);
    if (++link->count > ARRIVED_MAX)
        drop(link, link->arrived);
    return true;
}

void segment_link_connect(struct segment_link *link, int socket)
{
    segment_link_drain(link);
    disconnect(link);
    link->socket = socket;
    link->connected = true;
    link->unread = 0;
}

void segment_link_drain(struct segment_link *link)
{
    while (read_record(link))
        ;
}

/* Finds a deposit, reading as far as it has to. */
static struct deposit *await(struct segment_link *link, const void *reference)
{
    struct deposit *deposit;
    while (!(deposit = find(link, reference)) && read_record(link))
        ;
    return deposit;
}

/* Returns 0, or -1 with the frame as it was. */
static int take(struct segment_link *link, zmq_msg_t *frame)
{
    struct deposit *deposit = link ? await(link, zmq_msg_data(frame)) : NULL;
    if (!deposit)
        return -1;
    int status = segment_adopt(frame, deposit->descriptor);
    deposit->descriptor = -1;
    drop(link, deposit);
    return status;
}

int segment_link_take(struct segment_link *link, struct message *message)
{
    for (size_t i = 0; i < message_buffer_count(message); i++) {
        zmq_msg_t *frame = message_buffer(message, i);
        if (segment_is_reference(frame) && take(link, frame))
            return -1;
    }
    return 0;
}

int segment_link_unpack(struct segment_link *link, struct message *message)
{
    if (segment_link_take(link, message))
        return -1;
    for (size_t i = 0; i < message_buffer_count(message); i++) {
        zmq_msg_t *frame = message_buffer(message, i);
        if (!segment_is_reference(frame))
            continue;
        if (segment_open(frame))
            return -1;
        segment_populate(frame);
        message->tagged = NULL; /* its buffers are others now */
    }
    return 0;
}

/* Whether the other end reads what it is given. */
static bool may_give(struct segment_link *link, size_t bytes)
{
    int unread = 0;
    if (!ioctl(link->socket, SIOCOUTQ, &unread) && !unread)
        link->unread = 0;
    return !link->unread || link->unread + bytes <= UNREAD_BYTES_MAX;
}

static int give(struct segment_link *link, zmq_msg_t *frame)
{
    size_t bytes = segment_frame_bytes(frame);
    int descriptor = segment_descriptor(frame);
    bool again = link && !memcmp(link->last, zmq_msg_data(frame), SEGMENT_REFERENCE_BYTES);
    if (again)
        bytes = 0; /* for another engine */
    if (!link || !link->connected || descriptor < 0 || !may_give(link, bytes))
        return -1;
    if (send_record(link->socket, zmq_msg_data(frame), SEGMENT_REFERENCE_BYTES, descriptor)) {
        if (errno == EPIPE || errno == ECONNRESET)
            segment_link_drain(link);
        return -1;
    }
    link->unread += bytes;
    memcpy(link->last, zmq_msg_data(frame), SEGMENT_REFERENCE_BYTES);
    return 0;
}

int segment_link_give(struct segment_link *link, struct message *message)
{
    for (size_t i = 0; i < message_buffer_count(message); i++) {
        zmq_msg_t *frame = message_buffer(message, i);
        if (!segment_is_reference(frame) || !give(link, frame))
            continue;
        if (segment_open(frame))
            return -1;
        message->tagged = NULL; /* its buffers are others now */
    }
    return 0;
}

void segment_link_recall(struct segment_link *link, struct message *message)
{
    for (size_t i = 0; link && link->connected && i < message_buffer_count(message); i++) {
        zmq_msg_t *frame = message_buffer(message, i);
        if (segment_is_reference(frame))
            send_record(link->socket, zmq_msg_data(frame), SEGMENT_REFERENCE_BYTES, -1);
    }
}

void segment_link_pack(const struct segment_link *link, struct message *message)
{
    for (size_t i = 0; link->connected && i < message_buffer_count(message); i++) {
        zmq_msg_t packed, *frame = message_buffer(message, i);
        size_t size = zmq_msg_size(frame);
        if (size < SEGMENT_ALONE_BYTES || segment_make(&packed, zmq_msg_data(frame), size))
            continue;
        zmq_msg_move(frame, &packed);
        zmq_msg_close(&packed);
        message->tagged = NULL; /* its buffers are others now */
    }
}

static int connect_to(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof(address.sun_path))
        return -1;
    strcpy(address.sun_path, path);
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || !connect(fd, (const struct sockaddr *)&address, sizeof(address)))
        return fd;
    close(fd);
    return -1;
}

/* Returns 0, or -1 if messages are not signed: then nobody can prove anything. */
static int say_hello(int socket, struct session *session, enum connection_role role,
                     const char *name, const unsigned char *life)
{
    char bytes[SEGMENT_HELLO_BYTES_MAX], *at = bytes;
    size_t length = strlen(name);
    if (sizeof(label) + 2 + length + SEAL_PROOF_MAX > sizeof(bytes))
        return -1;
    at = mempcpy(at, label, sizeof(label));
    *at++ = (char)role;
    *at++ = (char)length;
    at = mempcpy(at, name, length);
    size_t proof = seal_prove(session, name, length, life, SEAL_LIFE_BYTES, at);
    return proof ? send_record(socket, bytes, (size_t)(at - bytes) + proof, -1) : -1;
}

static bool is_welcome(int socket)
{
    struct pollfd item = {.fd = socket, .events = POLLIN};
    char bytes[sizeof(label)];
    int none;
    while (poll(&item, 1, WELCOME_MS) < 0 && errno == EINTR)
        ;
    return receive_record(socket, bytes, sizeof(bytes), &none) == (ssize_t)sizeof(bytes) &&
           !memcmp(bytes, label, sizeof(label));
}

void segment_link_open(struct segment_link *link, const struct connection *connection,
                       struct session *session, enum connection_role role, const char *name,
                       const unsigned char *life)
{
    char path[LOCAL_SEGMENTS_BYTES];
    bool offered = connection->local && !local_segments(connection, path);
    int fd = offered ? connect_to(path) : -1;
    if (fd >= 0 && !say_hello(fd, session, role, name, life) && is_welcome(fd)) {
        segment_link_connect(link, fd);
        return;
    }
    if (fd >= 0)
        close(fd);
    segment_link_drain(link);
    disconnect(link);
}

void segment_link_close(struct segment_link *link)
{
    disconnect(link);
    while (link->arrived)
        drop(link, link->arrived);
}

int segment_link_hear(int socket, struct segment_hello *hello)
{
    int none;
    ssize_t size = receive_record(socket, hello->bytes, sizeof(hello->bytes), &none);
    const char *at = hello->bytes + sizeof(label);
    if (none >= 0)
        close(none);
    if (size < 0 && (errno == EAGAIN || errno == EINTR))
        return 0;
    if (size < (ssize_t)sizeof(label) + 2 || memcmp(hello->bytes, label, sizeof(label)))
        return -1;
    hello->role = (enum connection_role)(unsigned char)*at++;
    hello->name_size = (unsigned char)*at++;
    hello->name = at;
    hello->proof = at + hello->name_size;
    if (hello->role >= CONNECTION_ROLES || size < hello->proof - hello->bytes)
        return -1;
    hello->proof_size = (size_t)(hello->bytes + size - hello->proof);
    return 1;
}

int segment_link_welcome(int socket)
{
    return send_record(socket, label, sizeof(label), -1);
}
