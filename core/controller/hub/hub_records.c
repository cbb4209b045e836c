/* The hub's end of the records thread: hands on what happens to requests and what clients ask of
 * their records, sends the answers, and submits tasks again.
 *
 * What the records thread has not dealt with yet is the backlog. Where it passes its limit, reports
 * are dropped, and of replies all but what tells whose they are: no message ever waits for a
 * store. */
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "base/log.h"
#include "controller/delivery/handouts.h"
#include "controller/hub/hub.h"
#include "controller/records/records.h"

/* What an item weighs beside its frames' bytes. */
#define ITEM_BYTES 1024

static bool is_full(const struct hub *hub, size_t limits)
{
    return hub->backlog_bytes >= limits * hub->controller->backlog_bytes;
}

static void count_dropped(struct hub *hub)
{
    hub->dropped++;
    handouts_doubt(hub->controller->handouts);
    log_limited(&hub->store_trouble, IPCL_LOG_WARN,
                "hub: the store is too slow, and %zu bytes wait for it: reports of requests are "
                "not recorded (%llu in all)",
                hub->backlog_bytes, hub->dropped);
}

/* Sends an item with what stands behind the note of `message`, whose place it takes. */
static void send_item(struct hub *hub, struct records_item *item, struct message *message)
{
    zmq_msg_t *note = message_note(message);
    item->bytes = ITEM_BYTES + message_bytes(message) - zmq_msg_size(note);
    if (message_replace(note, item, sizeof(*item))) {
        count_dropped(hub);
        return;
    }
    if (!message_send(message, hub->records))
        hub->backlog_bytes += item->bytes;
}

/* Records that nobody will answer a request: `why` is all that stands behind the item. */
static void record_unanswered(struct hub *hub, const char *msg_id, int id, const char *uuid,
                              const char *why)
{
    struct records_item item = {.report = {.kind = REPORT_DONE, .engine = id}};
    struct message message;
    if (is_full(hub, 2)) {
        count_dropped(hub);
        return;
    }
    snprintf(item.report.text, sizeof(item.report.text), "%s", msg_id);
    snprintf(item.engine, sizeof(item.engine), "%s", uuid);
    message_init(&message);
    if (!message_append(&message, "", 0) && !message_append(&message, why, strlen(why) + 1))
        send_item(hub, &item, &message);
    message_close(&message);
}

void hub_record(struct hub *hub, const struct report_record *report, struct message *frames)
{
    struct records_item item = {.report = *report};
    const struct hub_engine *engine =
        report->engine < 0 ? NULL : engines_by_id(&hub->engines, report->engine);
    /* All else is the hub's alone. */
    if (report->kind != REPORT_SUBMITTED && report->kind != REPORT_ASSIGNED &&
        report->kind != REPORT_DONE && report->kind != REPORT_OUTPUT)
        return;
    memcpy(item.engine, engine ? engine->uuid : report->uuid, sizeof(item.engine));
    if (is_full(hub, 1)) {
        count_dropped(hub);
        if (report->kind != REPORT_DONE || is_full(hub, 2))
            return;
        message_cut_behind(frames, MESSAGE_PARENT);
    }
    send_item(hub, &item, frames);
    /* Its engine had gone when it came: nobody else will tell that it is not answered. */
    if (report->kind == REPORT_SUBMITTED && report->queue == REPORT_DIRECT && !engine)
        record_unanswered(hub, report->text, report->engine, "",
                          "its engine had gone before the request came");
}

void hub_record_death(struct hub *hub, const struct hub_engine *engine, const char *why)
{
    const struct request *request;
    if (!hub->records)
        return;
    DL_FOREACH (engine->pending[REPORT_DIRECT], request)
        record_unanswered(hub, request->msg_id, engine->id, engine->uuid, why);
}

void hub_record_engine(struct hub *hub, const char *uuid, enum report_kind kind)
{
    struct records_item item = {.report = {.kind = kind}};
    struct message message;
    if (!hub->records)
        return;
    snprintf(item.engine, sizeof(item.engine), "%s", uuid);
    message_init(&message);
    if (!message_append(&message, "", 0))
        send_item(hub, &item, &message);
    message_close(&message);
}

