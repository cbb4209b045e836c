/* Making the sockets and sessions of the controller's threads. */
#include "controller/exchange/controller.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "base/log.h"
#include "controller/door/gate.h"
#include "wire/local.h"

/* What a client sends faster than it is taken waits in the client: its connection is not read while
 * so many of its messages wait here. */
#define REQUESTS_MAX 1000
/* The same of an engine's replies. An engine that has died has rarely more to say than that. */
#define REPLIES_MAX 10000
/* So many messages libzmq may have for a peer; more wait in an outbox, or as tasks. */
#define UNREAD_MAX 1000
/* How long what was sent may still leave when the controller ends. */
#define LINGER_MS 500
/* What is published waits here for a subscriber that reads slowly, or that is stopped: so many
 * messages of a kilobyte or so each; more are not for it. Of what one
 * engine publishes as much waits here to be relayed, and the rest in the engine. */
#define PUBLISHED_MAX 100000

/* CurveZMQ makes three of a frame: of this part of the memory that there is (three times it, and
 * what else is there) none is refused by the system, which would end the process. */
#define FRAME_SHARE 4
/* Where everybody can send: that is taken, and so many times it is read, so that whoever sent it
 * hears why not. */
#define OPEN_FRAME_BYTES ((int64_t)64 << 20)
#define OPEN_FRAMES_READ 4
/* Frames of up to so many bytes are read in any case, more than the system's buffers of a
 * connection have: so what an engine sends behind an answer that is too large has not left it when
 * the connection is ended, and comes by the next. */
#define OPEN_READ_LEAST ((int64_t)16 << 20)
/* What encryption adds to a frame, and somewhat more. */
#define FRAME_OVERHEAD 64

void controller_bound_frames(struct controller *controller)
{
    bool open = !controller->encrypted && !strncmp(controller->engines.interface, "tcp:", 4);
    int64_t most = (int64_t)(limits_memory() / FRAME_SHARE), taken = controller->frame_bytes_max;
    if (!taken)
        taken = open && most > OPEN_FRAME_BYTES ? OPEN_FRAME_BYTES : most;
    if (open && most > OPEN_READ_LEAST && most / OPEN_FRAMES_READ > taken)
        most =
            taken > OPEN_READ_LEAST / OPEN_FRAMES_READ ? taken * OPEN_FRAMES_READ : OPEN_READ_LEAST;
    controller->frame_bytes_max = taken;
    controller->clients.frame_bytes_max = controller->engines.frame_bytes_max = taken;
    gate_set((uint64_t)(most > taken ? most : taken) + FRAME_OVERHEAD);
}

static int next_port(struct port_pool *pool)
{
    return pool->next < pool->ports.count ? pool->ports.list[pool->next++] : 0;
}

static void warn_of_random(struct port_pool *pool)
{
    if (pool->ports.count && !pool->warned)
        log_warn("none of the given ports (%zu) is free: other ports are used", pool->ports.count);
    pool->warned = true;
}

static const struct curve *curve_of(const struct controller *controller, enum connection_role role)
{
    return controller->encrypted ? &controller->curves[role] : NULL;
}

/* Binds to the port that is asked for; or to the first of the pool's that is free, or any. */
static int bind_socket(struct controller *controller, enum connection_role role, void *socket,
                       int *port, struct ipcl_error *error)
{
    bool for_clients = role == CONNECTION_CLIENT;
    struct port_pool *own = for_clients ? &controller->client_pool : &controller->engine_pool;
    const char *interface =
        for_clients ? controller->clients.interface : controller->engines.interface;
    if (*port)
        return socket_bind_port(socket, interface, port, error);
    while ((*port = next_port(own)))
        if (!socket_bind_port(socket, interface, port, error))
            return 0;
    while ((*port = next_port(&controller->pool)))
        if (!socket_bind_port(socket, interface, port, error))
            return 0;
    warn_of_random(controller->pool.ports.count ? &controller->pool : own);
    return socket_bind_port(socket, interface, port, error);
}

