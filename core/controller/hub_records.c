/* What the hub puts into a store: a record for each request, completed by its reply and by what its
 * engine published. */
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "base/clock.h"
#include "controller/hub.h"
#include "controller/reply.h"

/* The keys of a record (ipyparallel's task record), empty. */
static json_t *empty_fields(const char *msg_id)
{
    static const char *const keys[] = {
        "header",         "metadata",        "content",        "submitted",   "client_uuid",
        "engine_uuid",    "started",         "completed",      "resubmitted", "received",
        "result_header",  "result_metadata", "result_content", "queue",       "execute_input",
        "execute_result", "error",
    };
    json_t *fields = json_pack("{s:s s:s s:s}", "msg_id", msg_id, "stdout", "", "stderr", "");
    for (size_t i = 0; i < sizeof(keys) / sizeof(*keys); i++)
        json_object_set_new(fields, keys[i], json_null());
    return fields;
}

static void release_frame(void *owner)
{
    zmq_msg_close(owner);
    free(owner);
}

/* The message's buffers by reference: a malloc'ed array whose contents a store takes over. NULL
 * with *count 0 where there are none. */
static struct ipcl_buffer *buffers_of(struct message *message, size_t *count)
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
        buffers[(*count)++] = (struct ipcl_buffer){.data = zmq_msg_data(frame),
                                                   .size = zmq_msg_size(frame),
                                                   .owner = frame,
                                                   .release = release_frame};
    }
    return buffers;
}

static json_t *part_of(struct hub *hub, struct message *frames, enum message_part part)
{
    json_t *value = session_unpack(hub->session, message_part(frames, part), NULL);
    return value ? value : json_object();
}

static void set_from(json_t *fields, const char *key, const json_t *mapping, const char *member)
{
    json_t *value = json_object_get(mapping, member);
    if (value)
        json_object_set(fields, key, value);
}

/* Adds a record, or changes the one that is there, and takes over `record`'s fields. */
static void put(struct hub *hub, const char *msg_id, struct ipcl_record *record)
{
    const struct ipcl_store_operations *store = hub->controller->store;
    struct ipcl_error error;
    bool there = store->get(hub->controller->records, msg_id) != NULL;
    if (!there) {
        json_t *fields = empty_fields(msg_id);
        json_object_update(fields, record->fields);
        json_decref(record->fields);
        record->fields = fields;
    }
    int status = there ? store->update(hub->controller->records, msg_id, record, &error)
                       : store->add(hub->controller->records, msg_id, record, &error);
    if (status)
        log_limited(&hub->store_trouble, IPCL_LOG_WARN, "hub: a record cannot be kept: %s",
                    error.text);
    json_decref(record->fields);
}

static void record_request(struct hub *hub, const struct report_record *report,
                           struct message *frames)
{
    const struct engine *engine =
        report->engine < 0 ? NULL : engines_by_id(&hub->engines, report->engine);
    struct ipcl_record record = {.fields = json_object()};
    json_t *header = part_of(hub, frames, MESSAGE_HEADER);
    set_from(record.fields, "submitted", header, "date");
    set_from(record.fields, "client_uuid", header, "session");
    json_object_set_new(record.fields, "header", header);
    json_object_set_new(record.fields, "metadata", part_of(hub, frames, MESSAGE_METADATA));
    json_object_set_new(record.fields, "content", part_of(hub, frames, MESSAGE_CONTENT));
    json_object_set_new(record.fields, "queue",
                        json_string(report->queue == REPORT_TASK ? "task" : "mux"));
    if (engine)
        json_object_set_new(record.fields, "engine_uuid", json_string(engine->uuid));
    record.buffers = buffers_of(frames, &record.buffer_count);
    put(hub, report->text, &record);
    free(record.buffers);
}

static void set_now(json_t *fields, const char *key)
{
    char date[CLOCK_DATE_BYTES];
    clock_date(date);
    json_object_set_new(fields, key, json_string(date));
}

