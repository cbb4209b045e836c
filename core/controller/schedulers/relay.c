/* The direct ("mux") and the control thread: each relays requests from clients (ROUTER) to the
 * engine that they name (ROUTER), and the replies back.
 *
 * A client sends [engine, delimiter ...], so its ROUTER hands us [client, engine, delimiter ...];
 * exchanging the first two frames makes what the engine's ROUTER needs, and the same on the way
 * back. The hub announces engines before clients hear of them.
 *
 * Where this controller has taken a previous one's place, reconnecting engines and clients come one
 * by one, and with them replies to earlier requests: for a while requests wait for engines that are
 * not known yet, and replies pass from engines that the previous controller knew. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/trace.h"
#include "controller/door/gate.h"
#include "controller/delivery/reply.h"
#include "controller/exchange/notice.h"
#include "controller/schedulers/passage.h"

struct relay {
    struct passage passage;
    bool counted; /* the hub hears of requests and replies */
};

static void relay_refuse(struct relay *relay, struct message *message, const char *ename,
                         const char *evalue)
{
    struct reply_request request;
    reply_request_of(message, &request);
    replies_error(&relay->passage.replies, &request, NULL, ename, evalue);
}

static void refuse_unknown(struct relay *relay, struct message *message)
{
    struct reply_request request;
    char text[ENGINE_UUID_BYTES + 64];
    reply_request_of(message, &request);
    int length =
        request.engine_size < ENGINE_UUID_BYTES ? (int)request.engine_size : ENGINE_UUID_BYTES;
    snprintf(text, sizeof(text), "engine '%.*s' is not registered: it may have died", length,
             (const char *)request.engine);
    const char *why = targets_end(&relay->passage.targets, request.engine, request.engine_size);
    relay_refuse(relay, message, "EngineError", why ? why : text);
}

static void relay_undelivered(void *self, struct message *message, const struct target *target,
                              const char *why)
{
    struct relay *relay = self;
    struct reply_request request;
    struct ipcl_member msg_id = {.name = "msg_id"};
    bool awaited = !session_find(relay->passage.sessions.clients,
                                 message_part(message, MESSAGE_HEADER), &msg_id, 1) &&
                   msg_id.state == IPCL_MEMBER_TEXT &&
                   asked_take(&relay->passage.asked, message, &msg_id) == ASKED_ANSWER;
    message_swap_identities(message);
    reply_request_of(message, &request);
    if (relay->counted && awaited)
        targets_report_undelivered(&relay->passage.report, target, relay->passage.sessions.clients,
                                   &request, &msg_id, why);
    replies_error(&relay->passage.replies, &request, target->uuid, "EngineError", why);
}

static long long relay_on_tick(void *self, long long now_ms)
{
    struct relay *relay = self;
    long long targets_ms = targets_tick(&relay->passage.targets, now_ms);
    report_flush(&relay->passage.report);
    long long replies_ms = replies_tick(&relay->passage.replies, now_ms);
    return clock_sooner(replies_ms, targets_ms);
}

static void relay_read_notices(void *self)
{
    struct relay *relay = self;
    struct notice notice;
    while (notice_recv(relay->passage.notices, &notice)) {
        if (notice.kind == NOTICE_KNOWN) {
            targets_know(&relay->passage.targets, &notice);
            continue;
        }
        if (notice.kind == NOTICE_ADDED) {
            targets_add(&relay->passage.targets, &notice);
            continue;
        }
        /* What it answered before it went still counts. */
        loop_drain(relay->passage.loop, relay->passage.targets.engines);
        targets_remove(&relay->passage.targets, &notice);
        asked_forget(&relay->passage.asked, notice.uuid);
        report_forgotten(&relay->passage.report, notice.uuid);
    }
}

static struct target *relay_find_target(struct relay *relay, zmq_msg_t *uuid)
{
    return targets_find(&relay->passage.targets, zmq_msg_data(uuid), zmq_msg_size(uuid));
}

static void count_request(void *self, struct message *message, const struct target *target)
{
    struct relay *relay = self;
    struct ipcl_member members[] = {{.name = "msg_id"}, {.name = "msg_type"}};
    if (!session_find(relay->passage.sessions.clients, message_part(message, MESSAGE_HEADER),
                      members, 2) &&
        asked_is_request(&members[1]))
        report_add(&relay->passage.report, REPORT_SUBMITTED, REPORT_DIRECT, target->id,
                   members[0].data, members[0].size, message);
}

static void relay_from_client(void *self, struct message *message)
{
    struct relay *relay = self;
    if (!replies_verify(&relay->passage.replies, &relay->passage.bad_request, message, 2))
        return;
    early_meet(&relay->passage.replies.early, message);
    trace_step(TRACE_RECEIVE, message->msg_id.data, message->msg_id.size, -1);
    struct target *target = relay_find_target(relay, message_partner(message));
    if (!target) {
        relay_read_notices(relay);
        target = relay_find_target(relay, message_partner(message));
    }
    if (!target)
        target = targets_await(&relay->passage.targets, zmq_msg_data(message_partner(message)),
                               zmq_msg_size(message_partner(message)));
    if (!target) {
        refuse_unknown(relay, message);
        return;
    }
    if (asked_add(&relay->passage.asked, message_peer(message), target->uuid, &message->msg_id,
                  &message->msg_type)) {
        relay_refuse(relay, message, "MemoryError", "the controller is out of memory");
        return;
    }
    if (relay->counted && target->id >= 0)
        count_request(relay, message, target);
    trace_step(TRACE_DISPATCH, message->msg_id.data, message->msg_id.size, target->id);
    message_swap_identities(message);
    targets_send(&relay->passage.targets, target, message);
}

