/* The connection to the hub of a controller: a DEALER for queries, a DEALER for control messages, a
 * SUB for the hub's notifications, and the seals of their messages. */
#include "cluster/watch/hub_link.h"

#include <string.h>
#include <zmq.h>

#include "base/log.h"
#include "base/secret.h"
#include "wire/local.h"
#include "wire/published.h"
#include "wire/reach.h"
#include "wire/serializer.h"
#include "wire/socket.h"

/* How long the addresses of a controller on another host may take to answer. */
#define REACH_MS 2000

/* Three sockets, each with a connection, their loop, and descriptors of processes that are being
 * started. More engines do not need more: so the limit is not raised, and engines inherit it
 * unchanged. */
#define OWN_DESCRIPTORS 14

/* Returns a socket connected to one of the hub's ports, or NULL with `error` set. */
static void *connect_port(struct hub_link *link, int type, int port, struct ipcl_error *error)
{
    struct curve curve = {.server = false};
    struct socket_options options = {.type = type,
                                     .linger_ms = 200,
                                     .identity = session_id(link->session),
                                     .identity_size = SESSION_ID_LENGTH};
    char url[CONNECTION_TEXT_BYTES + 16];
    if (connection_is_encrypted(&link->connection)) {
        if (curve_generate(&curve, error) < 0)
            return NULL;
        memcpy(curve.server_key, link->connection.curve_serverkey, sizeof(curve.server_key));
        curve.server = false;
        options.curve = &curve;
    }
    if (connection_url(&link->connection, port, url, error) < 0)
        return NULL;
    void *socket = socket_create(link->context, &options, error);
    explicit_bzero(&curve, sizeof(curve));
    if (socket && socket_connect(socket, url, error) < 0) {
        zmq_close(socket);
        return NULL;
    }
    if (socket && type == ZMQ_SUB)
        zmq_setsockopt(socket, ZMQ_SUBSCRIBE, "", 0);
    return socket;
}

static int open_session(struct hub_link *link, struct registry *registry, const char *path,
                        struct ipcl_error *error)
{
    struct connection *connection = &link->connection;
    link->path = path;
    secret_hide(connection, sizeof(*connection));
    if (connection_read(path, CONNECTION_CLIENT, connection, error) < 0)
        return -1;
    const struct ipcl_serial_operations *serial =
        serializer_load(registry, connection->pack, connection->unpack, error);
    if (!serial)
        return -1;
    link->session = session_create(connection->key, strlen(connection->key),
                                   connection->signature_scheme, serial, NULL, error);
    if (!link->session)
        return -1;
    link->query_seal = (struct seal){.session = link->session,
                                     .channel = SEAL_HUB,
                                     .role = CONNECTION_CLIENT,
                                     .required = connection->sealed,
                                     .encrypted = *connection->curve_serverkey,
                                     .life = link->life};
    link->control_seal = link->query_seal;
    link->control_seal.channel = SEAL_CONTROL;
    link->notification_seal = link->query_seal;
    link->notification_seal.channel = SEAL_NOTIFICATION;
    link->notification_seal =
        published_sink(link->notification_seal, connection->sealed, link->life);
    return 0;
}

static void hub_message_release(struct hub_message *message)
{
    json_decref(message->header);
    json_decref(message->parent);
    json_decref(message->metadata);
    json_decref(message->content);
}

static void hand_over(struct hub_link *link, const void *socket, struct message *message)
{
    struct hub_message read = {
        .header = session_unpack(link->session, message_part(message, MESSAGE_HEADER), NULL),
        .parent = session_unpack(link->session, message_part(message, MESSAGE_PARENT), NULL),
        .metadata = session_unpack(link->session, message_part(message, MESSAGE_METADATA), NULL),
        .content = session_unpack(link->session, message_part(message, MESSAGE_CONTENT), NULL)};
    read.type = json_string_value(json_object_get(read.header, "msg_type"));
    read.answers = json_string_value(json_object_get(read.parent, "msg_id"));
    link->take(link->self, socket, &read);
    hub_message_release(&read);
}

