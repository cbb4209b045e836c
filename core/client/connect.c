/* Connecting: waiting for the controller's answer, and watching the connection. I/O thread. */
#include "client/connect_private.h"

#include <errno.h>
#include <poll.h>
#include <string.h>

#include "base/clock.h"
#include "client/engines_private.h"
#include "client/restart_private.h"
#include "client/sockets_private.h"

/* How often a handshake may fail before we give up on the address. */
#define CONNECTIONS_MAX 3
#define POLL_SLICE_MS   100
/* A controller that is there listens at once: it did before it wrote its file. */
#define REFUSAL_MS 2000
/* When to find out why nothing is reached. */
#define DOUBT_MS        500
#define CHOICE_SLICE_MS 20

static void note_event(struct ipcl_client *client, enum client_socket index, uint16_t event)
{
    struct client_io *io = &client->io;
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
        io->rejected |=
            event != ZMQ_EVENT_DISCONNECTED && event != ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL;
    } else if (index == SOCKET_QUERY && event == ZMQ_EVENT_DISCONNECTED && !io->lost_since_ms) {
        io->lost_since_ms = clock_ms();
        io->held = true;
        client_set_reach(client, true);
    }
}

void connect_note_event(void *self, struct message *message)
{
    uint16_t event;
    uint32_t value;
    if (message_read_event(message, &event, &value))
        note_event(self, SOCKET_QUERY, event);
}

/* Takes note of connections that were made or ended, while connecting. */
static void read_monitors(struct ipcl_client *client)
{
    struct message message;
    uint16_t event;
    uint32_t value;
    message_init(&message);
    for (int index = 0; index < SOCKET_COUNT; index++)
        while (client->io.monitors[index] &&
               !message_recv(&message, client->io.monitors[index], ZMQ_DONTWAIT))
            if (message_read_event(&message, &event, &value))
                note_event(client, index, event);
    message_close(&message);
}

/* Waits for the next event of connecting: a monitor's, the hub's answer, or closing. */
static void wait_a_moment(struct ipcl_client *client)
{
    struct client_io *io = &client->io;
    zmq_pollitem_t items[SOCKET_COUNT + 2] = {
        {.socket = io->sockets[SOCKET_QUERY], .events = ZMQ_POLLIN},
        {.fd = client->wake_fd, .events = ZMQ_POLLIN}};
    int count = 2;
    for (int index = 0; index < SOCKET_COUNT; index++)
        if (io->monitors[index])
            items[count++] = (zmq_pollitem_t){.socket = io->monitors[index], .events = ZMQ_POLLIN};
    zmq_poll(items, count, POLL_SLICE_MS);
    read_monitors(client);
}

/* No address of the controller's answers. */
static int explain(const struct ipcl_client *client, struct ipcl_error *error)
{
    reach_explain(client->io.reach, &client->connection, client->path,
                  "it has stopped and left its file; start a cluster (ipcluster start)",
                  "connect through SSH (sshserver of the client, or --ssh=HOST of the controller)",
                  clock_ms(), error);
    return -1;
}

/* Something listens there, with which no connection stands. */
static int explain_no_handshake(const struct ipcl_client *client, const char *url,
                                struct ipcl_error *error)
{
    if (client->io.rejected)
        return ipcl_error_set(error,
                              "the controller at %s does not accept the key in %s: the file "
                              "belongs to another cluster, or to an earlier one at this address",
                              url, client->path);
    if (client->io.connections)
        return ipcl_error_set(error,
                              "the controller at %s ends the connection at once. Either it is "
                              "full (it has no file descriptor left; see its log), or it does "
                              "not accept the key in %s: the file belongs to another cluster, "
                              "or to an earlier one at this address",
                              url, client->path);
    return ipcl_error_set(
        error,
        "what listens at %s, the controller's address in %s, did not begin to talk within %.1f "
        "s: it is stopped, it has no file descriptor left for this connection, or it is not a "
        "controller",
        url, client->path, client->timeout_ms / 1000.0);
}

