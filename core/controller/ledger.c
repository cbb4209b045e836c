/* The hub's ledger of pending requests. */
#include "controller/ledger.h"

#include <stdlib.h>
#include <string.h>
#include <utlist.h>

static struct request *find(const struct ledger *ledger, const char *msg_id)
{
    struct request *request;
    HASH_FIND(hh, ledger->requests, msg_id, strlen(msg_id), request);
    return request;
}

static void enter(struct ledger *ledger, struct request *request, struct engine *engine)
{
    request->engine = engine;
    if (engine) {
        DL_APPEND(engine->pending[request->queue], request);
        engine->pending_count[request->queue]++;
    } else {
        DL_APPEND(ledger->unassigned, request);
        ledger->unassigned_count++;
    }
}

static void leave(struct ledger *ledger, struct request *request)
{
    struct engine *engine = request->engine;
    if (engine) {
        DL_DELETE(engine->pending[request->queue], request);
        engine->pending_count[request->queue]--;
    } else {
        DL_DELETE(ledger->unassigned, request);
        ledger->unassigned_count--;
    }
}

static void end(struct ledger *ledger, struct request *request)
{
    leave(ledger, request);
    HASH_DEL(ledger->requests, request);
    free(request->msg_id);
    free(request);
}

void ledger_submit(struct ledger *ledger, const char *msg_id, enum report_queue queue,
                   struct engine *engine)
{
    struct request *request = find(ledger, msg_id);
    if (request)
        end(ledger, request);
    request = calloc(1, sizeof(*request));
    if (request)
        request->msg_id = strdup(msg_id);
    if (!request || !request->msg_id) {
        free(request);
        return;
    }
    request->queue = queue;
    HASH_ADD_KEYPTR(hh, ledger->requests, request->msg_id, strlen(request->msg_id), request);
    enter(ledger, request, engine);
}

void ledger_assign(struct ledger *ledger, const char *msg_id, struct engine *engine)
{
    struct request *request = find(ledger, msg_id);
    if (!request)
        return;
    leave(ledger, request);
    enter(ledger, request, engine);
}

void ledger_done(struct ledger *ledger, const char *msg_id)
{
    struct request *request = find(ledger, msg_id);
    if (!request)
        return;
    if (request->engine)
        request->engine->completed++;
    end(ledger, request);
}

void ledger_forget_engine(struct ledger *ledger, struct engine *engine)
{
    while (engine->pending[REPORT_DIRECT])
        end(ledger, engine->pending[REPORT_DIRECT]);
    while (engine->pending[REPORT_TASK]) {
        struct request *request = engine->pending[REPORT_TASK];
        leave(ledger, request);
        enter(ledger, request, NULL);
    }
}

const struct request *ledger_find(const struct ledger *ledger, const char *msg_id)
{
    return find(ledger, msg_id);
}

void ledger_release(struct ledger *ledger)
{
    struct request *request, *next;
    HASH_ITER (hh, ledger->requests, request, next)
        end(ledger, request);
}