/* Beside the port: for programs of this host. Without it they all connect by TCP. */
static void bind_local(struct controller *controller, enum connection_role role, void *socket,
                       int *port)
{
    struct connection *connections[CONNECTION_ROLES] = {
        [CONNECTION_CLIENT] = &controller->clients, [CONNECTION_ENGINE] = &controller->engines};
    const char *interface = connections[role]->local_interface;
    struct ipcl_error error;
    if (!*interface ||
        (!socket_unencrypt(socket, &error) && !socket_bind_port(socket, interface, port, &error)))
        return;
    log_warn("programs of this host connect by TCP, as there can be no local sockets: %s",
             error.text);
    local_withdraw(connections);
}

static void *listen_on(struct controller *controller, enum connection_role role,
                       const struct socket_options *options, int *port, struct ipcl_error *error)
{
    struct gate_peers peers = {.encrypted = options->curve,
                               .subscribers = options->type == ZMQ_XPUB};
    void *socket = socket_create(controller->context, options, error);
    if (!socket)
        return NULL;
    gate_expect(peers);
    int failed = socket_set_up_listening(socket, error) ||
                 bind_socket(controller, role, socket, port, error);
    peers.encrypted = false;
    gate_expect(peers);
    if (!failed)
        bind_local(controller, role, socket, port);
    gate_watch_end();
    if (!failed)
        return socket;
    zmq_close(socket);
    return NULL;
}

void *controller_listen(struct controller *controller, enum connection_role role, int type,
                        const char *identity, int *port, struct ipcl_error *error)
{
    struct socket_options options = {
        .type = type,
        .curve = curve_of(controller, role),
        .identity = identity,
        .identity_size = identity ? strlen(identity) : 0,
        .receive_max = type == ZMQ_ROUTER ? REQUESTS_MAX
                       : type == ZMQ_XSUB ? PUBLISHED_MAX
                                          : 0,
        .send_max = type == ZMQ_XPUB     ? PUBLISHED_MAX
                    : type == ZMQ_ROUTER ? UNREAD_MAX
                                         : 0,
        .linger_ms = LINGER_MS,
    };
    return listen_on(controller, role, &options, port, error);
}

void *controller_listen_mandatory(struct controller *controller, const char *identity, int *port,
                                  struct ipcl_error *error)
{
    struct socket_options options = {
        .type = ZMQ_ROUTER,
        .curve = curve_of(controller, CONNECTION_ENGINE),
        .identity = identity,
        .identity_size = strlen(identity),
        .mandatory = true,
        .receive_max = REPLIES_MAX,
        .send_max = UNREAD_MAX,
        .linger_ms = LINGER_MS,
    };
    return listen_on(controller, CONNECTION_ENGINE, &options, port, error);
}

void *controller_allocate(size_t bytes, struct ipcl_error *error)
{
    void *memory = calloc(1, bytes);
    if (!memory)
        ipcl_error_set(error, "out of memory");
    return memory;
}

struct session *controller_session(const struct controller *controller, enum connection_role role,
                                   struct ipcl_error *error)
{
    const struct connection *file =
        role == CONNECTION_CLIENT ? &controller->clients : &controller->engines;
    return session_create(file->key, strlen(file->key), file->signature_scheme, controller->serial,
                          NULL, error);
}

struct seal controller_seal(const struct controller *controller, enum seal_channel channel,
                            enum connection_role role, struct session *session)
{
    /* Engines may have the first request of a previous controller they know its life. */
    bool alive = role == CONNECTION_CLIENT || channel == SEAL_HUB;
    return (struct seal){.session = session,
                         .channel = channel,
                         .role = role,
                         .controller = true,
                         .encrypted = controller->encrypted,
                         .life = alive ? controller->life : NULL,
                         .counter = controller->counter};
}

int controller_sessions(const struct controller *controller, enum seal_channel channel,
                        struct sessions *sessions, struct ipcl_error *error)
{
    sessions->clients = controller_session(controller, CONNECTION_CLIENT, error);
    sessions->engines =
        sessions->clients ? controller_session(controller, CONNECTION_ENGINE, error) : NULL;
    sessions->client_seal =
        controller_seal(controller, channel, CONNECTION_CLIENT, sessions->clients);
    sessions->engine_seal =
        controller_seal(controller, channel, CONNECTION_ENGINE, sessions->engines);
    return sessions->engines ? 0 : -1;
}

void sessions_destroy(struct sessions *sessions)
{
    seal_release(&sessions->client_seal);
    seal_release(&sessions->engine_seal);
    session_destroy(sessions->clients);
    session_destroy(sessions->engines);
}
