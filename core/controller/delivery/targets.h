/* The engines that a thread sends requests to, by uuid; and the requests that wait because the
 * engine they are for has registered but not yet connected to this thread's socket; or because it
 * is not registered, but may be one of the previous controller's, which reconnect one by one; or
 * because it does not read them (outbox.h). */
#ifndef CONTROLLER_DELIVERY_TARGETS_H
#define CONTROLLER_DELIVERY_TARGETS_H

#include <stdbool.h>
#include <stddef.h>
#include <uthash.h>

#include "base/log.h"
#include "controller/exchange/controller.h"
#include "controller/exchange/notice.h"
#include "controller/delivery/outbox.h"
#include "controller/delivery/reply.h"
#include "controller/exchange/report.h"
#include "controller/exchange/routes.h"
#include "wire/message.h"

struct held_request;

struct target {
    char uuid[ENGINE_UUID_BYTES];
    char name[ENGINE_NAME_BYTES]; /* in sentences */
    int id;                       /* -1: it is not registered, but may come back */
    bool sealed;                  /* it takes only what is sealed */
    bool gone;                    /* it does not: what it still answers is late */
    struct held_request *waiting; /* oldest first; later requests queue behind them */
    UT_hash_handle hh;
};

/* Called with a request that cannot be delivered: [engine, client, delimiter ...]; `why` is a
 * sentence. */
typedef void targets_undelivered(void *self, struct message *message, const struct target *target,
                                 const char *why);

/* Reports that a request which cannot be delivered is answered, with this error in its engine's
 * place: the hub and its record would wait for an answer otherwise. The hub knows of those alone
 * that were for an engine which is registered. */
void targets_report_undelivered(struct report *report, const struct target *target,
                                struct session *session, const struct reply_request *request,
                                const struct ipcl_member *msg_id, const char *why);

/* Called with a request that has waited for an engine that has now come back. */
typedef void targets_returned(void *self, struct message *message, const struct target *target);

/* An engine that has gone lately, and the answer to requests that still come for it. */
struct target_end {
    char uuid[ENGINE_UUID_BYTES];
    char *why;
};
#define TARGETS_ENDS 32

struct targets {
    void *engines;     /* a mandatory ROUTER */
    struct seal *seal; /* signs what goes to them; not owned */
    struct outbox outbox;
    targets_undelivered *undelivered;
    targets_returned *returned; /* may be NULL */
    void *self;
    long long
        return_until_ms; /* how long engines may come back; 0: there was no previous controller */
    struct target *by_uuid;
    struct routes routes;
    struct target_end ends[TARGETS_ENDS];
    size_t next_end;
    size_t waiting; /* requests of all targets */
    long long next_try_ms;
    struct log_limit full;
};

/* When `engines` has been set. Returns 0, or -1 with `error` set. */
int targets_prepare(struct targets *targets, const struct controller *controller, struct seal *seal,
                    enum stats_socket socket, struct ipcl_error *error);
/* NULL for one that is not known or has gone. */
struct target *targets_find(const struct targets *targets, const void *uuid, size_t size);
/* Whether an engine that is not found may be one of the previous controller's, on its way back. */
bool targets_may_return(const struct targets *targets, const void *uuid, size_t size);
/* Enters such an engine; NULL for any other. */
struct target *targets_await(struct targets *targets, const void *uuid, size_t size);
void targets_add(struct targets *targets, const struct notice *notice);
/* Notes that an engine may come back. */
void targets_know(struct targets *targets, const struct notice *notice);
/* Signs [engine, client, delimiter ...] and sends it to the engine, or holds it until the engine
 * has connected, which it may not do for some time, or reads. Hands it back where too many wait for
 * it. Takes over the frames. */
void targets_send(struct targets *targets, struct target *target, struct message *message);
/* Hands back what waits for an engine that has gone. */
void targets_remove(struct targets *targets, const struct notice *notice);
/* Of an engine that is not found: a sentence that says why it is not, where it has gone lately;
 * otherwise NULL. */
const char *targets_end(const struct targets *targets, const void *uuid, size_t size);
/* Tries again what waits. Returns when to be called again, or CLOCK_NEVER. */
long long targets_tick(struct targets *targets, long long now_ms);
void targets_release(struct targets *targets);

#endif
