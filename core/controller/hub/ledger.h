/* The hub's ledger: which requests are pending, and at which engine. An entry ends with its reply
 * or its engine, so the ledger never grows with history. */
#ifndef CONTROLLER_HUB_LEDGER_H
#define CONTROLLER_HUB_LEDGER_H

#include "base/table.h"
#include "controller/hub/engines.h"
#include "controller/exchange/report.h"

struct request {
    struct table_item item;
    struct hub_engine *engine; /* NULL: a task that is not yet assigned */
    struct request *prev, *next;
    unsigned char queue; /* enum report_queue */
    bool claimed;        /* only its engine says that it has it */
    char msg_id[];
};

struct ledger {
    struct table requests;
    struct request *unassigned;
    size_t unassigned_count;
    size_t busy;                   /* engines with requests */
    unsigned long long tasks_done; /* by engines, ever */
};

/* Returns 0, or -1 with `error` set. */
int ledger_init(struct ledger *ledger, struct ipcl_error *error);

/* `engine` may be NULL. Replaces an entry whose msg_id is pending already. */
void ledger_submit(struct ledger *ledger, const char *msg_id, enum report_queue queue,
                   struct hub_engine *engine);
void ledger_assign(struct ledger *ledger, const char *msg_id, struct hub_engine *engine);
/* Notes that only a reconnecting engine says that the request is pending. */
void ledger_claim(struct ledger *ledger, const char *msg_id);
void ledger_done(struct ledger *ledger, const char *msg_id);
/* An engine has gone. Its direct requests will not be answered. The scheduler answers for its
 * tasks: they wait until they are assigned again or done. */
void ledger_forget_engine(struct ledger *ledger, struct hub_engine *engine);
const struct request *ledger_find(const struct ledger *ledger, const char *msg_id);
void ledger_release(struct ledger *ledger);

#endif
