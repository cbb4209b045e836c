/* The direct ("mux") and the control thread: each relays requests from clients (ROUTER) to the
 * engine that they name (ROUTER), and the replies back.
 *
 * A client sends [engine, delimiter ...], so its ROUTER hands us [client, engine, delimiter ...];
 * exchanging the first two frames makes what the engine's ROUTER needs, and the same on the way
 * back. The hub announces engines before clients hear of them. */
#include <stdlib.h>
#include <string.h>
#include <uthash.h>
#include <utlist.h>

#include "base/clock.h"
#include "controller/controller.h"
#include "controller/held.h"
#include "wire/loop.h"
#include "controller/notice.h"
#include "controller/refusal.h"
#include "controller/reply.h"
#include "controller/report.h"

/* An engine may be registered before all of its sockets have connected: its requests are held, and
 * tried again this often, for this long. */
#define RETRY_MS    20
#define HELD_MS_MAX 30000

struct held_request {
    struct held *held; /* as it goes to the engine: [engine, client, delimiter ...] */
    long long since_ms;
    struct held_request *prev, *next;
};

struct target {
    char uuid[ENGINE_UUID_BYTES];
    int id;
    struct held_request *waiting; /* oldest first; later requests queue behind them */
    UT_hash_handle hh;
};

struct relay {
    struct loop *loop;
    struct session *session;
    void *clients;
    void *engines;
    void *notices;
    struct target *targets;
    size_t waiting; /* held requests of all targets */
    long long next_try_ms;
    bool counted; /* the hub hears of requests and replies */
    struct report report;
    struct refusal bad_request;
    struct refusal bad_reply;
};

static struct target *find_target(const struct relay *relay, zmq_msg_t *uuid)
{
    struct target *target;
    HASH_FIND(hh, relay->targets, zmq_msg_data(uuid), zmq_msg_size(uuid), target);
    return target;
}

static void refuse(struct relay *relay, struct message *message, const struct target *target,
                   const char *why)
{
    struct reply_request request;
    char text[512];
    reply_request_of(message, &request);
    int length =
        request.engine_size < ENGINE_UUID_BYTES ? (int)request.engine_size : ENGINE_UUID_BYTES;
    if (target)
        snprintf(text, sizeof(text), "engine %d (%s) %s", target->id, target->uuid, why);
    else
        snprintf(text, sizeof(text), "engine '%.*s' %s", length, (const char *)request.engine, why);
    reply_error(relay->session, relay->clients, &request, target ? target->uuid : NULL,
                "EngineError", text, NULL);
}

/* Answers a request that was held, and forgets it. */
static void give_up(struct relay *relay, struct target *target, struct held_request *waiting,
                    const char *why)
{
    struct message message;
    message_init(&message);
    if (!held_restore(waiting->held, &message)) {
        message_swap_identities(&message);
        refuse(relay, &message, target, why);
    }
    message_close(&message);
    DL_DELETE(target->waiting, waiting);
    relay->waiting--;
    held_destroy(waiting->held);
    free(waiting);
}

static void hold(struct relay *relay, struct target *target, struct message *message)
{
    struct held_request *waiting = calloc(1, sizeof(*waiting));
    if (waiting)
        waiting->held = held_create(message);
    if (!waiting || !waiting->held) {
        free(waiting);
        message_swap_identities(message);
        refuse(relay, message, target, "is not connected yet, and the controller is out of memory");
        return;
    }
    waiting->since_ms = clock_ms();
    DL_APPEND(target->waiting, waiting);
    if (!relay->waiting++)
        relay->next_try_ms = waiting->since_ms + RETRY_MS;
}

/* Sends what an engine's requests wait for, as far as it is connected. */
static void try_again(struct relay *relay, struct target *target, long long now_ms)
{
    struct message message;
    message_init(&message);
    while (target->waiting) {
        struct held_request *waiting = target->waiting;
        message_clear(&message);
        if (held_restore(waiting->held, &message))
            break;
        if (!message_send(&message, relay->engines)) {
            DL_DELETE(target->waiting, waiting);
            relay->waiting--;
            held_destroy(waiting->held);
            free(waiting);
        } else if (now_ms - waiting->since_ms > HELD_MS_MAX) {
            give_up(relay, target, waiting, "has registered but never connected to this socket");
        } else {
            break;
        }
    }
    message_close(&message);
}

static long long on_tick(void *self, long long now_ms)
{
    struct relay *relay = self;
    report_flush(&relay->report);
    if (!relay->waiting)
        return LOOP_NEVER;
    if (now_ms >= relay->next_try_ms) {
        for (struct target *target = relay->targets; target; target = target->hh.next)
            try_again(relay, target, now_ms);
        relay->next_try_ms = now_ms + RETRY_MS;
    }
    return relay->waiting ? relay->next_try_ms : LOOP_NEVER;
}

static void add_target(struct relay *relay, const struct notice *notice)
{
    struct target *target = calloc(1, sizeof(*target));
    if (!target)
        return;
    target->id = notice->id;
    memcpy(target->uuid, notice->uuid, sizeof(target->uuid));
    HASH_ADD_KEYPTR(hh, relay->targets, target->uuid, strlen(target->uuid), target);
}

static void remove_target(struct relay *relay, const struct notice *notice)
{
    struct target *target;
    HASH_FIND(hh, relay->targets, notice->uuid, strlen(notice->uuid), target);
    if (!target)
        return;
    /* What it answered before it went still counts. */
    loop_drain(relay->loop, relay->engines);
    while (target->waiting)
        give_up(relay, target, target->waiting, "died before it got this request");
    HASH_DEL(relay->targets, target);
    free(target);
}

