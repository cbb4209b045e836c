/* Sockets with this project's defaults. */
#include "wire/socket.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/limits.h"

int curve_generate(struct curve *curve, struct ipcl_error *error)
{
    if (zmq_curve_keypair(curve->public_key, curve->secret_key))
        return ipcl_error_set(error,
                              "this libzmq was built without CurveZMQ: set enable_curve to false");
    return 0;
}

void *socket_context(const struct socket_needs *needs, struct ipcl_error *error)
{
    size_t threads = (size_t)needs->io_threads + 1; /* and one that closes sockets */
    struct limits_need need = {
        .who = needs->who,
        .descriptors = needs->descriptors + 2 * threads +
                       1, /* each polls, and has a mailbox; as the context itself */
        .threads = needs->threads + threads,
    };
    if (limits_check(&need, error))
        return NULL;
    void *context = zmq_ctx_new();
    if (!context || zmq_ctx_set(context, ZMQ_IO_THREADS, needs->io_threads)) {
        ipcl_error_set(error, "cannot make a ZeroMQ context: %s", zmq_strerror(errno));
        if (context)
            zmq_ctx_term(context);
        return NULL;
    }
    return context;
}

static int set_int(void *socket, int option, int value)
{
    return zmq_setsockopt(socket, option, &value, sizeof(value));
}

static int set_curve(void *socket, const struct curve *curve)
{
    if (curve->server)
        return set_int(socket, ZMQ_CURVE_SERVER, 1) ||
               zmq_setsockopt(socket, ZMQ_CURVE_SECRETKEY, curve->secret_key, CURVE_KEY_BYTES);
    return zmq_setsockopt(socket, ZMQ_CURVE_SERVERKEY, curve->server_key, CURVE_KEY_BYTES) ||
           zmq_setsockopt(socket, ZMQ_CURVE_PUBLICKEY, curve->public_key, CURVE_KEY_BYTES) ||
           zmq_setsockopt(socket, ZMQ_CURVE_SECRETKEY, curve->secret_key, CURVE_KEY_BYTES);
}

void *socket_create(void *context, const struct socket_options *options, struct ipcl_error *error)
{
    void *socket = zmq_socket(context, options->type);
    if (!socket) {
        ipcl_error_set(error, "cannot make a socket: %s", zmq_strerror(errno));
        return NULL;
    }
    int failed = set_int(socket, ZMQ_SNDHWM, options->send_max) ||
                 set_int(socket, ZMQ_RCVHWM, options->receive_max) ||
                 set_int(socket, ZMQ_LINGER, options->linger_ms);
    if (!failed && options->identity)
        failed = zmq_setsockopt(socket, ZMQ_ROUTING_ID, options->identity, options->identity_size);
    if (!failed && options->mandatory)
        failed = set_int(socket, ZMQ_ROUTER_MANDATORY, 1);
    /* An engine that comes back under its old identity takes over from its broken connection. */
    if (!failed && options->type == ZMQ_ROUTER && !options->exclusive)
        failed = set_int(socket, ZMQ_ROUTER_HANDOVER, 1);
    if (!failed && options->frame_bytes_max)
        failed = zmq_setsockopt(socket, ZMQ_MAXMSGSIZE, &options->frame_bytes_max,
                                sizeof(options->frame_bytes_max));
    if (!failed && options->curve)
        failed = set_curve(socket, options->curve);
    if (failed) {
        ipcl_error_set(error, "cannot set up a socket: %s%s", zmq_strerror(errno),
                       options->curve ? " (is the CurveZMQ key valid?)" : "");
        zmq_close(socket);
        return NULL;
    }
    return socket;
}

struct socket_setting {
    int option;
    int value;
};

static int set_all(void *socket, const struct socket_setting *settings, size_t count,
                   struct ipcl_error *error)
{
    for (size_t i = 0; i < count; i++)
        if (set_int(socket, settings[i].option, settings[i].value))
            return ipcl_error_set(error, "cannot set up a socket: %s", zmq_strerror(errno));
    return 0;
}

/* A peer whose host has lost its power says no goodbye: the kernel asks for it. (A process that is
 * only stopped answers, as its kernel does that.) */
#define ASK_FOR_PEERS                                                                              \
    {ZMQ_TCP_KEEPALIVE, 1}, {ZMQ_TCP_KEEPALIVE_IDLE, 60 /* seconds */},                            \
        {ZMQ_TCP_KEEPALIVE_INTVL, 15},                                                             \
    {                                                                                              \
        ZMQ_TCP_KEEPALIVE_CNT, 4                                                                   \
    }

int socket_set_up_listening(void *socket, struct ipcl_error *error)
{
    /* A thousand engines connect in the same moment: what the backlog has no room for is tried
     * again after a second, and then after three. */
    static const struct socket_setting settings[] = {
        ASK_FOR_PEERS, {ZMQ_BACKLOG, 4096}, {ZMQ_HANDSHAKE_IVL, SOCKET_HANDSHAKE_MS}};
    return set_all(socket, settings, sizeof(settings) / sizeof(*settings), error);
}

int socket_set_up_returning(void *socket, struct ipcl_error *error)
{
    /* A thousand engines whose controller is away do not knock at its door ten times a second. */
    static const struct socket_setting settings[] = {ASK_FOR_PEERS, {ZMQ_RECONNECT_IVL_MAX, 2000}};
    return set_all(socket, settings, sizeof(settings) / sizeof(*settings), error);
}

int socket_bind(void *socket, const char *url, struct ipcl_error *error)
{
    if (!zmq_bind(socket, url))
        return 0;
    if (errno == EADDRINUSE)
        return ipcl_error_set(error, "%s is in use by another program: choose another port", url);
    return ipcl_error_set(error, "cannot listen on %s: %s", url, zmq_strerror(errno));
}

int socket_connect(void *socket, const char *url, struct ipcl_error *error)
{
    if (!zmq_connect(socket, url))
        return 0;
    return ipcl_error_set(error, "cannot connect to %s: %s", url, zmq_strerror(errno));
}

int socket_unencrypt(void *socket, struct ipcl_error *error)
{
    if (!set_int(socket, ZMQ_CURVE_SERVER, 0))
        return 0;
    return ipcl_error_set(error, "cannot set up a socket: %s", zmq_strerror(errno));
}

static int bind_ipc_port(void *socket, const char *interface, int *port, struct ipcl_error *error)
{
    char url[CONNECTION_TEXT_BYTES + 16];
    for (int number = *port ? *port : 1;; number++) {
        snprintf(url, sizeof(url), "%s:%d", interface, number);
        /* zmq would take over a path that another process listens on. */
        bool free_path = access(url + strlen("ipc://"), F_OK) != 0;
        if (*port || free_path) {
            *port = number;
            return socket_bind(socket, url, error);
        }
    }
}

int socket_bind_port(void *socket, const char *interface, int *port, struct ipcl_error *error)
{
    char url[CONNECTION_TEXT_BYTES + 16];
    if (!strncmp(interface, "ipc://", strlen("ipc://")))
        return bind_ipc_port(socket, interface, port, error);
    if (*port)
        snprintf(url, sizeof(url), "%s:%d", interface, *port);
    else
        snprintf(url, sizeof(url), "%s:*", interface);
    if (socket_bind(socket, url, error))
        return -1;
    size_t size = sizeof(url);
    if (zmq_getsockopt(socket, ZMQ_LAST_ENDPOINT, url, &size))
        return ipcl_error_set(error, "cannot tell which port of %s was bound: %s", interface,
                              zmq_strerror(errno));
    *port = atoi(strrchr(url, ':') + 1);
    return 0;
}
