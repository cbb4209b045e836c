/* Asking engines without an event loop, against a hub and engines that a thread of the test is. */
#include <criterion/criterion.h>
#include <pthread.h>
#include <string.h>

#include <zmq.h>

#include "cluster/watch/hub_watch.h"
#include "unit.h"
#include "wire/connection.h"
#include "wire/session.h"

#define KEY "key"

static struct connection connection = {.key = KEY,
                                       .signature_scheme = "hmac-sha256",
                                       .pack = "json",
                                       .unpack = "json",
                                       .registration = 1,
                                       .control = 2,
                                       .mux = 3,
                                       .task = 4,
                                       .iopub = 5,
                                       .notification = 6,
                                       .broadcast = {7},
                                       .broadcast_count = 1};

static void *bind_to(void *context, int port)
{
    char url[CONNECTION_TEXT_BYTES + 16];
    struct ipcl_error error;
    void *socket = zmq_socket(context, ZMQ_ROUTER);
    cr_assert_eq(connection_url(&connection, port, url, &error), 0, "%s", error.text);
    cr_assert_eq(zmq_bind(socket, url), 0, "%s", zmq_strerror(errno));
    return socket;
}

/* Whoever sent the request hears the answer; whichever engine that was for. */
static void answer(struct session *session, void *socket, struct message *request, const char *type,
                   json_t *content)
{
    zmq_msg_t *parent = message_part(request, MESSAGE_HEADER);
    struct session_parts parts = {.msg_type = type,
                                  .parent = zmq_msg_data(parent),
                                  .parent_size = zmq_msg_size(parent),
                                  .content = content};
    struct ipcl_error error;
    struct message reply;
    message_init(&reply);
    cr_assert_eq(message_append_reference(&reply, message_peer(request)), 0);
    cr_assert_eq(session_build(session, &reply, &parts, NULL, &error), 0, "%s", error.text);
    cr_assert_eq(session_sign(session, &reply, &error), 0, "%s", error.text);
    cr_assert_eq(message_send(&reply, socket), 0);
    message_close(&reply);
    json_decref(content);
}

/* The first engine answers when the second is asked, which answers that it works. */
static void *serve(void *context)
{
    struct ipcl_error error;
    struct session *session = session_create(KEY, strlen(KEY), connection.signature_scheme,
                                             unit_serial("json"), NULL, &error);
    void *hub = bind_to(context, connection.registration);
    void *engines = bind_to(context, connection.control);
    struct message first, second;
    message_init(&first);
    message_init(&second);
    cr_assert_eq(message_recv(&first, hub, 0), 0);
    answer(session, hub, &first, "connection_reply",
           json_pack("{s:s s:{}}", "status", "ok", "engines"));
    cr_assert_eq(message_recv(&first, engines, 0), 0);
    cr_assert_eq(message_recv(&second, engines, 0), 0);
    answer(session, engines, &first, "shutdown_reply", json_pack("{s:s}", "status", "ok"));
    answer(session, engines, &second, "shutdown_reply", json_pack("{s:s}", "status", "busy"));
    message_close(&first);
    message_close(&second);
    session_destroy(session);
    zmq_close(hub);
    zmq_close(engines);
    return NULL;
}

/* As that of a controller which seals nothing, such as ipyparallel's. */
static void write_file(const char *path)
{
    struct ipcl_error error;
    cr_assert_eq(connection_write(path, CONNECTION_CLIENT, &connection, &error), 0, "%s",
                 error.text);
    json_t *content = json_load_file(path, 0, NULL);
    json_object_del(content, "sealed");
    cr_assert_eq(json_dump_file(content, path, 0), 0);
    json_decref(content);
}

Test(hub_alone, an_answer_that_comes_late_is_not_that_of_the_engine_that_is_asked_next)
{
    char folder[PATH_BYTES], path[PATH_BYTES + 16];
    struct ipcl_error error;
    pthread_t thread;
    unit_make_folder(folder);
    snprintf(connection.interface, sizeof(connection.interface), "ipc://%.64s/s", folder);
    snprintf(path, sizeof(path), "%s/client.json", folder);
    write_file(path);
    void *context = zmq_ctx_new();
    cr_assert_eq(pthread_create(&thread, NULL, serve, context), 0);
    struct registry *registry = registry_create(NULL, &error);
    json_t *engines = json_pack("[{s:s} {s:s}]", "uuid", "first", "uuid", "second");
    cr_assert_eq(hub_end_idle(registry, path, engines, 2, 3000, &error), 0, "%s", error.text);
    pthread_join(thread, NULL);
    for (size_t i = 0; i < 2; i++)
        cr_expect(json_is_false(json_object_get(json_array_get(engines, i), "ends")), "%zu", i);
    json_decref(engines);
    registry_destroy(registry);
    zmq_ctx_term(context);
    unit_remove_folder(folder);
}
