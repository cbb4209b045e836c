/* resubmit_request: tasks are made again from their records, under new msg_ids, and handed to the
 * hub, which submits them. As with ipyparallel a new task has the old one's header but for msg_id
 * and date, its content and its buffers, and no metadata: where it depended on others, they are
 * done. In the records' thread. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "controller/records/records.h"

struct again {
    struct records *records;
    struct records_query *query;
    json_t *mapping; /* old msg_ids to new ones; null before they are made */
    struct ipcl_error *error;
    /* One task that was made: for the hub, and for the store, which is not called while it
     * finds. */
    struct message message;
    struct records_note note;
    struct ipcl_record record;
};

/* Puts a packed value in place of a part. Returns 0, or -1 with `error` set. */
static int replace_part(struct records *records, struct message *message, enum message_part which,
                        const json_t *value, struct ipcl_error *error)
{
    zmq_msg_t *part = message_part(message, which);
    size_t size;
    services_expect(error, "the serializer could not pack a part of the request");
    char *packed = session_serial(records->session)->pack(value, &size, error);
    if (!packed)
        return -1;
    int status = message_replace(part, packed, size) ? ipcl_error_set(error, "out of memory") : 0;
    free(packed);
    return status;
}

int records_finish_message(struct records *records, const struct ipcl_record *record,
                           const json_t *header, struct message *message, struct ipcl_error *error)
{
    if (replace_part(records, message, MESSAGE_HEADER, header, error) ||
        session_sign(records->session, message, error))
        return -1;
    for (size_t i = 0; i < record->buffer_count; i++)
        if (records_append_buffer(message, &record->buffers[i]))
            return ipcl_error_set(error, "out of memory");
    return 0;
}

/* Builds [note, message ...] and fills the note. `header` gets the new msg_id and date. Returns 0,
 * or -1 with `error` set. */
static int build_task(struct records *records, const struct ipcl_record *record, json_t *header,
                      struct message *message, struct records_note *note, struct ipcl_error *error)
{
    char date[CLOCK_DATE_BYTES];
    struct session_parts parts = {
        .msg_type = "resubmitted", /* the recorded header takes this one's place */
        .content = json_object_get(record->fields, "content"),
    };
    if (message_append(message, note, sizeof(*note)))
        return ipcl_error_set(error, "out of memory");
    if (session_build(records->session, message, &parts, note->msg_id, error))
        return -1;
    clock_date(date);
    json_object_set_new(header, "msg_id", json_string(note->msg_id));
    json_object_set_new(header, "date", json_string(date));
    memcpy(zmq_msg_data(message_note(message)), note, sizeof(*note));
    return records_finish_message(records, record, header, message, error);
}

/* The new task's record, so that its result can be asked for at once. */
static void fill_record(struct again *again, const struct ipcl_record *old, json_t *header)
{
    json_t *fields = json_object();
    json_object_set(fields, "header", header);
    json_object_set_new(fields, "metadata", json_object());
    json_object_set(fields, "content", json_object_get(old->fields, "content"));
    json_object_set(fields, "submitted", json_object_get(header, "date"));
    json_object_set(fields, "client_uuid", json_object_get(header, "session"));
    json_object_set_new(fields, "queue", json_string("task"));
    again->record = (struct ipcl_record){.fields = fields};
    again->record.buffers = records_buffers(&again->message, &again->record.buffer_count);
}

static bool make_again(void *context, const struct ipcl_record *old)
{
    struct again *again = context;
    json_t *header = json_copy(json_object_get(old->fields, "header"));
    again->note = (struct records_note){.kind = RECORDS_TASK};
    if (!build_task(again->records, old, header, &again->message, &again->note, again->error))
        fill_record(again, old, header);
    json_decref(header);
    return false;
}

/* Records one task again and hands it to the hub. Returns 0, or -1 with `error` set. */
static int resubmit_one(struct again *again, json_t *id, const json_t *keys)
{
    json_t *query = json_pack("{s:O}", "msg_id", id);
    struct records *records = again->records;
    message_init(&again->message);
    again->record.fields = NULL;
    int status = records_find(records, query, keys, make_again, again, again->error);
    if (!status && again->record.fields) {
        json_object_set_new(again->mapping, json_string_value(id), json_string(again->note.msg_id));
        records_put(records, again->note.msg_id, &again->record);
        message_send(&again->message, records->notes);
    } else {
        status = -1;
    }
    message_close(&again->message);
    json_decref(query);
    return status;
}

static bool check_record(void *context, const struct ipcl_record *record)
{
    struct again *again = context;
    const json_t *header = json_object_get(record->fields, "header");
    const json_t *content = json_object_get(record->fields, "content");
    const char *msg_id = json_string_value(json_object_get(record->fields, "msg_id"));
    if (json_is_object(header) && content && !json_is_null(content))
        json_object_set_new(again->mapping, msg_id, json_null());
    return true;
}

/* Whether all requests are recorded whole. Returns 0, or -1 with `error` set. */
static int check_ids(struct again *again, json_t *ids)
{
    json_t *query = json_pack("{s:{s:O}}", "msg_id", "$in", ids), *id;
    json_t *keys = json_pack("[s s s]", "msg_id", "header", "content");
    size_t index;
    int status = records_find(again->records, query, keys, check_record, again, again->error);
    json_decref(keys);
    json_decref(query);
    json_array_foreach (ids, index, id) {
        if (status || json_object_get(again->mapping, json_string_value(id)))
            continue;
        again->query->ename = "KeyError";
        status =
            ipcl_error_set(again->error, "there is no record of request %.80s, or not all of it",
                           json_string_value(id));
    }
    return status;
}

int records_answer_resubmit(struct records *records, struct records_query *query,
                            struct ipcl_error *error)
{
    json_t *ids = json_object_get(query->content, "msg_ids"), *old_id, *new_id;
    json_t *keys = json_pack("[s s s s]", "msg_id", "header", "content", "buffers");
    struct again again = {
        .records = records, .query = query, .mapping = json_object(), .error = error};
    size_t index;
    const char *id;
    int status = check_ids(&again, ids);
    json_array_foreach (ids, index, old_id)
        if (!status && json_is_null(json_object_get(again.mapping, json_string_value(old_id))))
            status = resubmit_one(&again, old_id, keys);
    json_object_foreach (again.mapping, id, new_id) {
        if (status)
            break;
        struct ipcl_record change = {.fields = json_pack("{s:O}", "resubmitted", new_id)};
        records_put(records, id, &change);
    }
    query->reply = json_pack("{s:s s:o}", "status", "ok", "resubmitted", again.mapping);
    json_decref(keys);
    return status;
}
