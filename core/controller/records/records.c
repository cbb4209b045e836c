/* The records thread: owns the store. It hears from the hub (PULL, inproc) what happens to
 * requests, and answers what clients ask of their records (PUSH, inproc, back to the hub).
 *
 * However slow the store is, only this thread waits for it. */
#include "controller/records/records.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "controller/delivery/handouts.h"
#include "controller/delivery/reply.h"
#include "controller/restart/restored.h"
#include "controller/records/store.h"

/* The hub hears of what was dealt with at least after so many. */
#define SETTLED_MAX 64
/* How long the controller's end waits for what is yet to be recorded. */
#define FINISH_MS 5000

static void release_frame(void *owner)
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
        buffers[(*count)++] = (struct ipcl_buffer){.data = zmq_msg_data(frame),
                                                   .size = zmq_msg_size(frame),
                                                   .owner = frame,
                                                   .release = release_frame};
    }
    return buffers;
}

int records_append_buffer(struct message *message, const struct ipcl_buffer *buffer)
{
    return buffer->release == release_frame ? message_append_reference(message, buffer->owner)
                                            : message_append(message, buffer->data, buffer->size);
}

void records_count_lost(struct records *records, unsigned long long count, const char *why)
{
    handouts_doubt(records->controller->handouts);
    records->lost += count;
    log_limited(&records->trouble, IPCL_LOG_WARN,
                "records: %s (%llu changes of records are lost in all)", why, records->lost);
}

static void note_change(struct records *records)
{
    if (!records->changes++)
        records->commit_ms = clock_ms() + IPCL_STORE_COMMIT_MS;
}

void records_put(struct records *records, const char *msg_id, struct ipcl_record *record)
{
    struct ipcl_error error;
    services_expect(&error, "the store did not take it");
    if (records->store->put(records->controller->records, msg_id, record, &error))
        records_count_lost(records, 1, error.text);
    else
        note_change(records);
    json_decref(record->fields);
    free(record->buffers);
    free(record->result_buffers);
}

int records_find(struct records *records, const json_t *query, const json_t *keys,
                 bool (*found)(void *context, const struct ipcl_record *record), void *context,
                 struct ipcl_error *error)
{
    services_expect(error, "the store of records does not look for them");
    return records->store->find(records->controller->records, query, keys, found, context, error);
}

int records_commit(struct records *records, struct ipcl_error *error)
{
    services_expect(error, "the store did not commit them");
    int64_t lost =
        records->store->commit ? records->store->commit(records->controller->records, error) : 0;
    if (lost)
        records_count_lost(records, (unsigned long long)lost, error->text);
    else
        handouts_settle(records->controller->handouts, records->handed_out);
    records->changes = 0;
    records->untidy = records->store->tidy != NULL;
    return lost ? -1 : 0;
}

/* Unpacks a part and weighs it. */
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

/* The request's header, from itself or from its reply, and what is read from it. */
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