static void relay_from_engine(void *self, struct message *message)
{
    struct relay *relay = self;
    if (refusal_verify(&relay->passage.bad_reply, &relay->passage.sessions.engine_seal, message,
                       2) != SESSION_ACCEPTED)
        return;
    zmq_msg_t *uuid = message_peer(message);
    bool known = routes_translate(&relay->passage.targets.routes, uuid);
    struct target *target = relay_find_target(relay, uuid);
    if (!known || (!target && !targets_may_return(&relay->passage.targets, zmq_msg_data(uuid),
                                                  zmq_msg_size(uuid)))) {
        refusal_note(&relay->passage.bad_reply, REFUSED_STRANGER,
                     "it comes from an engine that is not registered");
        return;
    }
    struct ipcl_member parent = {.name = "msg_id"};
    if (session_find(relay->passage.sessions.clients, message_part(message, MESSAGE_PARENT),
                     &parent, 1) ||
        parent.state != IPCL_MEMBER_TEXT) {
        refusal_note(&relay->passage.bad_reply, REFUSED_NOT_ASKED, "it answers nothing");
        return;
    }
    enum asked_verdict verdict = asked_take(&relay->passage.asked, message, &parent);
    if (verdict == ASKED_OTHER) {
        refusal_note(&relay->passage.bad_reply, REFUSED_NOT_ASKED, REFUSAL_NOT_ASKED);
        return;
    }
    if (relay->counted)
        asked_report(&relay->passage.report, verdict, target ? target->id : -1, &parent, message);
    trace_step(TRACE_ENGINE_REPLY, parent.data, parent.size, target ? target->id : -1);
    message_swap_identities(message);
    replies_send(&relay->passage.replies, message);
}

/* An answer is lost. Engines answer in the order in which they were asked. So when all earlier
 * answers are taken in, it was the answer to the oldest request. */
static void relay_hear_losses(void *self)
{
    struct relay *relay = self;
    struct ipcl_member client, msg_id;
    struct gate_loss loss;
    struct message reply;
    message_init(&reply);
    while (gate_read_loss(relay->passage.losses, &loss)) {
        loop_drain(relay->passage.loop, relay->passage.targets.engines);
        const char *uuid = routes_owner(&relay->passage.targets.routes, loss.name);
        const struct target *target =
            uuid ? targets_find(&relay->passage.targets, uuid, strlen(uuid)) : NULL;
        if (!target || !asked_lose(&relay->passage.asked, uuid, &client, &msg_id) ||
            reply_lost(relay->passage.sessions.clients, &reply, &client, &msg_id, uuid, true,
                       loss.text))
            continue;
        if (relay->counted)
            asked_report(&relay->passage.report, ASKED_ANSWER, target->id, &msg_id, &reply);
        replies_send(&relay->passage.replies, &reply);
        message_clear(&reply);
    }
    message_close(&reply);
}

static struct loop *relay_loop(void *self)
{
    return ((struct relay *)self)->passage.loop;
}

static void relay_destroy(void *self)
{
    struct relay *relay = self;
    if (!relay)
        return;
    passage_close(&relay->passage);
    free(relay);
}

static void *relay_create(struct controller *controller, const struct passage_kind *kind,
                          int *client_port, int *engine_port, bool counted,
                          struct ipcl_error *error)
{
    struct relay *relay = controller_allocate(sizeof(*relay), error);
    if (!relay)
        return NULL;
    relay->counted = counted;
    relay->passage.targets.undelivered = relay_undelivered;
    relay->passage.targets.returned = counted ? count_request : NULL;
    if (passage_open(&relay->passage, kind, relay, controller, client_port, engine_port, error)) {
        relay_destroy(relay);
        return NULL;
    }
    return relay;
}

static void *relay_create_direct(struct controller *controller, struct ipcl_error *error)
{
    static const struct passage_kind kind = {
        "direct",          CHANNEL_DIRECT,       SEAL_DIRECT,          "mux_in",
        "mux_out",         STATS_DIRECT_CLIENTS, STATS_DIRECT_ENGINES, relay_from_client,
        relay_from_engine, relay_read_notices,   relay_hear_losses,    relay_on_tick,
    };
    return relay_create(controller, &kind, &controller->clients.mux, &controller->engines.mux, true,
                        error);
}

static void *relay_create_control(struct controller *controller, struct ipcl_error *error)
{
    static const struct passage_kind kind = {
        "control",         CHANNEL_CONTROL,       SEAL_CONTROL,          "control_in",
        "control_out",     STATS_CONTROL_CLIENTS, STATS_CONTROL_ENGINES, relay_from_client,
        relay_from_engine, relay_read_notices,    relay_hear_losses,     relay_on_tick,
    };
    return relay_create(controller, &kind, &controller->clients.control,
                        &controller->engines.control, false, error);
}

const struct module direct_module = {"direct", relay_create_direct, relay_loop, relay_destroy};
const struct module control_module = {"control", relay_create_control, relay_loop, relay_destroy};
