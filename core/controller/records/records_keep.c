/* Puts what the hub says has happened into the records of requests. The records thread. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "controller/delivery/reply.h"
#include "controller/records/records.h"
#include "wire/segment.h"

static void records_release_frame(void *owner)
{
    zmq_msg_close(owner);
    free(owner);
}

struct ipcl_buffer *records_buffers(struct message *message, size_t *count)
{
    size_t total = message_buffer_count(message);
    struct ipcl_buffer *buffers = total ? calloc(total, sizeof(*buffers)) : NULL;
    *count = 0;
    for (size_t i = 0; buffers && i < total; i++) {
        zmq_msg_t *frame = malloc(sizeof(*frame));
        if (!frame)
            break;
        zmq_msg_init(frame);
        zmq_msg_copy(frame, message_buffer(message, i));
        /* A record outlives every program. */
        if (segment_is_reference(frame) && segment_open(frame))
            message_replace(frame, "", 0);
        buffers[(*count)++] = (struct ipcl_buffer){.data = zmq_msg_data(frame),
                                                   .size = zmq_msg_size(frame),
                                                   .owner = frame,
                                                   .release = records_release_frame};
    }
    return buffers;
}

int records_append_buffer(struct message *message, const struct ipcl_buffer *buffer)
{
    return buffer->release == records_release_frame
               ? message_append_reference(message, buffer->owner)
               : message_append(message, buffer->data, buffer->size);
}

/* Unpacks a part, and adds its size to the record's. */
static json_t *part_of(struct records *records, struct message *message, enum message_part part,
                       struct ipcl_record *record)
{
    zmq_msg_t *frame = message_part(message, part);
    json_t *value = session_unpack(records->session, frame, NULL);
    record->field_bytes += frame ? zmq_msg_size(frame) : 0;
    return value ? value : json_object();
}

static void set_text(json_t *fields, const char *key, const char *text)
{
    json_object_set_new(fields, key, json_string(text));
}

static void set_member(json_t *fields, const char *key, const json_t *mapping, const char *member)
{
    json_t *value = json_object_get(mapping, member);
    if (json_is_string(value))
        json_object_set(fields, key, value);
}

static void set_now(json_t *fields, const char *key)
{
    char date[CLOCK_DATE_BYTES];
    clock_date(date);
    set_text(fields, key, date);
}

static void set_date(json_t *fields, const char *key, const json_t *mapping, const char *member)
{
    char date[CLOCK_DATE_BYTES];
    const char *text = json_string_value(json_object_get(mapping, member));
    if (text && clock_normalize(text, date))
        set_text(fields, key, date);
}

/* Sets the request's header, which comes with the request or with its reply, and the fields that
 * are read from it. */
static void set_header(struct records *records, struct message *message, enum message_part part,
                       struct ipcl_record *record)
{
    json_t *header = part_of(records, message, part, record);
    set_date(record->fields, "submitted", header, "date");
    set_member(record->fields, "client_uuid", header, "session");
    json_object_set_new(record->fields, "header", header);
}

static const char *queue_name(enum report_queue queue)
{
    switch (queue) {
    case REPORT_TASK:
        return "task";
    default:
        return "mux";
    }
}

static void keep_request(struct records *records, const struct records_item *item,
                         struct message *message)
{
    struct ipcl_record record = {.fields = json_object()};
    set_header(records, message, MESSAGE_HEADER, &record);
    json_t *metadata = part_of(records, message, MESSAGE_METADATA, &record);
    if (json_object_get(metadata, "label"))
        json_object_set(record.fields, "label", json_object_get(metadata, "label"));
    json_object_set_new(record.fields, "metadata", metadata);
    json_object_set_new(record.fields, "content",
                        part_of(records, message, MESSAGE_CONTENT, &record));
    set_text(record.fields, "queue", queue_name(item->report.queue));
    if (*item->engine)
        set_text(record.fields, "engine_uuid", item->engine);
    record.buffers = records_buffers(message, &record.buffer_count);
    records_put(records, item->report.text, &record);
}

/* Sets an error in place of a reply that will not come, or whose content is not known. */
static void set_error(json_t *fields, const char *engine, const char *why)
{
    json_t *header = json_object(), *metadata = json_pack("{s:s}", "status", "error");
    set_now(header, "date");
    if (*engine) {
        set_text(header, "engine", engine);
        set_text(metadata, "engine", engine);
        set_text(fields, "engine_uuid", engine);
    }
    json_object_set_new(fields, "result_header", header);
    json_object_set_new(fields, "result_metadata", metadata);
    json_object_set_new(fields, "result_content", reply_error_content("EngineError", why));
    set_now(fields, "completed");
    set_now(fields, "received");
}

