/* The I/O thread's sockets: opening them, waiting for the controller's answer, and watching the
 * connection. */
#include "client/client.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "wire/published.h"

/* What was submitted just before closing still has this long to go out. */
#define LINGER_MS 1000
/* And so long to pass through a tunnel: ssh takes in what the network has yet to carry. */
#define TUNNEL_LINGER_MS 3000
/* How often a handshake may fail before we give up on the address. */
#define CONNECTIONS_MAX 3
#define POLL_SLICE_MS   100
/* A controller that is there listens at once: it did before it wrote its file. */
#define REFUSAL_MS 2000
/* When to find out why nothing is reached. */
#define DOUBT_MS        500
#define CHOICE_SLICE_MS 20

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
static int watch(struct io *io, enum client_socket index, struct ipcl_error *error)
{
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
    return io->monitors[index] ? socket_connect(io->monitors[index], address, error) : -1;
}

static int port_of(const struct ipcl_client *client, enum client_socket index)
{
    return *(const int *)((const char *)&client->connection + socket_table[index].port);
}

/* Makes a socket, which is not connected yet. */
static int open_one(struct ipcl_client *client, enum client_socket index, const struct curve *curve,
                    struct ipcl_error *error)
{
    struct io *io = &client->io;
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
    if (!io->sockets[index])
        return -1;
    /* Of what engines publish: their output. Status comes under other topics, and replies tell how
     * much output there is. */
    const char *topic = index == SOCKET_IOPUB ? "engine." : "";
    if (options.type == ZMQ_SUB &&
        zmq_setsockopt(io->sockets[index], ZMQ_SUBSCRIBE, topic, strlen(topic)))
        return ipcl_error_set(error, "cannot subscribe: %s", zmq_strerror(errno));
    io->expected |= 1u << index;
    return watch(io, index, error);
}

static int connect_one(struct ipcl_client *client, enum client_socket index,
                       struct ipcl_error *error)
{
    char url[CONNECTION_TEXT_BYTES + 16];
    if (!client->io.sockets[index])
        return 0;
    return connection_url(&client->connection, port_of(client, index), url, error)
               ? -1
               : socket_connect(client->io.sockets[index], url, error);
}

static int find_descriptor(void *socket, struct pollfd *polled, struct ipcl_error *error)
{
    size_t size = sizeof(polled->fd);
    *polled = (struct pollfd){.fd = -1, .events = POLLIN};
    if (socket && zmq_getsockopt(socket, ZMQ_FD, &polled->fd, &size))
        return ipcl_error_set(error, "cannot poll a socket: %s", zmq_strerror(errno));
    return 0;
}

