/* The watcher's notice that an engine has ended. Its process has one thread, which owns the
 * socket. */
#include "engine/end_notice.h"

#include <string.h>

#include "plugin/registry.h"
#include "wire/serializer.h"

/* How long the notice may take to leave. ipyparallel's nanny waits as long. */
#define LINGER_MS 3000

void end_notice_send(const struct end_notice *notice)
{
    struct ipcl_error error;
    struct curve curve = {0};
    struct message message;
    char url[CONNECTION_TEXT_BYTES + 16];
    const struct connection *connection = &notice->news->connection;
    struct registry *registry = registry_create(notice->profile_dir, &error);
    const struct ipcl_serial_operations *serial =
        registry ? serializer_load(registry, connection->pack, connection->unpack, &error) : NULL;
    struct socket_options options = {.type = ZMQ_DEALER, .linger_ms = LINGER_MS};
    if (connection_is_encrypted(connection)) {
        if (curve_generate(&curve, &error))
            return;
        memcpy(curve.server_key, connection->curve_serverkey, CURVE_KEY_BYTES);
        options.curve = &curve;
    }
    struct session *session =
        serial ? session_create(connection->key, strlen(connection->key),
                                connection->signature_scheme, serial, NULL, &error)
               : NULL;
    const struct socket_needs needs = {.who = "the watcher", .io_threads = 1, .descriptors = 2};
    void *context = socket_context(&needs, &error);
    options.identity = session ? session_id(session) : NULL;
    options.identity_size = SESSION_ID_LENGTH;
    void *socket = session && context ? socket_create(context, &options, &error) : NULL;
    if (!socket || connection_url(connection, connection->registration, url, &error) ||
        socket_connect(socket, url, &error))
        return;
    message_init(&message);
    struct registration_end end = {.id = notice->news->id,
                                   .uuid = notice->news->uuid,
                                   .route = notice->news->route,
                                   .died = true,
                                   .cause = notice->cause,
                                   .reason = notice->reason,
                                   .begun = notice->begun};
    struct seal seal = {.session = session,
                        .channel = SEAL_HUB,
                        .role = CONNECTION_ENGINE,
                        .encrypted = *connection->curve_serverkey};
    if (!registration_build_end(session, &end, &message, &error) &&
        !seal_introduce(&seal, &message, options.identity, options.identity_size,
                        connection->sealed, &error))
        message_send(&message, socket);
    zmq_close(socket);
    zmq_ctx_term(context); /* lingers until the notice has left */
}
