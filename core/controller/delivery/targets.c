/* Engines to send to, and requests that wait for their connections. */
#include "controller/delivery/targets.h"

#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "base/clock.h"
#include "controller/exchange/segments.h"
#include "wire/held.h"
#include "wire/loop.h"

/* What is held is tried again this often, for this long. */
#define RETRY_MS    20
#define HELD_MS_MAX 30000

struct held_request {
    struct held *held; /* as it goes to the engine: [engine, client, delimiter ...] */
    long long since_ms;
    struct held_request *prev, *next;
};

int targets_prepare(struct targets *targets, const struct controller *controller, struct seal *seal,
                    enum stats_socket socket, struct ipcl_error *error)
{
    targets->seal = seal;
    if (outbox_prepare(&targets->outbox, targets->engines, controller->unread_bytes, true, socket))
        return ipcl_error_set(error, "out of memory");
    return 0;
}

static struct target *target_find(const struct targets *targets, const void *uuid, size_t size)
{
    struct target *target;
    HASH_FIND(hh, targets->by_uuid, uuid, size, target);
    return target;
}

struct target *targets_find(const struct targets *targets, const void *uuid, size_t size)
{
    struct target *target = target_find(targets, uuid, size);
    return target && !target->gone ? target : NULL;
}

static bool target_is_open(const struct targets *targets)
{
    return targets->return_until_ms && clock_ms() < targets->return_until_ms;
}

bool targets_may_return(const struct targets *targets, const void *uuid, size_t size)
{
    return target_is_open(targets) && !target_find(targets, uuid, size);
}

static struct target *target_create(struct targets *targets, int id, const void *uuid, size_t size,
                                    const char *name)
{
    struct target *target = size < ENGINE_UUID_BYTES ? calloc(1, sizeof(*target)) : NULL;
    if (!target)
        return NULL;
    target->id = id;
    memcpy(target->uuid, uuid, size);
    if (name)
        snprintf(target->name, sizeof(target->name), "%s", name);
    else
        snprintf(target->name, sizeof(target->name), "engine '%s'", target->uuid);
    HASH_ADD_KEYPTR(hh, targets->by_uuid, target->uuid, size, target);
    return target;
}

struct target *targets_await(struct targets *targets, const void *uuid, size_t size)
{
    return targets_may_return(targets, uuid, size) ? target_create(targets, -1, uuid, size, NULL)
                                                   : NULL;
}

static void has_returned(struct targets *targets, struct target *target,
                         const struct notice *notice)
{
    struct held_request *waiting;
    struct message message;
    target->id = notice->id;
    target->gone = false;
    snprintf(target->name, sizeof(target->name), "%.*s", ENGINE_NAME_BYTES - 1, notice->text);
    message_init(&message);
    DL_FOREACH (target->waiting, waiting) {
        message_clear(&message);
        if (targets->returned && !held_restore(waiting->held, &message))
            targets->returned(targets->self, &message, target);
    }
    message_close(&message);
}

void targets_know(struct targets *targets, const struct notice *notice)
{
    routes_add(&targets->routes, notice->uuid, notice->route);
}

void targets_add(struct targets *targets, const struct notice *notice)
{
    size_t size = strlen(notice->uuid);
    targets_know(targets, notice);
    struct target *target = target_find(targets, notice->uuid, size);
    if (target)
        has_returned(targets, target, notice);
    else
        target = target_create(targets, notice->id, notice->uuid, size, notice->text);
    if (target)
        target->sealed = notice->sealed;
}

static void forget_request(struct targets *targets, struct target *target,
                           struct held_request *waiting)
{
    DL_DELETE(target->waiting, waiting);
    targets->waiting--;
    held_destroy(waiting->held);
    free(waiting);
}

void targets_report_undelivered(struct report *report, const struct target *target,
                                struct session *session, const struct reply_request *request,
                                const struct ipcl_member *msg_id, const char *why)
{
    struct message reply;
    if (target->id < 0)
        return;
    message_init(&reply);
    reply_make_error(session, &reply, request, target->uuid, "EngineError", why);
    report_add(report, REPORT_DONE, REPORT_DIRECT, target->id, msg_id->data, msg_id->size, &reply);
    message_close(&reply);
}

/* Hands back a request; `why` goes on where the engine's name ends. */
static void hand_back(struct targets *targets, const struct target *target, struct message *message,
                      const char *why)
{
    char text[ENGINE_NAME_BYTES + 256];
    snprintf(text, sizeof(text), "%s %s", target->name, why);
    targets->undelivered(targets->self, message, target, text);
}

/* Hands back a request that was held, and forgets it. `why` is a sentence. */
static void target_give_up(struct targets *targets, struct target *target,
                           struct held_request *waiting, const char *why)
{
    struct message message;
    message_init(&message);
    if (!held_restore(waiting->held, &message))
        targets->undelivered(targets->self, &message, target, why);
    message_close(&message);
    forget_request(targets, target, waiting);
}

static void target_hold(struct targets *targets, struct target *target, struct message *message)
{
    struct held_request *waiting = calloc(1, sizeof(*waiting));
    if (waiting)
        waiting->held = held_create(message, NULL);
    if (!waiting || !waiting->held) {
        free(waiting);
        hand_back(targets, target, message,
                  "is not connected yet, and the controller is out of memory");
        return;
    }
    waiting->since_ms = clock_ms();
    DL_APPEND(target->waiting, waiting);
    if (!targets->waiting++)
        targets->next_try_ms = waiting->since_ms + RETRY_MS;
}

