/* purge_request: records are dropped a piece at a time, between the thread's other work, because a
 * million of them take seconds. Then the request is answered. The records thread. */
#include <stdlib.h>
#include <utlist.h>

#include "base/clock.h"
#include "controller/records/records.h"
#include "controller/delivery/reply.h"

/* How many records are dropped before other work gets its turn. */
#define DROPPED_AT_ONCE 256

struct purge {
    struct records_item item;
    struct message message; /* the request */
    json_t *drops;          /* queries: what they match is dropped */
    size_t drop;            /* the index of the present one */
    int64_t place;
    struct purge *prev, *next;
};

/* Adds requests by their msg_ids, a limited number in each query. */
static void add_ids(json_t *drops, const json_t *ids)
{
    json_t *some = NULL;
    for (size_t i = 0; i < json_array_size(ids); i++) {
        if (i % DROPPED_AT_ONCE == 0) {
            some = json_array();
            json_array_append_new(drops, json_pack("{s:{s:o}}", "msg_id", "$in", some));
        }
        json_array_append(some, json_array_get(ids, i));
    }
}

/* Adds what is completed by now, or, if `engine` is not NULL, what that engine has completed. */
static void add_completed(json_t *drops, json_t *engine)
{
    char now[CLOCK_DATE_BYTES];
    clock_date(now);
    json_array_append_new(drops, json_pack("{s:{s:n} s:{s:s} s:O*}", "completed", "$ne", "received",
                                           "$lte", now, "engine_uuid", engine));
}

int records_answer_purge(struct records *records, struct records_query *query,
                         struct ipcl_error *error)
{
    json_t *ids = json_object_get(query->content, "msg_ids"), *uuid;
    json_t *engines = json_object_get(query->context, "engines");
    size_t index;
    (void)records;
    query->reply = json_pack("{s:s}", "status", "ok");
    query->drops = json_array();
    if (json_is_string(ids))
        add_completed(query->drops, NULL);
    else
        add_ids(query->drops, ids);
    json_array_foreach (engines, index, uuid)
        add_completed(query->drops, uuid);
    return query->drops ? 0 : ipcl_error_set(error, "out of memory");
}

static void free_purge(struct purge *purge)
{
    message_close(&purge->message);
    json_decref(purge->drops);
    free(purge);
}

int records_purge_begin(struct records *records, const struct records_item *item, json_t *drops,
                        struct message *message, struct ipcl_error *error)
{
    struct purge *purge = controller_allocate(sizeof(*purge), error);
    if (!purge)
        return -1;
    message_init(&purge->message);
    purge->drops = json_incref(drops);
    purge->item = *item;
    if (message_move(&purge->message, message)) {
        free_purge(purge);
        return ipcl_error_set(error, "out of memory");
    }
    DL_APPEND(records->purges, purge);
    return 0;
}

static void purge_end(struct records *records, struct purge *purge, const struct ipcl_error *error)
{
    struct records_query query = {.reply = error ? reply_error_content("RuntimeError", error->text)
                                                 : json_pack("{s:s}", "status", "ok")};
    message_init(&query.buffers);
    records_send_reply(records, &purge->item, &query, &purge->message);
    json_decref(query.reply);
    DL_DELETE(records->purges, purge);
    free_purge(purge);
}

/* Drops some of what a query matches, and commits that: only then they are gone. Returns how many,
 * or -1 with `error` set. */
static int64_t drop_some(struct records *records, const json_t *query, int64_t *place,
                         struct ipcl_error *error)
{
    const struct ipcl_store_operations *store = records->store;
    void *self = records->controller->records;
    services_expect(error, "the store could not purge the records");
    int64_t dropped = store->drop_some
                          ? store->drop_some(self, query, place, DROPPED_AT_ONCE, error)
                          : store->drop(self, query, error);
    return dropped > 0 && records_commit(records, error) ? -1 : dropped;
}

bool records_purge_step(struct records *records)
{
    struct purge *purge = records->purges;
    struct ipcl_error error;
    if (!purge)
        return false;
    const json_t *query = json_array_get(purge->drops, purge->drop);
    if (!query) {
        purge_end(records, purge, NULL);
        return records->purges != NULL;
    }
    int64_t dropped = drop_some(records, query, &purge->place, &error);
    if (dropped < 0) {
        purge_end(records, purge, &error);
    } else if (!dropped || !records->store->drop_some) {
        purge->drop++;
        purge->place = 0;
    }
    return records->purges != NULL;
}

void records_purge_release(struct records *records)
{
    struct purge *purge, *next;
    DL_FOREACH_SAFE (records->purges, purge, next)
        free_purge(purge);
}
