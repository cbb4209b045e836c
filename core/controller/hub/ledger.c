/* The hub's ledger of pending requests. */
#include "controller/hub/ledger.h"

#include <stdlib.h>
#include <string.h>
#include <utlist.h>

static const void *ledger_key_of(const struct table_item *item, size_t *size)
{
    const struct request *request = (const struct request *)item;
    *size = strlen(request->msg_id);
    return request->msg_id;
}

int ledger_init(struct ledger *ledger, struct ipcl_error *error)
{
    *ledger = (struct ledger){0};
    return table_init(&ledger->requests, ledger_key_of) ? ipcl_error_set(error, "out of memory")
                                                        : 0;
}

static struct request *ledger_look_up(const struct ledger *ledger, const char *msg_id)
{
    size_t size = strlen(msg_id);
    uint64_t hash = table_hash(&ledger->requests, msg_id, size);
    return (struct request *)table_find(&ledger->requests, hash, msg_id, size);
}

static bool is_busy(const struct hub_engine *engine)
{
    return engine->pending_count[REPORT_DIRECT] || engine->pending_count[REPORT_TASK];
}

static void ledger_enter(struct ledger *ledger, struct request *request, struct hub_engine *engine)
{
    request->engine = engine;
    if (engine) {
        ledger->busy += !is_busy(engine);
        DL_APPEND(engine->pending[request->queue], request);
        engine->pending_count[request->queue]++;
    } else {
        DL_APPEND(ledger->unassigned, request);
        ledger->unassigned_count++;
    }
}

static void ledger_leave(struct ledger *ledger, struct request *request)
{
    struct hub_engine *engine = request->engine;
    if (engine) {
        DL_DELETE(engine->pending[request->queue], request);
        engine->pending_count[request->queue]--;
        ledger->busy -= !is_busy(engine);
    } else {
        DL_DELETE(ledger->unassigned, request);
        ledger->unassigned_count--;
    }
}

static void ledger_end(struct ledger *ledger, struct request *request)
{
    ledger_leave(ledger, request);
    table_remove(&ledger->requests, &request->item);
    free(request);
}

void ledger_submit(struct ledger *ledger, const char *msg_id, enum report_queue queue,
                   struct hub_engine *engine)
{
    struct request *request = ledger_look_up(ledger, msg_id);
    if (request)
        ledger_end(ledger, request);
    size_t size = strlen(msg_id);
    request = malloc(sizeof(*request) + size + 1);
    if (!request)
        return;
    *request = (struct request){.queue = (unsigned char)queue};
    memcpy(request->msg_id, msg_id, size + 1);
    request->item.hash = table_hash(&ledger->requests, msg_id, size);
    table_add(&ledger->requests, &request->item);
    ledger_enter(ledger, request, engine);
}

void ledger_assign(struct ledger *ledger, const char *msg_id, struct hub_engine *engine)
{
    struct request *request = ledger_look_up(ledger, msg_id);
    if (!request)
        return;
    request->claimed = false;
    ledger_leave(ledger, request);
    ledger_enter(ledger, request, engine);
}

void ledger_claim(struct ledger *ledger, const char *msg_id)
{
    struct request *request = ledger_look_up(ledger, msg_id);
    if (request)
        request->claimed = true;
}

void ledger_done(struct ledger *ledger, const char *msg_id)
{
    struct request *request = ledger_look_up(ledger, msg_id);
    if (!request)
        return;
    if (request->engine)
        request->engine->completed++;
    if (request->engine && request->queue == REPORT_TASK)
        ledger->tasks_done++;
    ledger_end(ledger, request);
}

void ledger_forget_engine(struct ledger *ledger, struct hub_engine *engine)
{
    while (engine->pending[REPORT_DIRECT])
        ledger_end(ledger, engine->pending[REPORT_DIRECT]);
    while (engine->pending[REPORT_TASK]) {
        struct request *request = engine->pending[REPORT_TASK];
        ledger_leave(ledger, request);
        ledger_enter(ledger, request, NULL);
    }
}

const struct request *ledger_find(const struct ledger *ledger, const char *msg_id)
{
    return ledger_look_up(ledger, msg_id);
}

void ledger_release(struct ledger *ledger)
{
    struct table_item *item;
    size_t from = 0;
    while (ledger->requests.count && (item = table_take(&ledger->requests, &from)))
        free(item);
    table_release(&ledger->requests);
}
