/* The engines that a thread sends requests to, by uuid, and requests that wait for them. A request
 * waits for one of three reasons. Its engine is registered, but has not connected to this thread's
 * socket yet. Or the engine is not registered, but may be one of the previous controller's, which
 * reconnect one by one. Or the engine does not read its requests (outbox.h). */
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
    bool sealed;                  /* it takes only sealed messages */
    bool gone;                    /* it will not come back: answers that it still sends are late */
    struct held_request *waiting; /* oldest first; later requests queue behind them */
    UT_hash_handle hh;
};

/* Called with a request that cannot be delivered: [engine, client, delimiter ...]; `why` is a
 * sentence. */
typedef void targets_undelivered(void *self, struct message *message, const struct target *target,
                                 const char *why);

/* Reports that a request which cannot be delivered is answered, with this error in place of its
 * engine's answer. Otherwise the hub and the record would wait for an answer. The hub knows only
 * requests for registered engines. */
void targets_report_undelivered(struct report *report, const struct target *target,
                                struct session *session, const struct reply_request *request,
                                const struct ipcl_member *msg_id, const char *why);

/* Called with a request whose engine has now come back. */
typedef void targets_returned(void *self, struct message *message, const struct target *target);

/* An engine that has gone lately, and the answer to requests that are still sent to it. */
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
        return_until_ms; /* until when engines may come back; 0: there was no previous controller */
    struct target *by_uuid;
    struct routes routes;
    struct target_end ends[TARGETS_ENDS];
    size_t next_end;
    size_t waiting; /* how many requests wait, for all targets */
    long long next_try_ms;
    struct log_limit full;
};

/* Call when `engines` is set. Returns 0, or -1 with `error` set. */
int targets_prepare(struct targets *targets, const struct controller *controller, struct seal *seal,
                    enum stats_socket socket, struct ipcl_error *error);
/* NULL if the engine is not known or has gone. */
struct target *targets_find(const struct targets *targets, const void *uuid, size_t size);
/* Whether an engine that targets_find() does not find may be one of the previous controller's that
 * is coming back. */
bool targets_may_return(const struct targets *targets, const void *uuid, size_t size);
/* Adds such an engine; NULL for any other. */
struct target *targets_await(struct targets *targets, const void *uuid, size_t size);
void targets_add(struct targets *targets, const struct notice *notice);
/* Notes that an engine may come back. */
void targets_know(struct targets *targets, const struct notice *notice);
/* Signs [engine, client, delimiter ...] and sends it to the engine, or holds it until the engine
 * has connected, which may take some time, or reads. Gives it back (`undelivered`) if too many wait
 * for the engine. Takes over the frames. */
void targets_send(struct targets *targets, struct target *target, struct message *message);
/* Gives back what waits for an engine that has gone. */
void targets_remove(struct targets *targets, const struct notice *notice);
/* For an engine that is not found: a sentence that says why, if it has gone lately; otherwise
 * NULL. */
const char *targets_end(const struct targets *targets, const void *uuid, size_t size);
/* Tries again to send what waits. Returns the time of the next call, or CLOCK_NEVER. */
long long targets_tick(struct targets *targets, long long now_ms);
void targets_release(struct targets *targets);

#endif
