/* Leaving, for a client whose tasks are not kept: its waiting requests are dropped. I/O thread.
 *
 * The task scheduler knows which tasks these are. Engines are told which requests have not been
 * answered. They drop those that wait, and those that come later, because control messages may
 * overtake others. Nothing waits for their answers. */
#include "client/leave_private.h"

#include <string.h>

#include "client/engines_private.h"
#include "client/sockets_private.h"

/* `engine` "": to the task scheduler. Takes over `content`. */
static void ask(struct ipcl_client *client, enum client_socket socket, const char *engine,
                json_t *content)
{
    struct message message;
    char msg_id[MESSAGE_ID_LENGTH + 1];
    struct session_parts parts = {
        .msg_type = "abort_request", .msg_id = msg_id, .content = content};
    session_message_id(client->session_id, atomic_fetch_add(&client->next_number, 1), msg_id);
    message_init(&message);
    if (!content || (*engine && message_append(&message, engine, strlen(engine))) ||
        session_build(client->io.session, &message, &parts, NULL, NULL) ||
        sockets_sign(client, socket, &message, NULL) ||
        message_send(&message, client->io.sockets[socket]))
        log_warn("requests of this client that wait may still run: %s cannot be told that the "
                 "client leaves",
                 *engine ? "an engine" : "the scheduler");
    message_close(&message);
    json_decref(content);
}

/* Adds a request to those that its engine is to drop. */
static void add(struct client_io *io, const struct ipcl_future *future)
{
    struct known_engine *engine;
    HASH_FIND_STR(io->engines, future->engine_uuid, engine);
    if (!engine || engine->fail_at_ms)
        return;
    if (!engine->left)
        engine->left = json_array();
    json_array_append_new(engine->left, json_string(ipcl_future_id(future)));
}

void leave_cluster(struct ipcl_client *client)
{
    struct client_io *io = &client->io;
    size_t tasks = io->open_tasks;
    for (struct ipcl_future *future = io->awaited; future; future = future->hh.next)
        if (!ipcl_future_ready(future) &&
            (future->channel == IPCL_CHANNEL_DIRECT || future->channel == IPCL_CHANNEL_BROADCAST))
            add(io, future);
    if (tasks && client->connection.task_aborts)
        ask(client, SOCKET_TASK, "", json_pack("{s:b}", "leaving", 1));
    for (struct known_engine *engine = io->engines; engine; engine = engine->hh.next) {
        if (engine->left)
            ask(client, SOCKET_CONTROL, engine->uuid, json_pack("{s:o}", "msg_ids", engine->left));
        engine->left = NULL;
    }
}
