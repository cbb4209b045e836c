/* Trying a controller's addresses. */
#include "wire/reach.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <zmq.h>

#include "base/clock.h"
#include "wire/socket.h"

/* What resolves to several addresses counts as so many. */
#define TARGETS_MAX (CONNECTION_ADDRESSES_MAX + 8)
/* After it was refused. */
#define AGAIN_MS 1000
#define SLICE_MS 20
/* An address that this machine has as well is as a rule not the controller's, but that of a bridge
 * for containers, of which each host has one: others come first. */
#define OWN_MS 1000
/* What no errno says: something answers, and not as this controller does. */
#define NOT_IT EPROTO

struct reach_target {
    char text[CONNECTION_ADDRESS_BYTES]; /* as people write it */
    struct sockaddr_in address;          /* as ZeroMQ's sockets have it by default, which is IPv4 */
    const char *unknown;                 /* why the name has no address; otherwise NULL */
    int fd;                              /* -1: it is not being tried */
    void *socket, *monitor;              /* of the handshake behind that; NULL: there is none */
    int failure;                         /* of the last attempt, as errno; 0: none has failed */
    bool answered;
    long long begun_ms; /* the first attempt; 0: there was none */
    long long again_ms; /* and while there is a handshake, when it has failed */
};

struct reach {
    size_t count;
    int port;
    void *context;
    struct curve curve;
    bool encrypted;
    struct reach_target targets[TARGETS_MAX];
};

static bool is_there(const struct reach *reach, const struct sockaddr_in *address)
{
    for (size_t i = 0; i < reach->count; i++)
        if (!reach->targets[i].unknown &&
            reach->targets[i].address.sin_addr.s_addr == address->sin_addr.s_addr)
            return true;
    return false;
}

static struct reach_target *add(struct reach *reach)
{
    if (reach->count == TARGETS_MAX)
        return NULL;
    struct reach_target *target = &reach->targets[reach->count++];
    target->fd = -1;
    return target;
}

static void add_host(struct reach *reach, const char *host)
{
    const struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM};
    struct addrinfo *found;
    struct reach_target *target;
    int code = getaddrinfo(host, NULL, &hints, &found);
    if (code) {
        if ((target = add(reach))) {
            snprintf(target->text, sizeof(target->text), "%s", host);
            target->unknown = gai_strerror(code);
        }
        return;
    }
    for (const struct addrinfo *each = found; each; each = each->ai_next) {
        struct sockaddr_in address = *(const struct sockaddr_in *)each->ai_addr;
        address.sin_port = htons((uint16_t)reach->port);
        if (is_there(reach, &address) || !(target = add(reach)))
            continue;
        target->address = address;
        inet_ntop(AF_INET, &address.sin_addr, target->text, sizeof(target->text));
        if (connection_is_own_address(target->text))
            target->again_ms = clock_ms() + OWN_MS;
    }
    freeaddrinfo(found);
}

struct reach *reach_create(const struct connection *connection, int port, void *context)
{
    const char *hosts[CONNECTION_ADDRESSES_MAX + 1];
    struct ipcl_error error;
    size_t count = connection_hosts(connection, hosts);
    struct reach *reach = count ? calloc(1, sizeof(*reach)) : NULL;
    if (!reach)
        return NULL;
    reach->port = port;
    reach->context = context;
    reach->encrypted = *connection->curve_serverkey && curve_generate(&reach->curve, &error) == 0;
    strcpy(reach->curve.server_key, connection->curve_serverkey);
    for (size_t i = 0; i < count; i++)
        add_host(reach, hosts[i]);
    return reach;
}

static void stop(struct reach_target *target)
{
    if (target->fd >= 0)
        close(target->fd);
    target->fd = -1;
    if (target->monitor) {
        zmq_socket_monitor(target->socket, NULL, 0);
        zmq_close(target->monitor);
    }
    if (target->socket)
        zmq_close(target->socket);
    target->socket = target->monitor = NULL;
}

void reach_destroy(struct reach *reach)
{
    for (size_t i = 0; reach && i < reach->count; i++)
        stop(&reach->targets[i]);
    if (reach)
        explicit_bzero(&reach->curve, sizeof(reach->curve));
    free(reach);
}

