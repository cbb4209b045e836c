/* Replies in an engine's place. */
#include "controller/delivery/reply.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"

void reply_request_of(struct message *message, struct reply_request *request)
{
    memset(request, 0, sizeof(*request));
    request->client = zmq_msg_data(message_peer(message));
    request->client_size = zmq_msg_size(message_peer(message));
    if (message_identities(message) > 1) {
        request->engine = zmq_msg_data(message_partner(message));
        request->engine_size = zmq_msg_size(message_partner(message));
    }
    zmq_msg_t *header = message_part(message, MESSAGE_HEADER);
    request->header = zmq_msg_data(header);
    request->header_size = zmq_msg_size(header);
}

/* Text as JSON, also if it quotes bytes that are not UTF-8, or is cut within a character. */
static json_t *text_of(const char *text)
{
    char ascii[IPCL_ERROR_BYTES];
    size_t length = 0;
    json_t *string = json_string(text);
    if (string)
        return string;
    for (; length < sizeof(ascii) - 1 && text[length]; length++)
        ascii[length] = text[length] >= ' ' && text[length] <= '~' ? text[length] : '?';
    ascii[length] = '\0';
    return json_string(ascii);
}

/* The names of our clients are their sessions; other clients have none. */
static bool is_called_by_session(struct session *session, struct message *reply)
{
    struct ipcl_member member = {.name = "session"};
    zmq_msg_t *client = message_peer(reply);
    return !session_find(session, message_part(reply, MESSAGE_PARENT), &member, 1) &&
           member.state == IPCL_MEMBER_TEXT && member.size == SESSION_ID_LENGTH &&
           zmq_msg_size(client) == member.size &&
           !memcmp(member.data, zmq_msg_data(client), member.size);
}

int reply_sign(struct seal *seal, struct message *reply, bool restarted)
{
    zmq_msg_t *client = message_peer(reply);
    const void *name = zmq_msg_data(client);
    size_t size = zmq_msg_size(client);
    bool sealed =
        seal_knows(seal, name, size) || (restarted && is_called_by_session(seal->session, reply));
    return seal_sign(seal, reply, name, size, sealed, NULL);
}

json_t *reply_error_content(const char *ename, const char *evalue)
{
    /* The engine_info stays empty: ipyparallel's client looks the uuid up among the registered
     * engines, and fails if it is not there. */
    return json_pack("{s:s s:s s:o s:[o] s:{}}", "status", "error", "ename", ename, "evalue",
                     text_of(evalue), "traceback", text_of(evalue), "engine_info");
}

/* "apply_request" gives "apply_reply"; what is no request is answered like an apply. */
void reply_type(struct session *session, const struct reply_request *request, char *type,
                size_t type_bytes)
{
    static const char suffix[] = "_request";
    struct ipcl_member member = {.name = "msg_type"};
    size_t stem = strlen("apply");
    const char *text = "apply";
    if (!session_serial(session)->find(request->header, request->header_size, &member, 1) &&
        member.state == IPCL_MEMBER_TEXT && member.size > strlen(suffix) &&
        member.size < type_bytes &&
        !memcmp(member.data + member.size - strlen(suffix), suffix, strlen(suffix))) {
        text = member.data;
        stem = member.size - strlen(suffix);
    }
    snprintf(type, type_bytes, "%.*s_reply", (int)stem, text);
}

int reply_make(struct session *session, struct message *message,
               const struct reply_request *request, const char *engine_uuid, const json_t *content)
{
    static _Thread_local struct log_limit trouble;
    char type[64], date[CLOCK_DATE_BYTES];
    struct ipcl_error error;
    reply_type(session, request, type, sizeof(type));
    clock_date(date);
    json_t *metadata = json_pack(
        "{s:O? s:b s:s s:o?}", "status", json_object_get(content, "status"), "dependencies_met", 1,
        "started", date, "engine", engine_uuid ? text_of(engine_uuid) : NULL);
    int failed =
        !metadata || !content || message_append(message, request->client, request->client_size) ||
        (request->engine && message_append(message, request->engine, request->engine_size));
    if (failed)
        ipcl_error_set(&error, "out of memory");
    struct session_parts parts = {
        .msg_type = type,
        .parent = request->header,
        .parent_size = request->header_size,
        .metadata = metadata,
        .content = content,
    };
    failed = failed || session_build(session, message, &parts, NULL, &error);
    json_decref(metadata);
    if (!failed)
        return 0;
    log_limited(&trouble, IPCL_LOG_ERROR, "a reply cannot be built: %s", error.text);
    message_clear(message); /* no half of one is sent, or recorded */
    return -1;
}

int reply_make_error(struct session *session, struct message *message,
                     const struct reply_request *request, const char *engine_uuid,
                     const char *ename, const char *evalue)
{
    json_t *content = reply_error_content(ename, evalue);
    int status = reply_make(session, message, request, engine_uuid, content);
    json_decref(content);
    return status;
}

int reply_lost(struct session *session, struct message *message, const struct ipcl_member *client,
               const struct ipcl_member *msg_id, const char *engine_uuid, bool named,
               const char *evalue)
{
    struct reply_request request = {.client = client->data, .client_size = client->size};
    json_t *header = json_pack("{s:s%}", "msg_id", msg_id->data, msg_id->size);
    char *packed =
        header ? session_serial(session)->pack(header, &request.header_size, NULL) : NULL;
    if (named) {
        request.engine = engine_uuid;
        request.engine_size = strlen(engine_uuid);
    }
    request.header = packed;
    int status =
        packed ? reply_make_error(session, message, &request, engine_uuid, "ValueError", evalue)
               : -1;
    json_decref(header);
    free(packed);
    return status;
}