static void record_request(struct records *records, const struct records_item *item,
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

/* An error in place of a reply that will not come, or whose content is not known. */
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

static void record_death(struct records *records, const struct records_item *item,
                         struct message *message)
{
    struct ipcl_record record = {.fields = json_object()};
    /* A reply that could not be built has left nothing behind its report. */
    set_error(record.fields, item->engine,
              message->count > 1 ? zmq_msg_data(&message->frames[1])
                                 : "the controller could not build this request's answer");
    records_put(records, item->report.text, &record);
}

static void record_reply(struct records *records, const struct records_item *item,
                         struct message *message)
{
    struct ipcl_record record = {.fields = json_object()};
    /* It stands in the reply as well: so a result can be found whose request was not recorded. */
    set_header(records, message, MESSAGE_PARENT, &record);
    if (!message_part(message, MESSAGE_CONTENT)) {
        set_error(
            record.fields, item->engine,
            "the request was answered, but its result was not recorded: the store fell behind");
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

static void record_engine(struct records *records, const struct records_item *item)
{
    records->handed_out += item->report.queue == REPORT_TASK;
    /* "": an engine had it that has gone meanwhile. */
    bool taken_back = item->report.engine < 0;
    struct ipcl_record record = {
        .fields = json_pack("{s:s?}", "engine_uuid", taken_back ? NULL : item->engine)};
    records_put(records, item->report.text, &record);
}

static void record_output(struct records *records, const struct records_item *item,
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

struct holder {
    const char *engine;
    bool differs;
};

static bool compare_engine(void *context, const struct ipcl_record *record)
{
    struct holder *holder = context;
    const char *engine = json_string_value(json_object_get(record->fields, "engine_uuid"));
    holder->differs = engine && *engine && strcmp(engine, holder->engine);
    return false;
}

bool records_is_anothers(struct records *records, const char *msg_id, const char *engine)
{
    struct holder holder = {.engine = engine};
    struct ipcl_error error;
    json_t *query = json_pack("{s:s}", "msg_id", msg_id), *keys = json_pack("[s]", "engine_uuid");
    if (!query || records_find(records, query, keys, compare_engine, &holder, &error))
        holder.differs = true;
    json_decref(query);
    json_decref(keys);
    return holder.differs;
}

static void keep(struct records *records, const struct records_item *item, struct message *message)
{
    switch (item->report.kind) {
    case REPORT_SUBMITTED:
        record_request(records, item, message);
        break;
    case REPORT_ASSIGNED:
        record_engine(records, item);
        break;
    case REPORT_DONE:
        if (message->count > 2)
            record_reply(records, item, message);
        else
            record_death(records, item, message);
        break;
    case REPORT_OUTPUT:
        record_output(records, item, message);
        break;
    case REPORT_KNOWN:
        json_object_set_new(records->known, item->engine, json_true());
        break;
    case REPORT_BORN:
        json_object_set_new(records->engines, item->engine, json_true());
        break;
    case REPORT_STOPPED:
        json_object_del(records->engines, item->engine);
        records_restore_engine_gone(records, item->engine);
        break;
    case REPORT_RESTORED: /* the hub's alone; likewise below */
    case REPORT_FORGOTTEN:
    case REPORT_CLOSED:
    case REPORT_WAITING:
        break;
    }
}

static void fail_unfinished(struct records *records, const char *msg_id)
{
    struct ipcl_record record = {.fields = json_object()};
    set_error(record.fields, "", "the controller ended before this request was answered");
    records_put(records, msg_id, &record);
}

/* What is left of the requests that an earlier controller left unfinished reports an error. Where
 * an engine that outlived that controller answers after all, its result takes the error's place. */
static void give_up(struct records *records)
{
    size_t count = records_restore_give_up(records, fail_unfinished);
    if (count)
        log_info("records: %zu requests that were unfinished when an earlier controller ended have "
                 "failed",
                 count);
    records->give_up_ms = 0;
}

/* Finds what an earlier controller left unfinished. Where this one takes that one's place, engines
 * may come back with some of it. */
static void begin(struct records *records)
{
    records->begun = true;
    records->engines = json_object();
    records->known = json_object();
    records_restore_begin(records);
    if (records->controller->restarted && json_object_size(records->unfinished))
        records->give_up_ms = clock_ms() + records->controller->registration_timeout_ms;
    else
        give_up(records);
}

/* An engine has come back with a request, and will answer it: where it was given up, it is not.
 * Returns whether that may be so. */
static bool take_back(struct records *records, const char *msg_id, const char *engine)
{
    static const char *const keys[] = {"completed", "received", "result_header", "result_metadata",
                                       "result_content"};
    if (!records_restore_returned(records, msg_id, engine))
        return false;
    struct ipcl_record record = {.fields = json_object()};
    for (size_t i = 0; i < sizeof(keys) / sizeof(*keys); i++)
        json_object_set_new(record.fields, keys[i], json_null());
    records_put(records, msg_id, &record);
    return true;
}

static void send_note(struct records *records, const struct records_note *note)
{
    zmq_send(records->notes, note, sizeof(*note), ZMQ_DONTWAIT);
}

/* Tells the hub how much of the backlog is behind us. */
static void settle(struct records *records)
{
    if (records->settled.count)
        send_note(records, &records->settled);
    records->settled = (struct records_note){.kind = RECORDS_SETTLED};
}

void records_send_reply(struct records *records, const struct records_item *item,
                        struct records_query *query, struct message *message)
{
    const struct records_note note = {.kind = RECORDS_REPLY};
    zmq_msg_t *client = &message->frames[2], *header = message_part(message, MESSAGE_HEADER);
    struct session_parts parts = {
        .msg_type = item->reply_type,
        .parent = zmq_msg_data(header),
        .parent_size = zmq_msg_size(header),
        .content = query->reply,
    };
    struct message reply;
    struct ipcl_error error;
    message_init(&reply);
    ipcl_error_set(&error, "out of memory");
    int failed = message_append(&reply, &note, sizeof(note)) ||
                 message_append(&reply, zmq_msg_data(client), zmq_msg_size(client)) ||
                 session_build(records->session, &reply, &parts, NULL, &error);
    for (size_t i = 0; !failed && i < query->buffers.count; i++)
        failed = message_append_frame(&reply, &query->buffers.frames[i]);
    if (failed)
        log_error("records: a query cannot be answered: %s", error.text);
    else
        message_send(&reply, records->notes);
    message_close(&reply);
}

static void answer(struct records *records, const struct records_item *item,
                   struct message *message)
{
    struct records_query query = {.ename = "ValueError"};
    struct ipcl_error error;
    zmq_msg_t *context = &message->frames[1];
    message_init(&query.buffers);
    query.context = json_loadb(zmq_msg_data(context), zmq_msg_size(context), 0, NULL);
    query.content =
        session_unpack(records->session, message_part(message, MESSAGE_CONTENT), &error);
    bool failed = !query.content || item->answer(records, &query, &error) ||
                  (query.drops && records_purge_begin(records, item, query.drops, message, &error));
    if (failed) {
        json_decref(query.reply);
        query.reply = reply_error_content(query.ename, error.text);
        message_clear(&query.buffers);
    }
    if (failed || !query.drops)
        records_send_reply(records, item, &query, message);
    json_decref(query.drops);
    json_decref(query.reply);
    json_decref(query.content);
    json_decref(query.context);
    message_close(&query.buffers);
}

static void on_item(void *self, struct message *message)
{
    struct records *records = self;
    struct records_item item;
    if (!records->begun)
        begin(records);
    memcpy(&item, zmq_msg_data(&message->frames[0]), sizeof(item));
    if (item.answer) {
        answer(records, &item, message);
    } else if (item.report.doubtful &&
               records_is_anothers(records, item.report.text, item.engine)) {
        log_limited(&records->trouble, IPCL_LOG_WARN,
                    "records: what engine %s has sent for request %s, which is another's, is not "
                    "recorded",
                    item.engine, item.report.text);
    } else if (item.report.kind != REPORT_ASSIGNED || item.report.queue != REPORT_DIRECT ||
               take_back(records, item.report.text, item.engine)) {
        if (item.report.kind == REPORT_DONE)
            json_object_del(records->unfinished, item.report.text);
        keep(records, &item, message);
    }
    records->settled.bytes += item.bytes;
    if (++records->settled.count >= SETTLED_MAX)
        settle(records);
}

static long long on_tick(void *self, long long now_ms)
{
    struct records *records = self;
    struct ipcl_error error;
    if (!records->begun)
        begin(records);
    bool more = records_restore_step(records);
    if (records->give_up_ms && now_ms >= records->give_up_ms && !more)
        give_up(records);
    more = records_purge_step(records) || more;
    if (records->changes && now_ms >= records->commit_ms)
        records_commit(records, &error);
    settle(records);
    if (records->untidy && !more)
        more = records->untidy = records->store->tidy(records->controller->records);
    if (more)
        return now_ms;
    long long due = records->changes ? records->commit_ms : CLOCK_NEVER;
    return clock_sooner(due, clock_due(records->give_up_ms));
}

static struct loop *records_loop(void *self)
{
    return ((struct records *)self)->loop;
}

/* The hub has ended before: what it handed on last is still recorded. */
static void finish(struct records *records)
{
    struct message message;
    struct ipcl_error error;
    long long until_ms = clock_ms() + FINISH_MS;
    message_init(&message);
    while (clock_ms() < until_ms && !message_recv(&message, records->items, ZMQ_DONTWAIT))
        on_item(records, &message);
    unsigned long long left = 0;
    while (!message_recv(&message, records->items, ZMQ_DONTWAIT))
        left++;
    if (left)
        records_count_lost(records, left, "the store was too slow for the controller's end");
    message_close(&message);
    records_commit(records, &error);
}

static void records_destroy(void *self)
{
    struct records *records = self;
    if (!records)
        return;
    if (records->begun)
        finish(records);
    records_purge_release(records);
    json_decref(records->unfinished);
    json_decref(records->untold);
    json_decref(records->engines);
    json_decref(records->known);
    loop_destroy(records->loop);
    session_destroy(records->session);
    free(records);
}

static void *records_create(struct controller *controller, struct ipcl_error *error)
{
    struct records *records = calloc(1, sizeof(*records));
    if (!records)
        return NULL;
    records->controller = controller;
    records->store = controller->store;
    records->session = controller_session(controller, CONNECTION_CLIENT, error);
    records->loop = loop_create("records", error);
    if (!records->session || !records->loop)
        goto failed;
    records->items = controller_inproc_bind(controller, ZMQ_PULL, "records", error);
    if (loop_add(records->loop, records->items, on_item, records))
        goto failed;
    records->notes = controller_inproc_connect(controller, ZMQ_PUSH, "notes", error);
    if (loop_keep(records->loop, records->notes))
        goto failed;
    if (store_restores(controller)) {
        records->restored = controller_inproc_connect(controller, ZMQ_PUSH, RESTORED_SOCKET, error);
        if (loop_keep(records->loop, records->restored))
            goto failed;
    }
    loop_set_tick(records->loop, on_tick, records);
    return records;
failed:
    records_destroy(records);
    return NULL;
}

const struct module records_module = {"records", records_create, records_loop, records_destroy};
