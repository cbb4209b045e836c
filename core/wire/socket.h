/* Sockets with this project's defaults: no high-water mark unless one is given, no lingering,
 * CurveZMQ where there is a key. */
#ifndef WIRE_SOCKET_H
#define WIRE_SOCKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <zmq.h>

#include <ipcluster/error.h>

#include "wire/connection.h"

/* This side's CurveZMQ keys (RFC 26 of ZeroMQ). */
struct curve {
    /* this side binds and has `secret_key`; otherwise it knows `server_key` */
    bool server;
    char public_key[CURVE_KEY_BYTES];
    char secret_key[CURVE_KEY_BYTES];
    char server_key[CURVE_KEY_BYTES];
};
/* Makes a key pair. Returns 0, or -1 with `error` set where libzmq was built without CurveZMQ. */
int curve_generate(struct curve *curve, struct ipcl_error *error);

/* libzmq 4.3 aborts the process where a connection ends while its socket is being closed, half a
 * message was written to it, and the time to linger is over (its issue 3442): so there is time for
 * both ends of a cluster that ends at once. */
#define SOCKET_LINGER_MS_MIN 100

/* How long a peer that connects may take until it has proved that it may. */
#define SOCKET_HANDSHAKE_MS 5000
/* The largest frame that a subscriber may send: a topic, or INITIATE of CurveZMQ, which has 257
 * bytes and what the peer says of itself. libzmq keeps a topic in up to 67 times its size, and
 * forgets it by a recursion as deep as it is long. */
#define SOCKET_TOPIC_BYTES_MAX 1024

/* What a context is for, and what it must find: libzmq ends the process where that is not there. */
struct socket_needs {
    const char *who;    /* for the error: "ipengine" */
    int io_threads;     /* libzmq's */
    size_t descriptors; /* for sockets, connections, and what else the owner opens */
    size_t threads;     /* that the owner starts */
};
/* A ZeroMQ context; NULL with `error` set where a limit of the system is too low for it. */
void *socket_context(const struct socket_needs *needs, struct ipcl_error *error);

struct socket_options {
    int type;                  /* ZMQ_ROUTER, ... */
    const struct curve *curve; /* NULL for none; not used by inproc */
    const void *identity;      /* ZMQ_ROUTING_ID; NULL for a random one */
    size_t identity_size;
    bool mandatory; /* a ROUTER that says when it has no such peer */
    bool exclusive; /* a ROUTER at which nobody can take the name of a peer that is connected */
    /* messages of one peer that may wait here to be read; more wait at the peer; 0: no limit */
    int receive_max;
    /* messages that may wait for one peer; a PUB drops more, others refuse them; 0: no limit */
    int send_max;
    /* the largest frame to accept; a peer that sends more is disconnected; 0: no limit */
    int64_t frame_bytes_max;
    /* how long closing waits for what was sent; 0, not at all, is for inproc: see
     * SOCKET_LINGER_MS_MIN */
    int linger_ms;
};
/* NULL with `error` set on failure. The socket belongs to the calling thread until it is handed
 * over. */
void *socket_create(void *context, const struct socket_options *options, struct ipcl_error *error);
/* For a socket that many connect to, before it is bound: notices peers whose host is gone, has room
 * for a thousand at once, and does not wait for peers that are silent. Returns 0 or -1 with `error`
 * set. */
int socket_set_up_listening(void *socket, struct ipcl_error *error);
/* For a socket that stays when the other side goes away, before it is connected: notices that, and
 * tries to connect again less and less often, up to every two to four seconds. Returns 0 or -1 with
 * `error` set. */
int socket_set_up_returning(void *socket, struct ipcl_error *error);
/* Return 0, or -1 with `error` set, which names the address. */
int socket_bind(void *socket, const char *url, struct ipcl_error *error);
int socket_connect(void *socket, const char *url, struct ipcl_error *error);
/* Binds `interface` ("tcp://127.0.0.1", or "ipc:///folder/stem", where ports are suffixes) to
 * `*port`, or where that is 0 to one that is free, which it stores. Returns 0 or -1 with `error`
 * set. */
int socket_bind_port(void *socket, const char *interface, int *port, struct ipcl_error *error);

#endif
