/* What the records thread does with its store: records are put, found and committed, and what is
 * lost is counted. */
#include "controller/records/records.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "controller/delivery/handouts.h"
#include "controller/delivery/reply.h"

void records_count_lost(struct records *records, unsigned long long count, const char *why)
{
    handouts_doubt(records->controller->handouts);
    records->lost += count;
    counter_add(&stats.records_lost, count);
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
    services_expect(error, "the store could not search for records");
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

void records_send_reply(struct records *records, const struct records_item *item,
                        struct records_query *query, struct message *message)
{
    const struct records_note note = {.kind = RECORDS_REPLY};
    zmq_msg_t *client = message_frame(message, 2), *header = message_part(message, MESSAGE_HEADER);
    struct session_parts parts = {
        .msg_type = item->reply_type,
        .parent = zmq_msg_data(header),
        .parent_size = zmq_msg_size(header),
        .content = query->reply,
    };
    struct message reply;
    struct ipcl_error error;
    message_init(&reply);
    bool no_memory = message_append(&reply, &note, sizeof(note)) ||
                     message_append(&reply, zmq_msg_data(client), zmq_msg_size(client));
    bool failed = no_memory || session_build(records->session, &reply, &parts, NULL, &error);
    if (!failed)
        failed = no_memory = message_append_all(&reply, &query->buffers);
    if (no_memory)
        ipcl_error_set(&error, "out of memory");
    if (failed)
        log_error("records: a query cannot be answered: %s", error.text);
    else
        message_send(&reply, records->notes);
    message_close(&reply);
}