static void record_reply(struct hub *hub, const struct report_record *report,
                         struct message *frames)
{
    struct ipcl_record record = {.fields = json_object()};
    json_t *header = part_of(hub, frames, MESSAGE_HEADER),
           *metadata = part_of(hub, frames, MESSAGE_METADATA);
    set_now(record.fields, "completed");
    set_from(record.fields, "completed", header, "date");
    set_now(record.fields, "received");
    set_from(record.fields, "started", metadata, "started");
    set_from(record.fields, "engine_uuid", metadata, "engine");
    json_object_set_new(record.fields, "result_header", header);
    json_object_set_new(record.fields, "result_metadata", metadata);
    json_object_set_new(record.fields, "result_content", part_of(hub, frames, MESSAGE_CONTENT));
    record.result_buffers = buffers_of(frames, &record.result_buffer_count);
    put(hub, report->text, &record);
    free(record.result_buffers);
}

static void record_engine(struct hub *hub, const struct report_record *report)
{
    const struct engine *engine = engines_by_id(&hub->engines, report->engine);
    struct ipcl_record record = {.fields = json_object()};
    if (engine)
        json_object_set_new(record.fields, "engine_uuid", json_string(engine->uuid));
    put(hub, report->text, &record);
}

/* Adds text to what a stream has so far. */
static void add_stream(struct hub *hub, const char *msg_id, const json_t *content, json_t *fields)
{
    const struct ipcl_record *known = hub->controller->store->get(hub->controller->records, msg_id);
    const char *name = json_string_value(json_object_get(content, "name"));
    const char *text = json_string_value(json_object_get(content, "text"));
    if (!name || !text || (strcmp(name, "stdout") && strcmp(name, "stderr")))
        return;
    const char *before = known ? json_string_value(json_object_get(known->fields, name)) : NULL;
    json_object_set_new(fields, name, json_sprintf("%s%s", before ? before : "", text));
}

static void record_output(struct hub *hub, const struct report_record *report,
                          struct message *frames)
{
    struct ipcl_record record = {.fields = json_object()};
    json_t *header = part_of(hub, frames, MESSAGE_HEADER),
           *content = part_of(hub, frames, MESSAGE_CONTENT);
    const char *type = json_string_value(json_object_get(header, "msg_type"));
    if (!type)
        type = "";
    if (!strcmp(type, "stream"))
        add_stream(hub, report->text, content, record.fields);
    else if (!strcmp(type, "error") || !strcmp(type, "execute_result"))
        json_object_set(record.fields, type, content);
    else if (!strcmp(type, "execute_input"))
        set_from(record.fields, "execute_input", content, "code");
    json_decref(header);
    json_decref(content);
    if (json_object_size(record.fields))
        put(hub, report->text, &record);
    else
        json_decref(record.fields);
}

void hub_record(struct hub *hub, const struct report_record *report, struct message *frames)
{
    switch (report->kind) {
    case REPORT_SUBMITTED:
        record_request(hub, report, frames);
        break;
    case REPORT_ASSIGNED:
        record_engine(hub, report);
        break;
    case REPORT_DONE:
        record_reply(hub, report, frames);
        break;
    case REPORT_OUTPUT:
        record_output(hub, report, frames);
        break;
    default:
        break;
    }
}

void hub_record_death(struct hub *hub, const struct engine *engine)
{
    const struct request *request;
    char text[256];
    if (!hub->controller->store)
        return;
    DL_FOREACH (engine->pending[REPORT_DIRECT], request) {
        struct ipcl_record record = {.fields = json_object()};
        snprintf(text, sizeof(text), "engine %d (%s) died while running task %.80s", engine->id,
                 engine->uuid, request->msg_id);
        set_now(record.fields, "completed");
        json_object_set_new(record.fields, "engine_uuid", json_string(engine->uuid));
        json_object_set_new(record.fields, "result_header",
                            json_pack("{s:s}", "engine", engine->uuid));
        json_object_set_new(record.fields, "result_content",
                            reply_error_content("EngineError", text));
        put(hub, request->msg_id, &record);
    }
}