bool reach_has_choice(const struct reach *reach)
{
    return reach && reach->count > 1;
}

/* An attempt has ended; `failure` is 0 where the address has answered. */
static void end(struct reach_target *target, int failure, long long now_ms)
{
    stop(target);
    target->failure = failure;
    target->answered |= !failure;
    target->again_ms = now_ms + AGAIN_MS;
}

static void begin(struct reach_target *target, long long now_ms)
{
    if (!target->begun_ms)
        target->begun_ms = now_ms;
    target->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (target->fd < 0 ||
        (connect(target->fd, (const struct sockaddr *)&target->address, sizeof(target->address)) &&
         errno != EINPROGRESS))
        end(target, errno, now_ms);
}

/* Something listens there. Returns 0 or -1. */
static int begin_handshake(const struct reach *reach, struct reach_target *target, long long now_ms)
{
    const struct socket_options options = {.type = ZMQ_DEALER,
                                           .linger_ms = SOCKET_LINGER_MS_MIN,
                                           .curve = reach->encrypted ? &reach->curve : NULL};
    const struct socket_options watching = {.type = ZMQ_PAIR};
    char url[CONNECTION_ADDRESS_BYTES + 16], events[48];
    struct ipcl_error error;
    stop(target);
    snprintf(url, sizeof(url), "tcp://%s:%d", target->text, reach->port);
    snprintf(events, sizeof(events), "inproc://reach-%p", (void *)target);
    target->again_ms = now_ms + SOCKET_HANDSHAKE_MS;
    target->socket = socket_create(reach->context, &options, &error);
    if (!target->socket ||
        zmq_socket_monitor(target->socket, events,
                           ZMQ_EVENT_HANDSHAKE_SUCCEEDED | ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL |
                               ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL |
                               ZMQ_EVENT_HANDSHAKE_FAILED_AUTH | ZMQ_EVENT_DISCONNECTED))
        return -1;
    target->monitor = socket_create(reach->context, &watching, &error);
    return target->monitor && socket_connect(target->monitor, events, &error) == 0
               ? socket_connect(target->socket, url, &error)
               : -1;
}

/* Returns whether the handshake has succeeded. */
static bool look_at_handshake(struct reach_target *target, long long now_ms)
{
    uint16_t event = 0;
    if (zmq_recv(target->monitor, &event, sizeof(event), ZMQ_DONTWAIT) < 0 &&
        now_ms < target->again_ms)
        return false;
    end(target, event == ZMQ_EVENT_HANDSHAKE_SUCCEEDED ? 0 : NOT_IT, now_ms);
    return !target->failure;
}

/* Returns whether it has answered. */
static bool look(const struct reach *reach, struct reach_target *target, long long now_ms)
{
    struct pollfd polled = {.fd = target->fd, .events = POLLOUT};
    int failure = 0;
    socklen_t size = sizeof(failure);
    if (poll(&polled, 1, 0) != 1)
        return false;
    getsockopt(target->fd, SOL_SOCKET, SO_ERROR, &failure, &size);
    if (!failure && reach_has_choice(reach)) {
        if (begin_handshake(reach, target, now_ms) < 0)
            end(target, errno, now_ms);
        return false;
    }
    end(target, failure, now_ms);
    return !failure;
}

const char *reach_try(struct reach *reach, long long now_ms)
{
    const char *answered = NULL;
    for (size_t i = 0; i < reach->count; i++) {
        struct reach_target *target = &reach->targets[i];
        bool answers = target->socket && look_at_handshake(target, now_ms);
        if (target->fd < 0 && !target->socket && !target->unknown && now_ms >= target->again_ms)
            begin(target, now_ms);
        answers = answers || (target->fd >= 0 && look(reach, target, now_ms));
        if (answers && !answered)
            answered = target->text;
    }
    return answered;
}

void reach_take(struct connection *connection, const char *answered)
{
    snprintf(connection->location, sizeof(connection->location), "%s", answered);
}

