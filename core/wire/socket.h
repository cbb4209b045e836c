/* Sockets with this project's defaults: no high-water mark unless one is given, no lingering,
 * CurveZMQ if there is a key. */
#ifndef WIRE_SOCKET_H
#define WIRE_SOCKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <zmq.h>

#include <ipcluster/error.h>

#include "wire/connection.h"

/* This side's CurveZMQ keys (ZeroMQ RFC 26). */
struct curve {
    /* this side binds and has `secret_key`; otherwise it knows `server_key` */
    bool server;
    char public_key[CURVE_KEY_BYTES];
    char secret_key[CURVE_KEY_BYTES];
    char server_key[CURVE_KEY_BYTES];
};
/* Makes a key pair. Returns 0, or -1 with `error` set where libzmq was built without CurveZMQ. */
int curve_generate(struct curve *curve, struct ipcl_error *error);

/* libzmq 4.3 aborts the process in this case (its issue 3442): a connection ends while its socket
 * is being closed, half a message was written to it, and the linger time is over. This much time is
 * enough for both ends when a cluster ends at once. */
#define SOCKET_LINGER_MS_MIN 100

/* How long a peer that connects may take to prove that it may connect. */
#define SOCKET_HANDSHAKE_MS 5000
/* The largest frame that a subscriber may send: a topic, or CurveZMQ's INITIATE, which has 257
 * bytes and the peer's metadata. libzmq needs up to 67 times a topic's size to keep it, and frees
 * it by a recursion as deep as the topic is long. */
#define SOCKET_TOPIC_BYTES_MAX 1024

/* What a context needs. libzmq ends the process if the system does not give it. */
struct socket_needs {
    const char *who;    /* for the error: "ipengine" */
    int io_threads;     /* libzmq's */
    size_t descriptors; /* for sockets, connections, and other files of the owner */
    size_t threads;     /* that the owner starts */
};
/* A ZeroMQ context; NULL with `error` set if a limit of the system is too low for it. */
void *socket_context(const struct socket_needs *needs, struct ipcl_error *error);

struct socket_options {
    int type;                  /* ZMQ_ROUTER, ... */
    const struct curve *curve; /* NULL for none; not used by inproc */
    const void *identity;      /* ZMQ_ROUTING_ID; NULL for a random one */
    size_t identity_size;
    bool mandatory; /* a ROUTER that reports an error if it has no such peer */
    bool exclusive; /* a ROUTER at which nobody can take the name of a peer that is connected */
    /* messages of one peer that may wait here until they are read; more wait at the peer; 0: no
     * limit */
    int receive_max;
    /* messages that may wait for one peer; a PUB drops more, others refuse them; 0: no limit */
    int send_max;
    /* the largest frame to accept; a peer that sends more is disconnected; 0: no limit */
    int64_t frame_bytes_max;
    /* how long closing waits until messages are sent; 0 (not at all) is for inproc: see
     * SOCKET_LINGER_MS_MIN */
    int linger_ms;
};
/* NULL with `error` set on failure. The socket belongs to the calling thread until it is given to
 * another. */
void *socket_create(void *context, const struct socket_options *options, struct ipcl_error *error);
/* For a socket that many peers connect to, before it is bound. It notices peers whose host is gone,
 * has room for a thousand connections at once, and does not wait for silent peers. Returns 0 or -1
 * with `error` set. */
int socket_set_up_listening(void *socket, struct ipcl_error *error);
/* For a socket that stays open when the other side goes away, before it is connected. It notices
 * that, and connects again at growing intervals, of two to four seconds at most. Returns 0 or -1
 * with `error` set. */
int socket_set_up_returning(void *socket, struct ipcl_error *error);
/* Return 0, or -1 with `error` set, which names the address. */
int socket_bind(void *socket, const char *url, struct ipcl_error *error);
int socket_connect(void *socket, const char *url, struct ipcl_error *error);
/* From now on the socket listens without CurveZMQ; at what it is bound to already, with it. (libzmq
 * takes a listener's security from what is set when it is bound.) Returns 0 or -1 with `error`
 * set. */
int socket_unencrypt(void *socket, struct ipcl_error *error);
/* Binds `interface` ("tcp://127.0.0.1", or "ipc:///folder/stem", where ports are suffixes) to
 * `*port`. If that is 0 it takes a free port, and stores it. Returns 0 or -1 with `error` set. */
int socket_bind_port(void *socket, const char *interface, int *port, struct ipcl_error *error);

#endif