static void receive(struct hub_link *link, const void *socket, enum session_verdict verdict,
                    struct message *message)
{
    static struct log_limit limit;
    if (verdict == SESSION_ACCEPTED)
        hand_over(link, socket, message);
    else if (socket == link->notification && verdict == SESSION_STALE)
        link->take(link->self, socket, NULL);
    else
        log_limited(&limit, IPCL_LOG_WARN, "a message from the hub was dropped: %s",
                    session_verdict_text(verdict));
}

static void on_notification(void *self, struct message *message)
{
    struct hub_link *link = self;
    receive(link, link->notification, published_verify(&link->notification_seal, message), message);
}

static void on_answer(void *self, struct message *message)
{
    struct hub_link *link = self;
    receive(link, link->query,
            seal_verify(&link->query_seal, message, session_id(link->session), SESSION_ID_LENGTH),
            message);
}

static void on_engine_answer(void *self, struct message *message)
{
    struct hub_link *link = self;
    receive(link, link->control,
            seal_verify(&link->control_seal, message, session_id(link->session), SESSION_ID_LENGTH),
            message);
}

void hub_link_read(struct hub_link *link)
{
    loop_turn(link->loop);
}

static int open_sockets(struct hub_link *link, struct ipcl_error *error)
{
    const struct socket_needs needs = {
        .who = "ipcluster", .io_threads = 1, .descriptors = OWN_DESCRIPTORS};
    link->context = socket_context(&needs, error);
    if (!link->context)
        return -1;
    link->loop = loop_create("ipcluster", error);
    if (!link->loop)
        return -1;
    local_choose(&link->connection, link->connection.registration);
    reach_choose(&link->connection, link->connection.registration, link->context, REACH_MS);
    link->notification = connect_port(link, ZMQ_SUB, link->connection.notification, error);
    if (loop_add(link->loop, link->notification, on_notification, link))
        return -1;
    link->query = connect_port(link, ZMQ_DEALER, link->connection.registration, error);
    if (loop_add_open(link->loop, link->query, on_answer, link))
        return -1;
    link->control = connect_port(link, ZMQ_DEALER, link->connection.control, error);
    return loop_add_open(link->loop, link->control, on_engine_answer, link);
}

int hub_link_open(struct hub_link *link, struct registry *registry, const char *path,
                  struct ipcl_error *error)
{
    int outcome = open_session(link, registry, path, error);
    return outcome < 0 ? outcome : open_sockets(link, error);
}

/* Under the name that its sockets have. */
static int sign_request(struct hub_link *link, const void *socket, const char *msg_type,
                        struct message *message, struct ipcl_error *error)
{
    const char *name = session_id(link->session);
    bool sealed = link->connection.sealed;
    if (!strcmp(msg_type, "connection_request"))
        return seal_introduce(&link->query_seal, message, name, SESSION_ID_LENGTH, sealed, error);
    return seal_sign(socket == link->query ? &link->query_seal : &link->control_seal, message, name,
                     SESSION_ID_LENGTH, sealed, error);
}

const char *hub_link_send(struct hub_link *link, void *socket, const char *engine,
                          const char *msg_type, const json_t *content)
{
    struct session_parts parts = {.msg_type = msg_type, .content = content};
    struct ipcl_error error;
    struct message message;
    message_init(&message);
    bool failed = (engine && message_append(&message, engine, strlen(engine)) < 0) ||
                  session_build(link->session, &message, &parts, link->asked, &error) < 0 ||
                  sign_request(link, socket, msg_type, &message, &error) < 0 ||
                  message_send(&message, socket) < 0;
    if (failed)
        log_debug("%s could not be sent", msg_type);
    message_close(&message);
    return failed ? NULL : link->asked;
}

void hub_link_close(struct hub_link *link)
{
    loop_destroy(link->loop);
    if (link->context)
        zmq_ctx_term(link->context);
    seal_release(&link->query_seal);
    seal_release(&link->control_seal);
    seal_release(&link->notification_seal);
    session_destroy(link->session);
}

void hub_link_note_life(struct hub_link *link, const json_t *content)
{
    unsigned char life[SEAL_LIFE_BYTES];
    if (seal_read_life(json_string_value(json_object_get(content, "life")), life) ||
        !memcmp(life, link->life, sizeof(life)))
        return;
    memcpy(link->life, life, sizeof(life));
    published_begin(&link->notification_seal,
                    (uint64_t)json_integer_value(json_object_get(content, "notified")));
}
