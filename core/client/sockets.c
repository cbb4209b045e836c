/* The I/O thread's sockets: opening, signing, verifying, closing. */
#include "client/sockets_private.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "wire/local.h"
#include "wire/published.h"

/* What was submitted just before closing still has this long to go out. */
#define LINGER_MS 1000
/* And so long to pass through a tunnel: ssh takes in what the network has yet to carry. */
#define TUNNEL_LINGER_MS 3000
static const struct {
    int type;
    size_t port; /* in struct connection */
    enum seal_channel channel;
} socket_table[SOCKET_COUNT] = {
    [SOCKET_QUERY] = {ZMQ_DEALER, offsetof(struct connection, registration), SEAL_HUB},
    [SOCKET_NOTIFICATION] = {ZMQ_SUB, offsetof(struct connection, notification), SEAL_NOTIFICATION},
    [SOCKET_IOPUB] = {ZMQ_SUB, offsetof(struct connection, iopub), SEAL_OUTPUT},
    [SOCKET_DIRECT] = {ZMQ_DEALER, offsetof(struct connection, mux), SEAL_DIRECT},
    [SOCKET_TASK] = {ZMQ_DEALER, offsetof(struct connection, task), SEAL_TASK},
    [SOCKET_CONTROL] = {ZMQ_DEALER, offsetof(struct connection, control), SEAL_CONTROL},
    [SOCKET_BROADCAST] = {ZMQ_DEALER, offsetof(struct connection, broadcast), SEAL_BROADCAST},
};

static int make_curve(const struct ipcl_client *client, struct curve *curve,
                      struct ipcl_error *error)
{
    *curve = (struct curve){.server = false};
    if (curve_generate(curve, error))
        return -1;
    snprintf(curve->server_key, sizeof(curve->server_key), "%s",
             client->connection.curve_serverkey);
    return 0;
}

/* Follows a socket's connection from its own pair of sockets. */
static int watch(struct ipcl_client *client, enum client_socket index, loop_receive *event,
                 struct ipcl_error *error)
{
    struct client_io *io = &client->io;
    char address[32];
    struct socket_options options = {.type = ZMQ_PAIR};
    snprintf(address, sizeof(address), "inproc://watch-%d", index);
    if (zmq_socket_monitor(io->sockets[index], address,
                           ZMQ_EVENT_CONNECTED | ZMQ_EVENT_HANDSHAKE_SUCCEEDED |
                               ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL |
                               ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL |
                               ZMQ_EVENT_HANDSHAKE_FAILED_AUTH | ZMQ_EVENT_DISCONNECTED))
        return ipcl_error_set(error, "cannot watch a socket: %s", zmq_strerror(errno));
    io->monitors[index] = socket_create(io->context, &options, error);
    if (!io->monitors[index])
        return -1;
    /* A controller that is gone is not sent what another could not take: this is read before what
     * wakes the thread to send. */
    if (index == SOCKET_QUERY && loop_add(io->loop, io->monitors[index], event, client))
        return ipcl_error_set(error, "cannot poll a socket: %s", zmq_strerror(errno));
    return socket_connect(io->monitors[index], address, error);
}

static int port_of(const struct ipcl_client *client, enum client_socket index)
{
    return *(const int *)((const char *)&client->connection + socket_table[index].port);
}

/* Makes a socket, which is not connected yet. */
static int open_one(struct ipcl_client *client, enum client_socket index, const struct curve *curve,
                    const struct sockets_handlers *handlers, struct ipcl_error *error)
{
    struct client_io *io = &client->io;
    struct socket_options options = {
        .type = socket_table[index].type, .curve = curve, .linger_ms = LINGER_MS};
    /* Under this identity replies find us also when the connection was lost, or the controller
     * replaced. */
    if (options.type == ZMQ_DEALER) {
        options.identity = client->session_id;
        options.identity_size = SESSION_ID_LENGTH;
    }
    if (!port_of(client, index))
        return 0; /* a controller of ipyparallel's that is too old to broadcast */
    io->sockets[index] = socket_create(io->context, &options, error);
    io->ways[index] = (struct client_way){client, index};
    if (!io->sockets[index])
        return -1;
    bool published = options.type == ZMQ_SUB;
    if ((published ? loop_add : loop_add_open)(io->loop, io->sockets[index], handlers->message,
                                               &io->ways[index]))
        return ipcl_error_set(error, "cannot poll a socket: %s", zmq_strerror(errno));
    /* Engines' output only: status has other topics, and replies say how much output there is. */
    const char *topic = index == SOCKET_IOPUB ? "engine." : "";
    if (published && zmq_setsockopt(io->sockets[index], ZMQ_SUBSCRIBE, topic, strlen(topic)))
        return ipcl_error_set(error, "cannot subscribe: %s", zmq_strerror(errno));
    io->expected |= 1u << index;
    return watch(client, index, handlers->event, error);
}

/* By SSH if that is asked for, or by local sockets if there are any. */
static int open_way(struct ipcl_client *client, struct ipcl_error *error)
{
    if (!client->tunnelled) {
        local_choose(&client->connection, client->connection.registration);
        return 0;
    }
    client->io.tunnel = tunnel_open(&client->connection, client->ssh_key, client->timeout_ms,
                                    &client->closing, error);
    return client->io.tunnel ? 0 : -1;
}