void hub_record_return(struct hub *hub, const char *msg_id, const struct hub_engine *engine)
{
    struct report_record report = {.kind = REPORT_ASSIGNED, .engine = engine->id};
    struct message message;
    if (!hub->records || strlen(msg_id) > REPORT_TEXT_MAX)
        return;
    memcpy(report.text, msg_id, strlen(msg_id) + 1);
    message_init(&message);
    if (!message_append(&message, "", 0))
        hub_record(hub, &report, &message);
    message_close(&message);
}

int hub_ask_records(struct hub *hub, struct query *query, struct ipcl_error *error)
{
    struct records_item item = {.answer = query->then, .reply_type = query->reply_type};
    struct message message;
    char *context = json_dumps(query->context ? query->context : json_null(), JSON_ENCODE_ANY);
    if (is_full(hub, 2)) {
        free(context);
        query->ename = "RuntimeError";
        return ipcl_error_set(error, "the store is too slow now: ask again later");
    }
    message_init(&message);
    int failed = !context || message_append(&message, "", 0) ||
                 message_append(&message, context, strlen(context)) ||
                 message_append_all(&message, query->message);
    if (!failed)
        send_item(hub, &item, &message);
    message_close(&message);
    free(context);
    return failed ? ipcl_error_set(error, "out of memory") : 0;
}

static void submit_task(struct hub *hub, const struct records_note *note, struct message *message)
{
    ledger_submit(&hub->ledger, note->msg_id, REPORT_TASK, NULL);
    message_send_noted(message, hub->tasks);
}

/* The records thread's reply to a query, behind its note. */
static void pass_reply(struct hub *hub, struct message *message)
{
    struct message reply;
    message_init(&reply);
    if (!message_unwrap(&reply, message) && message_has_delimiter(&reply))
        replies_send(&hub->doors[CONNECTION_CLIENT].replies, &reply);
    message_close(&reply);
}

static void on_note(void *self, struct message *message)
{
    struct hub *hub = self;
    struct records_note note;
    memcpy(&note, zmq_msg_data(message_note(message)), sizeof(note));
    switch (note.kind) {
    case RECORDS_SETTLED:
        hub->backlog_bytes -= note.bytes;
        break;
    case RECORDS_REPLY:
        pass_reply(hub, message);
        break;
    case RECORDS_TASK:
        submit_task(hub, &note, message);
        break;
    }
}

/* The reply to a task that was submitted again. The task scheduler reports it as any other, except
 * where it refuses the task: then only this tells that it is done. */
static void on_task_reply(void *self, struct message *message)
{
    struct hub *hub = self;
    struct ipcl_member member = {.name = "msg_id"};
    struct report_record report = {.kind = REPORT_DONE, .queue = REPORT_TASK, .engine = -1};
    struct message copy;
    if (session_find(hub->doors[CONNECTION_CLIENT].session, message_part(message, MESSAGE_PARENT),
                     &member, 1) ||
        member.state != IPCL_MEMBER_TEXT || member.size > REPORT_TEXT_MAX)
        return;
    memcpy(report.text, member.data, member.size);
    if (!ledger_find(&hub->ledger, report.text))
        return;
    ledger_done(&hub->ledger, report.text);
    message_init(&copy);
    if (!message_append(&copy, "", 0) && !message_append_body(&copy, message))
        hub_record(hub, &report, &copy);
    message_close(&copy);
}

int hub_open_records(struct hub *hub, struct ipcl_error *error)
{
    struct controller *controller = hub->controller;
    hub->records = channel_connect(controller, CHANNEL_RECORDS, error);
    if (loop_keep(hub->loop, hub->records))
        return -1;
    if (loop_add(hub->loop, channel_bind(controller, CHANNEL_NOTES, error), on_note, hub))
        return -1;
    hub->tasks = channel_connect(controller, CHANNEL_TASKS, error);
    return loop_add(hub->loop, hub->tasks, on_task_reply, hub);
}