static int give_up(const struct ipcl_client *client, bool timed_out, struct ipcl_error *error)
{
    const struct client_io *io = &client->io;
    char url[CONNECTION_TEXT_BYTES + 16];
    if (connection_url(&client->connection, client->connection.registration, url, error))
        return -1;
    if (atomic_load(&client->closing))
        return ipcl_error_set(error, "connecting to %s was interrupted", url);
    if (io->tunnel && !(io->handshakes & 1u << SOCKET_QUERY) && *tunnel_words(io->tunnel))
        return ipcl_error_set(
            error,
            "the controller of %s cannot be reached through the tunnel: it has stopped and left "
            "its file; start a cluster (ssh says: %s)",
            client->path, tunnel_words(io->tunnel));
    if (!io->reached && connection_check_name(&client->connection, error))
        return -1;
    if (!io->reached && io->reach && !reach_has_answered(io->reach) && !reach_is_refused(io->reach))
        return explain(client, error);
    if (!io->reached)
        return ipcl_error_set(
            error,
            "nothing listens at %s, the controller's address in %s: it has stopped and left its "
            "file; start a cluster (ipcluster start)",
            url, client->path);
    if (!(io->handshakes & 1u << SOCKET_QUERY))
        return explain_no_handshake(client, url, error);
    if (io->turned_away && io->handshakes != io->expected)
        return ipcl_error_set(
            error,
            "the controller at %s is full: it has too few file descriptors left for the "
            "connections of this client; end clients or engines that are not needed, or start "
            "it with a higher limit (ulimit -n)",
            url);
    if (timed_out)
        return ipcl_error_set(
            error,
            "the controller at %s did not answer within %.1f s. The file %s may belong to "
            "another cluster, and the controller does not accept its key; or the controller is "
            "very busy, and a longer time-out helps",
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

static int take_answer(struct ipcl_client *client, struct message *message,
                       struct ipcl_error *error)
{
    restart_note_hub(client, message);
    return engines_take_first(client, message, error);
}

/* Returns 1 if the hub has answered `msg_id`, 0 if not yet, or -1 with `error` set. */
static int read_answer(struct ipcl_client *client, const char *msg_id, struct ipcl_error *error)
{
    struct message message;
    int status = 0;
    message_init(&message);
    while (!status && !message_recv(&message, client->io.sockets[SOCKET_QUERY], ZMQ_DONTWAIT)) {
        struct ipcl_member parent = {.name = "msg_id"};
        if (sockets_verify(client, SOCKET_QUERY, &message) &&
            !session_find(client->io.session, message_part(&message, MESSAGE_PARENT), &parent, 1) &&
            parent.state == IPCL_MEMBER_TEXT && parent.size == MESSAGE_ID_LENGTH &&
            !memcmp(parent.data, msg_id, MESSAGE_ID_LENGTH))
            status = take_answer(client, &message, error) ? -1 : 1;
    }
    message_close(&message);
    return status;
}

/* From now on only the query socket's connection tells whether the controller is there. */
static void stop_watching(struct client_io *io)
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
        if (sockets_connect_one(client, index, error))
            return -1;
    return 0;
}

/* Whether it is known that nothing can be reached. If a firewall does not answer, that takes the
 * whole time-out. */
static bool has_failed(const struct ipcl_client *client, long long waited_ms)
{
    const struct client_io *io = &client->io;
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
    struct client_io *io = &client->io;
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
    struct client_io *io = &client->io;
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

int connect_to_controller(struct ipcl_client *client, struct ipcl_error *error)
{
    struct client_io *io = &client->io;
    long long start = clock_ms();
    int others = __builtin_popcount(io->expected) - 1 + client->connection.local;
    /* First whether we may come; then, once both subscriptions stand, who is there: no engine that
     * comes or goes after the answer is missed, nor output. */
    if (choose_address(client, start, error) || sockets_connect_one(client, SOCKET_QUERY, error) ||
        ask(client, 1u << SOCKET_QUERY, others, start, error) || connect_others(client, error) ||
        ask(client, io->expected, 0, start, error))
        return -1;
    stop_watching(io);
    reach_destroy(io->reach);
    io->reach = NULL;
    return 0;
}