void records_put_error(struct records *records, const char *msg_id, const char *engine,
                       const char *why)
{
    struct ipcl_record record = {.fields = json_object()};
    set_error(record.fields, engine, why);
    records_put(records, msg_id, &record);
}

static void keep_death(struct records *records, const struct records_item *item,
                       struct message *message)
{
    /* If the reply could not be built, nothing stands behind its report. */
    records_put_error(records, item->report.text, item->engine,
                      message_frame_count(message) > 1
                          ? zmq_msg_data(message_frame(message, 1))
                          : "the controller could not build this request's answer");
}

static void keep_reply(struct records *records, const struct records_item *item,
                       struct message *message)
{
    struct ipcl_record record = {.fields = json_object()};
    /* The reply has the request's header, too: so a result can be found even if its request was not
     * recorded. */
    set_header(records, message, MESSAGE_PARENT, &record);
    if (!message_is_whole(message)) {
        set_error(
            record.fields, item->engine,
            "the request was answered, but its result was not recorded: the store was too slow");
        records_put(records, item->report.text, &record);
        return;
    }
    json_t *header = part_of(records, message, MESSAGE_HEADER, &record),
           *metadata = part_of(records, message, MESSAGE_METADATA, &record);
    set_now(record.fields, "completed");
    set_date(record.fields, "completed", header, "date");
    set_now(record.fields, "received");
    set_date(record.fields, "started", metadata, "started");
    set_member(record.fields, "engine_uuid", metadata, "engine");
    json_object_set_new(record.fields, "result_header", header);
    json_object_set_new(record.fields, "result_metadata", metadata);
    json_object_set_new(record.fields, "result_content",
                        part_of(records, message, MESSAGE_CONTENT, &record));
    record.result_buffers = records_buffers(message, &record.result_buffer_count);
    records_put(records, item->report.text, &record);
}

static void keep_engine(struct records *records, const struct records_item *item)
{
    records->handed_out += item->report.queue == REPORT_TASK;
    /* An engine "" is one that has gone meanwhile. */
    bool taken_back = item->report.engine < 0;
    struct ipcl_record record = {
        .fields = json_pack("{s:s?}", "engine_uuid", taken_back ? NULL : item->engine)};
    records_put(records, item->report.text, &record);
}

static void keep_output(struct records *records, const struct records_item *item,
                        struct message *message)
{
    struct ipcl_record record = {.fields = json_object()};
    json_t *header = part_of(records, message, MESSAGE_HEADER, &record),
           *content = part_of(records, message, MESSAGE_CONTENT, &record);
    const char *type = json_string_value(json_object_get(header, "msg_type"));
    const char *name = json_string_value(json_object_get(content, "name"));
    if (!type)
        type = "";
    if (!strcmp(type, "stream") && name && (!strcmp(name, "stdout") || !strcmp(name, "stderr")))
        set_member(record.fields, name, content, "text");
    else if (!strcmp(type, "error") || !strcmp(type, "execute_result"))
        json_object_set(record.fields, type, content);
    else if (!strcmp(type, "execute_input"))
        set_member(record.fields, "execute_input", content, "code");
    json_decref(header);
    json_decref(content);
    if (json_object_size(record.fields))
        records_put(records, item->report.text, &record);
    else
        json_decref(record.fields);
}

void records_keep(struct records *records, const struct records_item *item, struct message *message)
{
    switch (item->report.kind) {
    case REPORT_SUBMITTED:
        keep_request(records, item, message);
        break;
    case REPORT_ASSIGNED:
        keep_engine(records, item);
        break;
    case REPORT_DONE:
        if (message_has_delimiter(message))
            keep_reply(records, item, message);
        else
            keep_death(records, item, message);
        break;
    case REPORT_OUTPUT:
        keep_output(records, item, message);
        break;
    case REPORT_KNOWN:
        records->hooks->know(records, item->engine);
        break;
    case REPORT_BORN:
        json_object_set_new(records->engines, item->engine, json_true());
        break;
    case REPORT_STOPPED:
        json_object_del(records->engines, item->engine);
        records->hooks->lose(records, item->engine);
        break;
    case REPORT_RESTORED: /* this one and the next are for the hub alone */
    case REPORT_FORGOTTEN:
    case REPORT_CLOSED:
    case REPORT_WAITING:
        break;
    }
}