static void read_notices(void *self)
{
    struct relay *relay = self;
    struct notice notice;
    while (notice_recv(relay->notices, &notice)) {
        if (notice.kind == NOTICE_ADDED)
            add_target(relay, &notice);
        else if (notice.kind == NOTICE_GONE)
            remove_target(relay, &notice);
    }
}

static void count_request(struct relay *relay, const struct target *target, struct message *message)
{
    struct ipcl_member member = {.name = "msg_id"};
    if (!session_find(relay->session, message_part(message, MESSAGE_HEADER), &member, 1))
        report_add(&relay->report, REPORT_SUBMITTED, REPORT_DIRECT, target->id, member.data,
                   member.size, message);
}

static void count_reply(struct relay *relay, const struct target *target, struct message *message)
{
    struct ipcl_member member = {.name = "msg_id"};
    if (!session_find(relay->session, message_part(message, MESSAGE_PARENT), &member, 1) &&
        member.state == IPCL_MEMBER_TEXT)
        report_add(&relay->report, REPORT_DONE, REPORT_DIRECT, target->id, member.data, member.size,
                   message);
}

static void from_client(void *self, struct message *message)
{
    struct relay *relay = self;
    if (!refusal_verify(&relay->bad_request, relay->session, message, 2))
        return;
    struct target *target = find_target(relay, &message->frames[1]);
    if (!target) {
        read_notices(relay);
        target = find_target(relay, &message->frames[1]);
    }
    if (!target) {
        refuse(relay, message, NULL, "is not registered: it may have died");
        return;
    }
    if (relay->counted)
        count_request(relay, target, message);
    message_swap_identities(message);
    if (target->waiting || message_send(message, relay->engines))
        hold(relay, target, message);
}

static void from_engine(void *self, struct message *message)
{
    struct relay *relay = self;
    if (!refusal_verify(&relay->bad_reply, relay->session, message, 2))
        return;
    struct target *target = find_target(relay, &message->frames[0]);
    if (!target) {
        refusal_note(&relay->bad_reply, "it comes from an engine that is not registered");
        return;
    }
    if (relay->counted)
        count_reply(relay, target, message);
    message_swap_identities(message);
    message_send(message, relay->clients);
}

static struct loop *relay_loop(void *self)
{
    return ((struct relay *)self)->loop;
}

static void relay_destroy(void *self)
{
    struct relay *relay = self;
    struct target *target, *next_target;
    struct held_request *waiting, *next;
    if (!relay)
        return;
    refusal_summary(&relay->bad_request);
    refusal_summary(&relay->bad_reply);
    HASH_ITER (hh, relay->targets, target, next_target) {
        DL_FOREACH_SAFE (target->waiting, waiting, next) {
            held_destroy(waiting->held);
            free(waiting);
        }
        HASH_DEL(relay->targets, target);
        free(target);
    }
    loop_destroy(relay->loop);
    session_destroy(relay->session);
    report_release(&relay->report);
    free(relay);
}

/* How the two relays differ. */
struct relay_kind {
    const char *name;
    const char *client_identity; /* ipyparallel's names of these ROUTERs */
    const char *engine_identity;
    const char *client_side; /* for the log */
    const char *engine_side;
    bool counted;
};

static int open_sockets(struct relay *relay, struct controller *controller,
                        const struct relay_kind *kind, int *client_port, int *engine_port,
                        struct ipcl_error *error)
{
    relay->notices = controller_inproc_bind(controller, ZMQ_PULL, kind->name, error);
    if (loop_add_ready(relay->loop, relay->notices, read_notices, relay))
        return -1;
    relay->engines =
        controller_listen_mandatory(controller, kind->engine_identity, engine_port, error);
    if (loop_add(relay->loop, relay->engines, from_engine, relay))
        return -1;
    relay->clients =
        controller_listen(controller, ZMQ_ROUTER, kind->client_identity, client_port, error);
    if (loop_add(relay->loop, relay->clients, from_client, relay))
        return -1;
    relay->report.socket = controller_inproc_connect(controller, ZMQ_PUSH, "hub", error);
    return loop_keep(relay->loop, relay->report.socket);
}

static void *relay_create(struct controller *controller, const struct relay_kind *kind,
                          int *client_port, int *engine_port, struct ipcl_error *error)
{
    struct relay *relay = calloc(1, sizeof(*relay));
    if (!relay)
        return NULL;
    relay->counted = kind->counted;
    relay->bad_request.socket = kind->client_side;
    relay->bad_reply.socket = kind->engine_side;
    relay->report.recording = controller->store != NULL;
    relay->session = controller_session(controller, error);
    relay->loop = loop_create(controller->context, kind->name, error);
    if (!relay->session || !relay->loop ||
        open_sockets(relay, controller, kind, client_port, engine_port, error)) {
        relay_destroy(relay);
        return NULL;
    }
    loop_set_tick(relay->loop, on_tick, relay);
    return relay;
}

static void *direct_create(struct controller *controller, struct ipcl_error *error)
{
    static const struct relay_kind kind = {
        "direct", "mux_in", "mux_out", "direct, client side", "direct, engine side", true,
    };
    return relay_create(controller, &kind, &controller->clients.mux, &controller->engines.mux,
                        error);
}

static void *control_create(struct controller *controller, struct ipcl_error *error)
{
    static const struct relay_kind kind = {
        "control", "control_in", "control_out", "control, client side", "control, engine side",
        false,
    };
    return relay_create(controller, &kind, &controller->clients.control,
                        &controller->engines.control, error);
}

const struct module direct_module = {"direct", direct_create, relay_loop, relay_destroy};
const struct module control_module = {"control", control_create, relay_loop, relay_destroy};
