/* The records thread: hears from the hub (PULL, inproc) what happens to requests and what clients
 * ask of their records, and answers (PUSH, inproc, back to the hub).
 *
 * However slow the store is, only this thread waits for it. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "controller/delivery/reply.h"
#include "controller/records/records.h"

/* The hub is told of settled items at the latest after this many. */
#define SETTLED_MAX 64
/* How long the controller's end waits for what is yet to be recorded. */
#define FINISH_MS 5000

static void records_begin(struct records *records)
{
    records->begun = true;
    records->hooks->begin(records);
}

static void send_note(struct records *records, const struct records_note *note)
{
    zmq_send(records->notes, note, sizeof(*note), ZMQ_DONTWAIT);
}

/* Tells the hub how much of the backlog is settled. */
static void records_settle(struct records *records)
{
    if (records->settled.count)
        send_note(records, &records->settled);
    records->settled = (struct records_note){.kind = RECORDS_SETTLED};
}

static void records_answer_query(struct records *records, const struct records_item *item,
                                 struct message *message)
{
    struct records_query query = {.ename = "ValueError"};
    struct ipcl_error error;
    zmq_msg_t *context = message_frame(message, 1);
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
        records_begin(records);
    memcpy(&item, zmq_msg_data(message_note(message)), sizeof(item));
    if (item.answer) {
        records_answer_query(records, &item, message);
    } else if (item.report.doubtful &&
               records_is_anothers(records, item.report.text, item.engine)) {
        log_limited(&records->trouble, IPCL_LOG_WARN,
                    "records: engine %s has sent something for request %s, which another engine "
                    "has: it is not recorded",
                    item.engine, item.report.text);
    } else if (item.report.kind != REPORT_ASSIGNED || item.report.queue != REPORT_DIRECT ||
               records->hooks->take_back(records, item.report.text, item.engine)) {
        if (item.report.kind == REPORT_DONE)
            records->hooks->end(records, item.report.text);
        records_keep(records, &item, message);
    }
    records->settled.bytes += item.bytes;
    if (++records->settled.count >= SETTLED_MAX)
        records_settle(records);
}

static long long records_on_tick(void *self, long long now_ms)
{
    struct records *records = self;
    struct ipcl_error error;
    if (!records->begun)
        records_begin(records);
    long long due = records->hooks->tick(records, now_ms);
    bool more = records_purge_step(records) || due <= now_ms;
    if (records->changes && now_ms >= records->commit_ms)
        records_commit(records, &error);
    records_settle(records);
    if (records->untidy && !more)
        more = records->untidy = records->store->tidy(records->controller->records);
    if (more)
        return now_ms;
    return records->changes ? clock_sooner(due, records->commit_ms) : due;
}

static struct loop *records_loop(void *self)
{
    return ((struct records *)self)->loop;
}

/* The hub has ended already. What it handed on last is still recorded. */
static void records_finish(struct records *records)
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
        records_count_lost(records, left, "the store was too slow when the controller ended");
    message_close(&message);
    records_commit(records, &error);
}

static void records_destroy(void *self)
{
    struct records *records = self;
    if (!records)
        return;
    if (records->begun)
        records_finish(records);
    records_purge_release(records);
    records->hooks->release(records);
    json_decref(records->engines);
    loop_destroy(records->loop);
    session_destroy(records->session);
    free(records);
}

static void *records_create(struct controller *controller, struct ipcl_error *error)
{
    struct records *records = controller_allocate(sizeof(*records), error);
    if (!records)
        return NULL;
    records->controller = controller;
    records->store = controller->store;
    records->hooks = controller->records_hooks;
    records->engines = json_object();
    records->session = controller_session(controller, CONNECTION_CLIENT, error);
    records->loop = loop_create("records", error);
    if (!records->session || !records->loop)
        goto failed;
    records->items = channel_bind(controller, CHANNEL_RECORDS, error);
    if (loop_add(records->loop, records->items, on_item, records))
        goto failed;
    records->notes = channel_connect(controller, CHANNEL_NOTES, error);
    if (loop_keep(records->loop, records->notes))
        goto failed;
    if (records->hooks->open(records, error))
        goto failed;
    loop_set_tick(records->loop, records_on_tick, records);
    return records;
failed:
    records_destroy(records);
    return NULL;
}

const struct module records_module = {"records", records_create, records_loop, records_destroy};