static int open_tunnel(struct ipcl_client *client, struct ipcl_error *error)
{
    struct io *io = &client->io;
    io->polled[POLLED_TUNNEL] = (struct pollfd){.fd = -1, .events = POLLIN};
    if (!client->tunnelled)
        return 0;
    io->tunnel = tunnel_open(&client->connection, client->ssh_key, client->timeout_ms,
                             &client->closing, error);
    if (!io->tunnel)
        return -1;
    io->polled[POLLED_TUNNEL].fd = tunnel_fd(io->tunnel);
    return 0;
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

int sockets_open(struct ipcl_client *client, struct ipcl_error *error)
{
    struct io *io = &client->io;
    struct curve curve;
    bool encrypted = *client->connection.curve_serverkey;
    if (open_tunnel(client, error))
        return -1;
    io->session = session_create(client->connection.key, strlen(client->connection.key),
                                 client->connection.signature_scheme, client->serial,
                                 client->session_id, error);
    if (!io->session || (encrypted && make_curve(client, &curve, error)))
        return -1;
    open_seals(client);
    io->json = !strcmp(client->serial->traits_name, "json");
    for (int index = 0; index < SOCKET_COUNT; index++)
        if (open_one(client, index, encrypted ? &curve : NULL, error) ||
            find_descriptor(io->sockets[index], &io->polled[index], error))
            return -1;
    io->polled[POLLED_WAKE] = (struct pollfd){.fd = client->wake_fd, .events = POLLIN};
    io->used = (1u << SOCKET_COUNT) - 1;
    return find_descriptor(io->monitors[SOCKET_QUERY], &io->polled[POLLED_MONITOR], error);
}

void sockets_close(struct ipcl_client *client)
{
    struct io *io = &client->io;
    int briefly = SOCKET_LINGER_MS_MIN;
    for (int index = 0; index < SOCKET_COUNT; index++) {
        if (!io->monitors[index])
            continue;
        zmq_socket_monitor(io->sockets[index], NULL, 0);
        zmq_close(io->monitors[index]);
    }
    for (int index = 0; index < SOCKET_COUNT; index++) {
        if (!io->sockets[index])
            continue;
        if (io->lost_since_ms || !io->handshakes)
            zmq_setsockopt(io->sockets[index], ZMQ_LINGER, &briefly, sizeof(briefly));
        zmq_close(io->sockets[index]);
    }
    reach_destroy(io->reach);
    io->reach = NULL;
    if (io->context)
        while (zmq_ctx_term(io->context) && errno == EINTR)
            ;
    io->context = NULL;
    tunnel_close(io->tunnel, io->lost_since_ms || !io->handshakes ? 0 : TUNNEL_LINGER_MS);
    for (int index = 0; index < SOCKET_COUNT; index++)
        seal_release(&io->seals[index]);
    session_destroy(io->session);
    struct known_engine *engine, *next;
    HASH_ITER (hh, io->engines, engine, next) {
        HASH_DEL(io->engines, engine);
        free(engine->end);
        free(engine);
    }
    struct packed_text *caches[] = {&io->content_cache, &io->metadata_cache};
    for (size_t i = 0; i < sizeof(caches) / sizeof(*caches); i++) {
        free(caches[i]->text);
        free(caches[i]->packed);
    }
}

/* One event of zmq_socket_monitor(3). Returns its number, 0 where there is none. */
static int read_event(void *monitor)
{
    struct message message;
    uint16_t event = 0;
    uint32_t value;
    message_init(&message);
    if (!message_recv(&message, monitor, ZMQ_DONTWAIT))
        message_read_event(&message, &event, &value);
    message_close(&message);
    return event;
}

void sockets_read_monitors(struct ipcl_client *client)
{
    struct io *io = &client->io;
    for (int index = 0; index < SOCKET_COUNT; index++) {
        for (int event; io->monitors[index] && (event = read_event(io->monitors[index]));) {
            if (event == ZMQ_EVENT_HANDSHAKE_SUCCEEDED) {
                io->handshakes |= 1u << index;
                if (index == SOCKET_QUERY && io->lost_since_ms)
                    restart_begin(client);
                if (index == SOCKET_QUERY) {
                    io->lost_since_ms = 0;
                    client_set_reach(client, false);
                }
            } else if (event == ZMQ_EVENT_CONNECTED) {
                io->reached = true;
            } else if (!(io->handshakes & 1u << index)) {
                io->connections += index == SOCKET_QUERY;
                io->turned_away |= index != SOCKET_QUERY;
                io->rejected |= event != ZMQ_EVENT_DISCONNECTED &&
                                event != ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL;
            } else if (index == SOCKET_QUERY && event == ZMQ_EVENT_DISCONNECTED &&
                       !io->lost_since_ms) {
                io->lost_since_ms = clock_ms();
                io->held = true;
                client_set_reach(client, true);
            }
        }
    }
}

/* Waits for the next event of connecting: a monitor's, the hub's answer, or closing. */
static void wait_a_moment(struct ipcl_client *client)
{
    struct io *io = &client->io;
    zmq_pollitem_t items[SOCKET_COUNT + 2] = {
        {.socket = io->sockets[SOCKET_QUERY], .events = ZMQ_POLLIN},
        {.fd = client->wake_fd, .events = ZMQ_POLLIN}};
    int count = 2;
    for (int index = 0; index < SOCKET_COUNT; index++)
        if (io->monitors[index])
            items[count++] = (zmq_pollitem_t){.socket = io->monitors[index], .events = ZMQ_POLLIN};
    zmq_poll(items, count, POLL_SLICE_MS);
    sockets_read_monitors(client);
}

/* No address of the controller's answers. */
static int explain(const struct ipcl_client *client, struct ipcl_error *error)
{
    reach_explain(client->io.reach, &client->connection, client->path,
                  "it has stopped without removing its file; start a cluster (ipcluster start)",
                  "come through SSH (sshserver of the client, or --ssh=HOST of the controller)",
                  clock_ms(), error);
    return -1;
}

/* Something listens there, with which no connection stands. */
static int explain_no_handshake(const struct ipcl_client *client, const char *url,
                                struct ipcl_error *error)
{
    if (client->io.rejected)
        return ipcl_error_set(error,
                              "the controller at %s does not accept the key in %s and says so: the "
                              "file is of another cluster, "
                              "or of one that ran before at this address",
                              url, client->path);
    if (client->io.connections)
        return ipcl_error_set(error,
                              "the controller at %s ends the connection before it has begun: it is "
                              "full, which its log says (it has "
                              "no file descriptor left), or it does not accept the key in %s: the "
                              "file is of another cluster, or of "
                              "one that ran before at this address",
                              url, client->path);
    return ipcl_error_set(
        error,
        "what listens at %s, the controller's address in %s, does not begin to talk within %.1f s: "
        "it is "
        "stopped, has no file descriptor left for this connection, or is no controller",
        url, client->path, client->timeout_ms / 1000.0);
}

static int give_up(const struct ipcl_client *client, bool timed_out, struct ipcl_error *error)
{
    const struct io *io = &client->io;
    char url[CONNECTION_TEXT_BYTES + 16];
    if (connection_url(&client->connection, client->connection.registration, url, error))
        return -1;
    if (atomic_load(&client->closing))
        return ipcl_error_set(error, "connecting to %s was interrupted", url);
    if (io->tunnel && !(io->handshakes & 1u << SOCKET_QUERY) && *tunnel_words(io->tunnel))
        return ipcl_error_set(
            error,
            "the controller of %s cannot be reached through the tunnel: it has stopped without removing "
            "its file; start a cluster (ssh says: %s)",
            client->path, tunnel_words(io->tunnel));
    if (!io->reached && connection_check_name(&client->connection, error))
        return -1;
    if (!io->reached && io->reach && !reach_has_answered(io->reach) && !reach_is_refused(io->reach))
        return explain(client, error);
    if (!io->reached)
        return ipcl_error_set(
            error,
            "nothing listens at %s, the controller's address in %s: it has stopped without removing "
            "its file; start a cluster (ipcluster start)",
            url, client->path);
    if (!(io->handshakes & 1u << SOCKET_QUERY))
        return explain_no_handshake(client, url, error);
    if (io->turned_away && io->handshakes != io->expected)
        return ipcl_error_set(
            error,
            "the controller at %s is full: it has no file descriptor left for all connections of "
            "this client; end "
            "clients or engines that are not needed, or start it with a higher limit (ulimit -n)",
            url);
    if (timed_out)
        return ipcl_error_set(
            error,
            "the controller at %s did not answer within %.1f s: the file %s may be of another cluster, "
            "whose key it does not accept; or it is very busy, and a longer time-out helps",
            url, client->timeout_ms / 1000.0, client->path);
    return ipcl_error_set(error, "the connection to the controller at %s ended", url);
}

/* Asks for the engines; a controller that has no room for `connections` more refuses. */
static int send_connection_request(struct ipcl_client *client, int connections,
                                   char msg_id[MESSAGE_ID_LENGTH + 1], struct ipcl_error *error)
{
    struct message message;
    session_message_id(client->session_id, atomic_fetch_add(&client->next_number, 1), msg_id);
    json_t *content = json_pack("{s:i}", "connections", connections);
    struct session_parts parts = {
        .msg_type = "connection_request", .msg_id = msg_id, .content = content};
    message_init(&message);
    int status = session_build(client->io.session, &message, &parts, NULL, error) ||
                         sockets_introduce(client, &message, error)
                     ? -1
                     : 0;
    if (!status && message_send(&message, client->io.sockets[SOCKET_QUERY]))
        status = ipcl_error_set(error, "cannot send to the controller: %s", zmq_strerror(errno));
    message_close(&message);
    json_decref(content);
    return status;
}

/* Returns 1 where the hub has answered `msg_id`, 0 where not yet, or -1 with `error` set. */
static int read_answer(struct ipcl_client *client, const char *msg_id, struct ipcl_error *error)
{
    struct message message;
    int status = 0;
    message_init(&message);
    while (!status && !message_recv(&message, client->io.sockets[SOCKET_QUERY], ZMQ_DONTWAIT)) {
        struct ipcl_member parent = {.name = "msg_id"};
        if (receive_verify(client, SOCKET_QUERY, &message) &&
            !session_find(client->io.session, message_part(&message, MESSAGE_PARENT), &parent, 1) &&
            parent.state == IPCL_MEMBER_TEXT && parent.size == MESSAGE_ID_LENGTH &&
            !memcmp(parent.data, msg_id, MESSAGE_ID_LENGTH))
            status = receive_connection_reply(client, &message, error) ? -1 : 1;
    }
    message_close(&message);
    return status;
}

/* From now on only the query socket's connection tells whether the controller is there. */
static void stop_watching(struct io *io)
{
    for (int index = SOCKET_QUERY + 1; index < SOCKET_COUNT; index++) {
        if (!io->monitors[index])
            continue;
        zmq_socket_monitor(io->sockets[index], NULL, 0);
        zmq_close(io->monitors[index]);
        io->monitors[index] = NULL;
    }
}

/* The other connections, once the controller has room for them. */
static int connect_others(struct ipcl_client *client, struct ipcl_error *error)
{
    for (int index = SOCKET_QUERY + 1; index < SOCKET_COUNT; index++)
        if (connect_one(client, index, error))
            return -1;
    return 0;
}

/* Whether it is known after a while that nothing is reached; where a firewall is silent, that takes
 * all the time that there is. */
static bool has_failed(const struct ipcl_client *client, long long waited_ms)
{
    const struct io *io = &client->io;
    if (io->reached || waited_ms < DOUBT_MS)
        return false;
    if (io->reach)
        reach_try(io->reach, clock_ms());
    return waited_ms >= REFUSAL_MS && (!io->reach || reach_has_failed(io->reach));
}

/* Asks the hub once the sockets in `connected` are, and waits for the answer. Returns 0 or -1 with
 * `error` set. */
static int ask(struct ipcl_client *client, unsigned connected, int connections, long long start_ms,
               struct ipcl_error *error)
{
    struct io *io = &client->io;
    char msg_id[MESSAGE_ID_LENGTH + 1] = "";
    for (int answered = 0;;) {
        long long waited = clock_ms() - start_ms;
        if (atomic_load(&client->closing) || waited >= client->timeout_ms || io->lost_since_ms ||
            (!io->handshakes && (io->connections >= CONNECTIONS_MAX || has_failed(client, waited))))
            return give_up(client, waited >= client->timeout_ms, error);
        if (io->tunnel && tunnel_check(io->tunnel, error))
            return -1;
        if (!*msg_id && (io->handshakes & connected) == connected &&
            send_connection_request(client, connections, msg_id, error))
            return -1;
        if (*msg_id)
            answered = read_answer(client, msg_id, error);
        if (answered)
            return answered < 0 ? -1 : 0;
        wait_a_moment(client);
    }
}

/* Makes the first of the controller's addresses that answers its location. Returns 0 or -1 with
 * `error` set. */
static int choose_address(struct ipcl_client *client, long long start_ms, struct ipcl_error *error)
{
    struct io *io = &client->io;
    const char *answered;
    io->reach = reach_create(&client->connection, client->connection.registration, io->context);
    if (!reach_has_choice(io->reach))
        return 0;
    while (!(answered = reach_try(io->reach, clock_ms()))) {
        long long waited_ms = clock_ms() - start_ms;
        if (atomic_load(&client->closing))
            return ipcl_error_set(error, "connecting to the controller of %s was interrupted",
                                  client->path);
        if (waited_ms >= client->timeout_ms || has_failed(client, waited_ms))
            return explain(client, error);
        poll(NULL, 0, CHOICE_SLICE_MS);
    }
    reach_take(&client->connection, answered);
    reach_destroy(io->reach);
    io->reach = NULL;
    return 0;
}

int sockets_connect(struct ipcl_client *client, struct ipcl_error *error)
{
    struct io *io = &client->io;
    long long start = clock_ms();
    int others = __builtin_popcount(io->expected) - 1;
    /* First whether we may come; then, once both subscriptions stand, who is there: no engine that
     * comes or goes after the answer is missed, nor output. */
    if (choose_address(client, start, error) || connect_one(client, SOCKET_QUERY, error) ||
        ask(client, 1u << SOCKET_QUERY, others, start, error) || connect_others(client, error) ||
        ask(client, io->expected, 0, start, error))
        return -1;
    stop_watching(io);
    reach_destroy(io->reach);
    io->reach = NULL;
    return 0;
}
