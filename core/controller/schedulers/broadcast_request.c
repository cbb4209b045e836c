/* Broadcast requests: what a client sent, and what each engine gets. */
#include "controller/schedulers/broadcast_request.h"

#include <stdlib.h>
#include <string.h>

/* How many targets a request may name. Engines that have gone, and names that come twice, count:
 * each is answered. */
#define TARGETS_MAX 16384

/* A uuid becomes part of a msg_id, which JSON must hold without escapes. */
static bool needs_escapes(const char *uuid)
{
    for (; *uuid; uuid++)
        if ((unsigned char)*uuid < ' ' || (unsigned char)*uuid > '~' || strchr("\"\\/", *uuid))
            return true;
    return false;
}

/* One target: ipyparallel's [uuid, id], or a uuid. Returns 0 or -1. */
static int read_target(const json_t *value, struct broadcast_target *target)
{
    const json_t *uuid = json_is_array(value) ? json_array_get(value, 0) : value;
    const json_t *id = json_is_array(value) ? json_array_get(value, 1) : NULL;
    size_t length = json_string_length(uuid);
    if (!length || length >= sizeof(target->uuid) || strlen(json_string_value(uuid)) != length ||
        needs_escapes(json_string_value(uuid)) || (id && !json_is_integer(id)))
        return -1;
    memcpy(target->uuid, json_string_value(uuid), length + 1);
    target->id = id ? json_integer_value(id) : -1;
    return 0;
}

static const char *broadcast_read_targets(struct broadcast_request *request, const json_t *list)
{
    static const char wrong[] =
        "the metadata of a broadcast has targets, a list of engines: [uuid, id] of each";
    const json_t *value;
    size_t index;
    if (!json_is_array(list))
        return wrong;
    if (json_array_size(list) > TARGETS_MAX)
        return "a broadcast names at most 16384 engines: send several";
    json_t *seen = json_object();
    request->targets = calloc(json_array_size(list) + 1, sizeof(*request->targets));
    if (!seen || !request->targets) {
        json_decref(seen);
        return "the controller is out of memory";
    }
    json_array_foreach (list, index, value) {
        struct broadcast_target *target = &request->targets[request->count];
        if (read_target(value, target)) {
            json_decref(seen);
            return wrong;
        }
        if (json_object_get(seen, target->uuid))
            continue;
        json_object_set_new(seen, target->uuid, json_true());
        request->count++;
    }
    json_decref(seen);
    return request->count ? NULL : "the broadcast names no engine";
}

/* Replaces the client's metadata by what engines get: without the targets, which may be a thousand,
 * and with the broadcast that the request is a part of. */
static const char *replace_metadata(struct broadcast_request *request, json_t *metadata)
{
    const struct ipcl_serial_operations *serial = session_serial(request->session);
    zmq_msg_t *part = message_part(request->message, MESSAGE_METADATA);
    size_t size;
    json_object_del(metadata, "targets");
    json_object_set_new(metadata, "original_msg_id",
                        json_stringn(request->msg_id, request->msg_id_size));
    char *packed = serial->pack(metadata, &size, NULL);
    int failed = !packed || message_replace(part, packed, size);
    free(packed);
    return failed ? "the controller is out of memory" : NULL;
}

const char *broadcast_request_read(struct broadcast_request *request, struct session *session,
                                   struct message *message)
{
    struct ipcl_member msg_id = {.name = "msg_id"};
    zmq_msg_t *header = message_part(message, MESSAGE_HEADER);
    *request = (struct broadcast_request){.session = session, .message = message};
    if (session_find(session, header, &msg_id, 1) || msg_id.state != IPCL_MEMBER_TEXT ||
        !msg_id.size || msg_id.size > REPORT_TEXT_MAX - ENGINE_UUID_BYTES)
        return "a broadcast's msg_id has 1 to 191 bytes";
    request->msg_id = msg_id.data;
    request->msg_id_size = msg_id.size;
    request->header = session_unpack(session, header, &request->error);
    json_t *metadata =
        request->header
            ? session_unpack(session, message_part(message, MESSAGE_METADATA), &request->error)
            : NULL;
    const char *wrong = NULL;
    if (!metadata)
        wrong = request->error.text;
    else if (!json_is_object(request->header) || !json_is_object(metadata))
        wrong = "a broadcast's header and metadata are mappings";
    request->coalescing = json_is_true(json_object_get(metadata, "is_coalescing"));
    if (!wrong)
        wrong = broadcast_read_targets(request, json_object_get(metadata, "targets"));
    if (!wrong)
        wrong = replace_metadata(request, metadata);
    json_decref(metadata);
    return wrong;
}

void broadcast_request_release(struct broadcast_request *request)
{
    json_decref(request->header);
    free(request->targets);
    free(request->packed);
}

void broadcast_request_id(const struct broadcast_request *request, const char *uuid,
                          char id[REPORT_TEXT_MAX + 1])
{
    snprintf(id, REPORT_TEXT_MAX + 1, "%.*s_%s", (int)request->msg_id_size, request->msg_id, uuid);
}

/* Packs the header for this engine, and notes where the next one's uuid can be written over it. */
static int pack_header(struct broadcast_request *request, const char *uuid)
{
    const struct ipcl_serial_operations *serial = session_serial(request->session);
    struct ipcl_member msg_id = {.name = "msg_id"};
    char id[REPORT_TEXT_MAX + 1];
    broadcast_request_id(request, uuid, id);
    free(request->packed);
    request->packed = NULL;
    request->uuid_size = 0;
    if (json_object_set_new(request->header, "msg_id", json_string(id)))
        return -1;
    request->packed = serial->pack(request->header, &request->packed_size, NULL);
    if (!request->packed)
        return -1;
    if (!serial->find(request->packed, request->packed_size, &msg_id, 1) &&
        msg_id.state == IPCL_MEMBER_TEXT && msg_id.size == strlen(id)) {
        request->uuid_size = strlen(uuid);
        request->uuid_offset =
            (size_t)(msg_id.data - request->packed) + msg_id.size - request->uuid_size;
    }
    return 0;
}

const char *broadcast_request_header(struct broadcast_request *request, const char *uuid,
                                     size_t *size)
{
    size_t length = strlen(uuid);
    if (request->packed && request->uuid_size == length)
        memcpy(request->packed + request->uuid_offset, uuid, length);
    else if (pack_header(request, uuid))
        return NULL;
    *size = request->packed_size;
    return request->packed;
}

int broadcast_request_part(struct broadcast_request *request, const char *uuid,
                           struct message *part)
{
    struct message *message = request->message;
    size_t size;
    const char *header = broadcast_request_header(request, uuid, &size);
    if (!header || message_append(part, uuid, strlen(uuid)) ||
        message_append_reference(part, message_peer(message)))
        return -1;
    return message_append_body_as(part, message, header, size);
}