void reach_choose(struct connection *connection, int port, void *context, int timeout_ms)
{
    struct reach *reach = reach_create(connection, port, context);
    long long end_ms = clock_ms() + timeout_ms;
    const char *answered = NULL;
    while (reach_has_choice(reach) && !answered && clock_ms() < end_ms) {
        answered = reach_try(reach, clock_ms());
        if (!answered)
            poll(NULL, 0, SLICE_MS);
    }
    if (answered)
        reach_take(connection, answered);
    reach_destroy(reach);
}

bool reach_has_answered(const struct reach *reach)
{
    for (size_t i = 0; i < reach->count; i++)
        if (reach->targets[i].answered)
            return true;
    return false;
}

bool reach_has_failed(const struct reach *reach)
{
    for (size_t i = 0; i < reach->count; i++)
        if (!reach->targets[i].unknown && !reach->targets[i].failure)
            return false;
    return true;
}

bool reach_is_refused(const struct reach *reach)
{
    for (size_t i = 0; i < reach->count; i++)
        if (!reach->targets[i].unknown && reach->targets[i].failure != ECONNREFUSED)
            return false;
    return true;
}

/* Whether something answers at an address, and not as this controller does. */
static bool is_mistaken(const struct reach *reach)
{
    for (size_t i = 0; i < reach->count; i++)
        if (reach->targets[i].failure == NOT_IT || reach->targets[i].socket)
            return true;
    return false;
}

static void describe(const struct reach_target *target, long long now_ms, char *text, size_t size)
{
    if (target->unknown)
        snprintf(text, size, "%s (not known here: %s)", target->text, target->unknown);
    else if (target->failure == ECONNREFUSED)
        snprintf(text, size, "%s (refused)", target->text);
    else if (target->socket)
        snprintf(text, size, "%s (what listens there does not begin to talk)", target->text);
    else if (target->failure == NOT_IT)
        snprintf(text, size, "%s (another program listens there, or the controller is full)",
                 target->text);
    else if (target->failure && target->failure != ETIMEDOUT)
        snprintf(text, size, "%s (%s)", target->text, strerror(target->failure));
    else
        snprintf(text, size, "%s (no answer within %.1f s)", target->text,
                 target->begun_ms ? (double)(now_ms - target->begun_ms) / 1000 : 0.0);
}

void reach_describe(const struct reach *reach, long long now_ms, char *text, size_t size)
{
    size_t used = 0;
    *text = '\0';
    for (size_t i = 0; i < reach->count && used < size; i++) {
        char one[2 * CONNECTION_ADDRESS_BYTES];
        describe(&reach->targets[i], now_ms, one, sizeof(one));
        used += (size_t)snprintf(text + used, size - used, "%s%s", i ? ", " : "", one);
    }
}

void reach_explain(const struct reach *reach, const struct connection *connection, const char *file,
                   const char *refused, const char *ssh, long long now_ms, struct ipcl_error *error)
{
    char here[CONNECTION_ADDRESS_BYTES] = "this host", tried[1024];
    const char *there =
        *connection->location ? connection->location : "the host that listens there";
    gethostname(here, sizeof(here) - 1);
    reach_describe(reach, now_ms, tried, sizeof(tried));
    if (reach_is_refused(reach))
        ipcl_error_set(
            error,
            "the controller of %s cannot be reached from %s: nothing listens at port %d of %s: %s",
            file, here, reach->port, tried, refused);
    else if (is_mistaken(reach))
        ipcl_error_set(error,
                       "the controller of %s cannot be reached from %s: port %d of %s. Perhaps "
                       "another controller listens there: use the file that it wrote. Or the "
                       "controller has another address for %s: start it with --location=ADDRESS, "
                       "an address that %s can reach. Or it is full: see its log",
                       file, here, reach->port, tried, here, here);
    else
        ipcl_error_set(error,
                       "the controller of %s cannot be reached from %s: port %d of %s. If a "
                       "controller runs there (on %s), a firewall blocks the connection, or the "
                       "controller has another address for %s: start it with --location=ADDRESS, "
                       "an address that %s can reach (or --ip=ADDRESS), or %s",
                       file, here, reach->port, tried, there, here, here, ssh);
}
