/* After the connection to the controller was lost and is back: which engines there are now, and
 * which of our requests anybody still knows. I/O thread.
 *
 * The controller may be the same. Or it is another in its place, which knows only what engines tell
 * it when they register again. So we ask twice: at once, whether it is the same; and after engines
 * have had time to come back, which engines it has and which requests are pending (ipyparallel's
 * connection_request and queue_request). Our controllers say by themselves, in their answer or
 * later, which engines of the previous controller have ended, and how. A request that is not
 * pending and was not answered is lost, with its answer or before it ran. A task is sent again, and
 * the controller says whether it may run (again); anything else fails with a sentence, and does not
 * stay pending for ever. */
#include <string.h>

#include "base/clock.h"
#include "client/await_private.h"
#include "client/engines_private.h"
#include "client/restart_private.h"
#include "client/send_private.h"
#include "client/sockets_private.h"

/* How long engines and replies may take to come back. */
#define RETURN_MS 12000
/* How often to ask for requests that were pending when the connection was lost, and still are. */
#define ASK_AGAIN_MS 15000

static int send_query(struct ipcl_client *client, const char *msg_type, const char *content,
                      char msg_id[MESSAGE_ID_LENGTH + 1])
{
    struct message message;
    struct session_parts parts = {.msg_type = msg_type, .msg_id = msg_id};
    json_t *value = content ? json_loads(content, 0, NULL) : NULL;
    parts.content = value;
    session_message_id(client->session_id, atomic_fetch_add(&client->next_number, 1), msg_id);
    message_init(&message);
    bool introduces = !strcmp(msg_type, "connection_request");
    int status = session_build(client->io.session, &message, &parts, NULL, NULL) ||
                 (introduces ? sockets_introduce(client, &message, NULL)
                             : sockets_sign(client, SOCKET_QUERY, &message, NULL)) ||
                 message_send(&message, client->io.sockets[SOCKET_QUERY]);
    message_close(&message);
    json_decref(value);
    return status ? -1 : 0;
}

/* The hub's session, which is another with each controller. */
static void read_hub_session(const struct ipcl_client *client, struct message *message,
                             char session[SESSION_ID_LENGTH + 1])
{
    struct ipcl_member member = {.name = "session"};
    *session = '\0';
    if (session_find(client->io.session, message_part(message, MESSAGE_HEADER), &member, 1) ||
        member.state != IPCL_MEMBER_TEXT || member.size > SESSION_ID_LENGTH)
        return;
    memcpy(session, member.data, member.size);
    session[member.size] = '\0';
}

void restart_note_hub(struct ipcl_client *client, struct message *message)
{
    read_hub_session(client, message, client->io.restart.hub_session);
}

void restart_begin(struct ipcl_client *client)
{
    struct client_restart *restart = &client->io.restart;
    restart->number = atomic_load(&client->next_number);
    restart->asked_pending[0] = '\0';
    restart->judge_ms = 0;
    restart->due_ms = clock_ms() + RETURN_MS;
    send_query(client, "connection_request", "{\"connections\": 0}", restart->asked_engines);
    restart->final = restart->widened = false;
}

/* Marks the requests that a list names. */
static void mark(struct ipcl_client *client, const json_t *list)
{
    const json_t *msg_id;
    size_t index;
    json_array_foreach (list, index, msg_id) {
        const char *text = json_string_value(msg_id);
        struct ipcl_future *future = text ? await_find(client, text, strlen(text)) : NULL;
        if (future)
            future->known = true;
    }
}

static void take_pending(struct ipcl_client *client, struct message *message)
{
    struct client_restart *restart = &client->io.restart;
    json_t *content =
        session_unpack(client->io.session, message_part(message, MESSAGE_CONTENT), NULL);
    const char *key;
    json_t *value;
    restart->asked_pending[0] = '\0';
    if (!json_is_string(json_object_get(content, "status")) ||
        strcmp(json_string_value(json_object_get(content, "status")), "ok")) {
        json_decref(content);
        return;
    }
    json_object_foreach (content, key, value) {
        mark(client, json_is_array(value) ? value : NULL); /* those that no engine has */
        mark(client, json_object_get(value, "queue"));
        mark(client, json_object_get(value, "tasks"));
    }
    json_decref(content);
    /* Replies may be on their way on other connections. */
    restart->judge_ms = clock_ms() + LAST_REPLIES_MS;
}

bool restart_receive(struct ipcl_client *client, struct message *message)
{
    struct client_restart *restart = &client->io.restart;
    struct ipcl_member parent = {.name = "msg_id"};
    char session[SESSION_ID_LENGTH + 1];
    if ((!*restart->asked_engines && !*restart->asked_pending) ||
        session_find(client->io.session, message_part(message, MESSAGE_PARENT), &parent, 1) ||
        parent.state != IPCL_MEMBER_TEXT || parent.size != MESSAGE_ID_LENGTH)
        return false;
    if (!memcmp(parent.data, restart->asked_pending, MESSAGE_ID_LENGTH)) {
        take_pending(client, message);
        return true;
    }
    if (memcmp(parent.data, restart->asked_engines, MESSAGE_ID_LENGTH))
        return false;
    restart->asked_engines[0] = '\0';
    read_hub_session(client, message, session);
    if (strcmp(session, restart->hub_session)) {
        log_info("another controller has taken the place of the previous one of %s", client->path);
        strcpy(restart->hub_session, session);
    }
    engines_take(client, message, restart->final);
    return true;
}

static void ask(struct ipcl_client *client, long long now_ms)
{
    struct client_restart *restart = &client->io.restart;
    restart->due_ms = 0;
    if (client->io.lost_since_ms)
        return;
    if (!restart->final) {
        send_query(client, "connection_request", "{\"connections\": 0}", restart->asked_engines);
        restart->final = true;
    } else if (!restart->widened) {
        /* What was asked while engines came back is in doubt, too. */
        restart->number = restart->next_number;
        restart->widened = true;
    }
    restart->next_number = atomic_load(&client->next_number);
    if (restart->widened && !await_any_before(&client->io, restart->number))
        return;
    send_query(client, "queue_request", "{\"verbose\": true}", restart->asked_pending);
    restart->due_ms = now_ms + ASK_AGAIN_MS;
}

void restart_tick(struct ipcl_client *client)
{
    struct client_restart *restart = &client->io.restart;
    long long now_ms = restart->due_ms || restart->judge_ms ? clock_ms() : 0;
    if (restart->due_ms && now_ms >= restart->due_ms)
        ask(client, now_ms);
    if (!restart->judge_ms || now_ms < restart->judge_ms)
        return;
    restart->judge_ms = 0;
    sockets_drain(client);
    await_fail_unknown(client, restart->number, send_again,
                       "the connection to the controller was lost, and the controller does not "
                       "know this request any more: submit it again");
}