static void open_seals(struct ipcl_client *client)
{
    const struct connection *connection = &client->connection;
    for (int index = 0; index < SOCKET_COUNT; index++) {
        struct seal seal = {.session = client->io.session,
                            .channel = socket_table[index].channel,
                            .role = CONNECTION_CLIENT,
                            .required = connection->sealed,
                            .encrypted = *connection->curve_serverkey,
                            .life = client->io.life};
        client->io.seals[index] = socket_table[index].type == ZMQ_DEALER
                                      ? seal
                                      : published_sink(seal, connection->sealed, client->io.life);
    }
}

void sockets_open_segments(struct ipcl_client *client)
{
    struct client_io *io = &client->io;
    segment_link_open(&io->segments, &client->connection, io->session, CONNECTION_CLIENT,
                      client->session_id, io->life);
    atomic_store(&client->shares, io->segments.connected);
}

int sockets_sign(struct ipcl_client *client, enum client_socket index, struct message *message,
                 struct ipcl_error *error)
{
    return seal_sign(&client->io.seals[index], message, client->session_id, SESSION_ID_LENGTH,
                     client->connection.sealed, error);
}

int sockets_introduce(struct ipcl_client *client, struct message *message, struct ipcl_error *error)
{
    return seal_introduce(&client->io.seals[SOCKET_QUERY], message, client->session_id,
                          SESSION_ID_LENGTH, client->connection.sealed, error);
}

int sockets_open(struct ipcl_client *client, const struct sockets_handlers *handlers,
                 struct ipcl_error *error)
{
    struct client_io *io = &client->io;
    struct curve curve;
    if (open_way(client, error))
        return -1;
    bool encrypted = connection_is_encrypted(&client->connection);
    io->session = session_create(client->connection.key, strlen(client->connection.key),
                                 client->connection.signature_scheme, client->serial,
                                 client->session_id, error);
    if (!io->session || (encrypted && make_curve(client, &curve, error)))
        return -1;
    open_seals(client);
    io->json = !strcmp(client->serial->traits_name, "json");
    io->loop = loop_create("client", error);
    if (!io->loop)
        return -1;
    for (int index = 0; index < SOCKET_COUNT; index++)
        if (open_one(client, index, encrypted ? &curve : NULL, handlers, error))
            return -1;
    if (loop_add_fd(io->loop, client->wake_fd, handlers->woken, client) ||
        (io->tunnel && loop_add_fd(io->loop, tunnel_fd(io->tunnel), handlers->tunnel, client)))
        return ipcl_error_set(error, "a client's thread cannot be woken");
    return 0;
}

void sockets_close(struct ipcl_client *client)
{
    struct client_io *io = &client->io;
    int briefly = SOCKET_LINGER_MS_MIN;
    for (int index = 0; index < SOCKET_COUNT; index++) {
        if (!io->monitors[index])
            continue;
        zmq_socket_monitor(io->sockets[index], NULL, 0);
        if (index != SOCKET_QUERY)
            zmq_close(io->monitors[index]);
    }
    for (int index = 0; index < SOCKET_COUNT; index++)
        if (io->sockets[index] && (io->lost_since_ms || !io->handshakes))
            zmq_setsockopt(io->sockets[index], ZMQ_LINGER, &briefly, sizeof(briefly));
    loop_destroy(io->loop); /* closes the sockets, and the monitor of the query socket */
    reach_destroy(io->reach);
    io->reach = NULL;
    if (io->context)
        while (zmq_ctx_term(io->context) && errno == EINTR)
            ;
    io->context = NULL;
    segment_link_close(&io->segments);
    tunnel_close(io->tunnel, io->lost_since_ms || !io->handshakes ? 0 : TUNNEL_LINGER_MS);
    for (int index = 0; index < SOCKET_COUNT; index++)
        seal_release(&io->seals[index]);
    session_destroy(io->session);
}

void sockets_drain(struct ipcl_client *client)
{
    for (int index = 0; index < SOCKET_COUNT; index++)
        loop_drain(client->io.loop, client->io.sockets[index]);
}

int sockets_connect_one(struct ipcl_client *client, enum client_socket index,
                        struct ipcl_error *error)
{
    char url[CONNECTION_TEXT_BYTES + 16];
    if (!client->io.sockets[index])
        return 0;
    return connection_url(&client->connection, port_of(client, index), url, error)
               ? -1
               : socket_connect(client->io.sockets[index], url, error);
}

void sockets_refuse(struct ipcl_client *client, const char *reason)
{
    atomic_fetch_add(&client->refused, 1);
    log_limited(&client->io.refusal_limit, IPCL_LOG_WARN,
                "a message from the controller was dropped: %s", reason);
    struct ipcl_event event = {.kind = IPCL_EVENT_REFUSED,
                               .msg_type = "",
                               .parent_id = "",
                               .content = reason,
                               .metadata = "{}",
                               .engine_id = -1,
                               .engine_uuid = ""};
    client_emit(client, &event);
}

bool sockets_verify(struct ipcl_client *client, enum client_socket index, struct message *message)
{
    struct seal *seal = &client->io.seals[index];
    bool published = index == SOCKET_NOTIFICATION || index == SOCKET_IOPUB;
    enum session_verdict verdict =
        published ? published_verify(seal, message)
                  : seal_verify(seal, message, client->session_id, SESSION_ID_LENGTH);
    /* A controller that has just taken another's place has not said yet that it has. */
    bool early = published && verdict == SESSION_STALE &&
                 (client->io.lost_since_ms || *client->io.restart.asked_engines);
    if (verdict != SESSION_ACCEPTED && !early)
        sockets_refuse(client, session_verdict_text(verdict));
    return verdict == SESSION_ACCEPTED;
}