static void target_refuse(struct targets *targets, const struct target *target,
                          struct message *message)
{
    const char *name = routes_of(&targets->routes, target->uuid);
    size_t waiting = outbox_waiting(&targets->outbox, name, strlen(name));
    log_limited(&targets->full, IPCL_LOG_WARN,
                "requests to %s are refused: it does not read earlier ones, and %zu bytes wait "
                "for it (IPController.unread_backlog)",
                target->name, waiting);
    hand_back(targets, target, message,
              "did not get this request: it does not read earlier ones, and no more may wait in "
              "the controller (IPController.unread_backlog)");
}

/* What does not leave is as it was. */
static enum outbox_fate target_send(struct targets *targets, const struct target *target,
                                    struct message *message)
{
    const char *name = routes_of(&targets->routes, target->uuid);
    if (segments_give_to(name, message) ||
        seal_sign(targets->seal, message, name, strlen(name), target->sealed, NULL) ||
        message_replace(message_peer(message), name, strlen(name)))
        return OUTBOX_FULL;
    enum outbox_fate fate = outbox_send(&targets->outbox, message, 0);
    if (fate == OUTBOX_TAKEN)
        return fate;
    segments_recall_from(name, message);
    message_replace(message_peer(message), target->uuid, strlen(target->uuid));
    return fate;
}

void targets_send(struct targets *targets, struct target *target, struct message *message)
{
    enum outbox_fate fate = OUTBOX_ABSENT;
    if (target->id >= 0 && !target->waiting)
        fate = target_send(targets, target, message);
    if (fate == OUTBOX_ABSENT)
        target_hold(targets, target, message);
    else if (fate == OUTBOX_FULL)
        target_refuse(targets, target, message);
    message_clear(message);
}

struct unsent {
    struct targets *targets;
    const struct target *target;
    const char *why;
};

static void target_give_back(void *self, struct message *message)
{
    const struct unsent *unsent = self;
    message_replace(message_peer(message), unsent->target->uuid, strlen(unsent->target->uuid));
    unsent->targets->undelivered(unsent->targets->self, message, unsent->target, unsent->why);
}

static void target_forget(struct targets *targets, struct target *target, const char *why)
{
    struct unsent unsent = {targets, target, why};
    const char *name = routes_of(&targets->routes, target->uuid);
    outbox_forget(&targets->outbox, name, strlen(name), target_give_back, &unsent);
    while (target->waiting)
        target_give_up(targets, target, target->waiting, why);
    HASH_DEL(targets->by_uuid, target);
    free(target);
}

static void note_end(struct targets *targets, const char *uuid, const char *why)
{
    struct target_end *end = &targets->ends[targets->next_end++ % TARGETS_ENDS];
    strcpy(end->uuid, uuid);
    free(end->why);
    end->why = strdup(why);
}

const char *targets_end(const struct targets *targets, const void *uuid, size_t size)
{
    for (size_t i = 1; i <= TARGETS_ENDS; i++) {
        const struct target_end *end = &targets->ends[(targets->next_end - i) % TARGETS_ENDS];
        if (end->why && strlen(end->uuid) == size && !memcmp(end->uuid, uuid, size))
            return end->why;
    }
    return NULL;
}

void targets_remove(struct targets *targets, const struct notice *notice)
{
    size_t size = strlen(notice->uuid);
    struct target *target = target_find(targets, notice->uuid, size);
    char why[NOTICE_TEXT_BYTES + 64];
    snprintf(why, sizeof(why), "this request has not reached its engine: %s", notice->text);
    if (target)
        target_forget(targets, target, why);
    note_end(targets, notice->uuid, why);
    routes_forget(&targets->routes, notice->uuid);
    /* It may not come back, as others may. */
    if (target_is_open(targets) && (target = target_create(targets, -1, notice->uuid, size, NULL)))
        target->gone = true;
}

/* Sends what an engine's requests wait for, as far as it is connected. */
static void target_try_again(struct targets *targets, struct target *target, long long now_ms)
{
    struct message message;
    char why[ENGINE_NAME_BYTES + 64];
    if (target->id < 0) {
        snprintf(why, sizeof(why), "%s is not registered: it may have died", target->name);
        if (now_ms >= targets->return_until_ms)
            target_forget(targets, target, why);
        return;
    }
    snprintf(why, sizeof(why), "%s has registered but never connected to this socket",
             target->name);
    message_init(&message);
    while (target->waiting) {
        struct held_request *waiting = target->waiting;
        message_clear(&message);
        if (held_restore(waiting->held, &message))
            break;
        enum outbox_fate fate = target_send(targets, target, &message);
        if (fate == OUTBOX_TAKEN)
            forget_request(targets, target, waiting);
        else if (fate == OUTBOX_ABSENT && now_ms - waiting->since_ms > HELD_MS_MAX)
            target_give_up(targets, target, waiting, why);
        else
            break;
    }
    message_close(&message);
}

long long targets_tick(struct targets *targets, long long now_ms)
{
    struct target *target, *next;
    if (targets->waiting && now_ms >= targets->next_try_ms) {
        HASH_ITER (hh, targets->by_uuid, target, next)
            target_try_again(targets, target, now_ms);
        targets->next_try_ms = now_ms + RETRY_MS;
    }
    long long due_ms = outbox_tick(&targets->outbox, now_ms);
    return targets->waiting ? clock_sooner(targets->next_try_ms, due_ms) : due_ms;
}

void targets_release(struct targets *targets)
{
    struct target *target, *next_target;
    outbox_release(&targets->outbox);
    for (size_t i = 0; i < TARGETS_ENDS; i++)
        free(targets->ends[i].why);
    routes_release(&targets->routes);
    HASH_ITER (hh, targets->by_uuid, target, next_target) {
        while (target->waiting)
            forget_request(targets, target, target->waiting);
        HASH_DEL(targets->by_uuid, target);
        free(target);
    }
}
