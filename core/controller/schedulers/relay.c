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
#include <unistd.h>

#include "base/clock.h"
#include "base/trace.h"
#include "controller/exchange/asked.h"
#include "controller/exchange/channels.h"
#include "controller/exchange/controller.h"
#include "controller/door/gate.h"
#include "controller/delivery/replies.h"
#include "wire/loop.h"
#include "controller/exchange/notice.h"
#include "controller/exchange/refusal.h"
#include "controller/delivery/reply.h"
#include "controller/exchange/report.h"
#include "controller/delivery/targets.h"

struct relay {
    struct loop *loop;
    struct sessions sessions;
    void *clients;
    void *notices;
    struct targets targets;
    struct replies replies;
    struct asked asked;
    int losses;   /* of answers that are too large to be read (gate.h) */
    bool counted; /* the hub hears of requests and replies */
    struct report report;
    struct refusal bad_request;
    struct refusal bad_reply;
};

static void relay_refuse(struct relay *relay, struct message *message, const char *ename,
                         const char *evalue)
{
    struct reply_request request;
    reply_request_of(message, &request);
    replies_error(&relay->replies, &request, NULL, ename, evalue);
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
    const char *why = targets_end(&relay->targets, request.engine, request.engine_size);
    relay_refuse(relay, message, "EngineError", why ? why : text);
}

static void relay_undelivered(void *self, struct message *message, const struct target *target,
                              const char *why)
{
    struct relay *relay = self;
    struct reply_request request;
    struct ipcl_member msg_id = {.name = "msg_id"};
    bool awaited =
        !session_find(relay->sessions.clients, message_part(message, MESSAGE_HEADER), &msg_id, 1) &&
        msg_id.state == IPCL_MEMBER_TEXT &&
        asked_take(&relay->asked, message, &msg_id) == ASKED_ANSWER;
    message_swap_identities(message);
    reply_request_of(message, &request);
    if (relay->counted && awaited)
        targets_report_undelivered(&relay->report, target, relay->sessions.clients, &request,
                                   &msg_id, why);
    replies_error(&relay->replies, &request, target->uuid, "EngineError", why);
}

static long long relay_on_tick(void *self, long long now_ms)
{
    struct relay *relay = self;
    long long replies_ms = replies_tick(&relay->replies, now_ms);
    long long targets_ms = targets_tick(&relay->targets, now_ms);
    report_flush(&relay->report);
    return clock_sooner(replies_ms, targets_ms);
}

static void relay_read_notices(void *self)
{
    struct relay *relay = self;
    struct notice notice;
    while (notice_recv(relay->notices, &notice)) {
        if (notice.kind == NOTICE_KNOWN) {
            targets_know(&relay->targets, &notice);
            continue;
        }
        if (notice.kind == NOTICE_ADDED) {
            targets_add(&relay->targets, &notice);
            continue;
        }
        /* What it answered before it went still counts. */
        loop_drain(relay->loop, relay->targets.engines);
        targets_remove(&relay->targets, &notice);
        asked_forget(&relay->asked, notice.uuid);
        report_forgotten(&relay->report, notice.uuid);
    }
}

static struct target *relay_find_target(struct relay *relay, zmq_msg_t *uuid)
{
    return targets_find(&relay->targets, zmq_msg_data(uuid), zmq_msg_size(uuid));
}

static void count_request(void *self, struct message *message, const struct target *target)
{
    struct relay *relay = self;
    struct ipcl_member members[] = {{.name = "msg_id"}, {.name = "msg_type"}};
    if (!session_find(relay->sessions.clients, message_part(message, MESSAGE_HEADER), members, 2) &&
        asked_is_request(&members[1]))
        report_add(&relay->report, REPORT_SUBMITTED, REPORT_DIRECT, target->id, members[0].data,
                   members[0].size, message);
}

static void relay_from_client(void *self, struct message *message)
{
    struct relay *relay = self;
    if (!replies_verify(&relay->replies, &relay->bad_request, message, 2))
        return;
    early_meet(&relay->replies.early, message);
    trace_step(TRACE_RECEIVE, message->msg_id.data, message->msg_id.size, -1);
    struct target *target = relay_find_target(relay, message_partner(message));
    if (!target) {
        relay_read_notices(relay);
        target = relay_find_target(relay, message_partner(message));
    }
    if (!target)
        target = targets_await(&relay->targets, zmq_msg_data(message_partner(message)),
                               zmq_msg_size(message_partner(message)));
    if (!target) {
        refuse_unknown(relay, message);
        return;
    }
    if (asked_add(&relay->asked, message_peer(message), target->uuid, &message->msg_id,
                  &message->msg_type)) {
        relay_refuse(relay, message, "MemoryError", "the controller is out of memory");
        return;
    }
    if (relay->counted && target->id >= 0)
        count_request(relay, message, target);
    trace_step(TRACE_DISPATCH, message->msg_id.data, message->msg_id.size, target->id);
    message_swap_identities(message);
    targets_send(&relay->targets, target, message);
}

static void relay_from_engine(void *self, struct message *message)
{
    struct relay *relay = self;
    if (refusal_verify(&relay->bad_reply, &relay->sessions.engine_seal, message, 2) !=
        SESSION_ACCEPTED)
        return;
    zmq_msg_t *uuid = message_peer(message);
    bool known = routes_translate(&relay->targets.routes, uuid);
    struct target *target = relay_find_target(relay, uuid);
    if (!known ||
        (!target && !targets_may_return(&relay->targets, zmq_msg_data(uuid), zmq_msg_size(uuid)))) {
        refusal_note(&relay->bad_reply, REFUSED_STRANGER,
                     "it comes from an engine that is not registered");
        return;
    }
    struct ipcl_member parent = {.name = "msg_id"};
    if (session_find(relay->sessions.clients, message_part(message, MESSAGE_PARENT), &parent, 1) ||
        parent.state != IPCL_MEMBER_TEXT) {
        refusal_note(&relay->bad_reply, REFUSED_NOT_ASKED, "it answers nothing");
        return;
    }
    enum asked_verdict verdict = asked_take(&relay->asked, message, &parent);
    if (verdict == ASKED_OTHER) {
        refusal_note(&relay->bad_reply, REFUSED_NOT_ASKED, REFUSAL_NOT_ASKED);
        return;
    }
    if (relay->counted)
        asked_report(&relay->report, verdict, target ? target->id : -1, &parent, message);
    trace_step(TRACE_ENGINE_REPLY, parent.data, parent.size, target ? target->id : -1);
    message_swap_identities(message);
    replies_send(&relay->replies, message);
}

/* An answer is lost. Engines answer in the order in which they were asked: so it was the oldest
 * request's, once what they had answered before is taken in. */
static void relay_hear_losses(void *self)
{
    struct relay *relay = self;
    struct ipcl_member client, msg_id;
    struct gate_loss loss;
    struct message reply;
    message_init(&reply);
    while (gate_read_loss(relay->losses, &loss)) {
        loop_drain(relay->loop, relay->targets.engines);
        const char *uuid = routes_owner(&relay->targets.routes, loss.name);
        const struct target *target =
            uuid ? targets_find(&relay->targets, uuid, strlen(uuid)) : NULL;
        if (!target || !asked_lose(&relay->asked, uuid, &client, &msg_id) ||
            reply_lost(relay->sessions.clients, &reply, &client, &msg_id, uuid, true, loss.text))
            continue;
        if (relay->counted)
            asked_report(&relay->report, ASKED_ANSWER, target->id, &msg_id, &reply);
        replies_send(&relay->replies, &reply);
        message_clear(&reply);
    }
    message_close(&reply);
}

static struct loop *relay_loop(void *self)
{
    return ((struct relay *)self)->loop;
}

static void relay_destroy(void *self)
{
    struct relay *relay = self;
    if (!relay)
        return;
    refusal_summary(&relay->bad_request);
    refusal_summary(&relay->bad_reply);
    targets_release(&relay->targets);
    replies_release(&relay->replies);
    asked_release(&relay->asked);
    loop_destroy(relay->loop);
    if (relay->losses > 0)
        close(relay->losses);
    sessions_destroy(&relay->sessions);
    report_release(&relay->report);
    free(relay);
}

/* How the two relays differ. */
struct relay_kind {
    const char *name;
    enum channel notices;
    enum seal_channel seal_channel;
    const char *client_identity; /* ipyparallel's names of these ROUTERs */
    const char *engine_identity;
    enum stats_socket client_side;
    enum stats_socket engine_side;
    bool counted;
};

static int relay_open_sockets(struct relay *relay, struct controller *controller,
                              const struct relay_kind *kind, int *client_port, int *engine_port,
                              struct ipcl_error *error)
{
    relay->notices = channel_bind(controller, kind->notices, error);
    if (loop_add_ready(relay->loop, relay->notices, relay_read_notices, relay))
        return -1;
    relay->losses = gate_watch_losses(error);
    if (loop_add_fd(relay->loop, relay->losses, relay_hear_losses, relay))
        return -1;
    relay->targets.engines =
        controller_listen_mandatory(controller, kind->engine_identity, engine_port, error);
    if (loop_add(relay->loop, relay->targets.engines, relay_from_engine, relay))
        return -1;
    stats_watch(kind->engine_side, relay->loop, relay->targets.engines,
                &relay->sessions.engine_seal);
    relay->clients = controller_listen(controller, CONNECTION_CLIENT, ZMQ_ROUTER,
                                       kind->client_identity, client_port, error);
    if (loop_add(relay->loop, relay->clients, relay_from_client, relay))
        return -1;
    stats_watch(kind->client_side, relay->loop, relay->clients, &relay->sessions.client_seal);
    if (replies_prepare(&relay->replies, controller, &relay->sessions.client_seal, relay->clients,
                        kind->client_side, error) ||
        targets_prepare(&relay->targets, controller, &relay->sessions.engine_seal,
                        kind->engine_side, error))
        return -1;
    replies_await_clients(&relay->replies, controller);
    relay->targets.return_until_ms = relay->replies.early.until_ms;
    relay->report.socket = channel_connect(controller, CHANNEL_HUB, error);
    return loop_keep(relay->loop, relay->report.socket);
}

static void *relay_create(struct controller *controller, const struct relay_kind *kind,
                          int *client_port, int *engine_port, struct ipcl_error *error)
{
    struct relay *relay = controller_allocate(sizeof(*relay), error);
    if (!relay)
        return NULL;
    relay->counted = kind->counted;
    relay->targets.undelivered = relay_undelivered;
    relay->targets.returned = kind->counted ? count_request : NULL;
    relay->targets.self = relay;
    relay->bad_request.socket = kind->client_side;
    relay->bad_reply.socket = kind->engine_side;
    relay->report.recording = controller->store != NULL;
    relay->loop = loop_create(kind->name, error);
    if (!relay->loop || asked_init(&relay->asked, controller->restarted, error) ||
        controller_sessions(controller, kind->seal_channel, &relay->sessions, error) ||
        relay_open_sockets(relay, controller, kind, client_port, engine_port, error)) {
        relay_destroy(relay);
        return NULL;
    }
    loop_set_tick(relay->loop, relay_on_tick, relay);
    return relay;
}

static void *relay_create_direct(struct controller *controller, struct ipcl_error *error)
{
    static const struct relay_kind kind = {
        "direct",  CHANNEL_DIRECT,       SEAL_DIRECT,          "mux_in",
        "mux_out", STATS_DIRECT_CLIENTS, STATS_DIRECT_ENGINES, true,
    };
    return relay_create(controller, &kind, &controller->clients.mux, &controller->engines.mux,
                        error);
}

static void *relay_create_control(struct controller *controller, struct ipcl_error *error)
{
    static const struct relay_kind kind = {
        "control",     CHANNEL_CONTROL,       SEAL_CONTROL,          "control_in",
        "control_out", STATS_CONTROL_CLIENTS, STATS_CONTROL_ENGINES, false,
    };
    return relay_create(controller, &kind, &controller->clients.control,
                        &controller->engines.control, error);
}

const struct module direct_module = {"direct", relay_create_direct, relay_loop, relay_destroy};
const struct module control_module = {"control", relay_create_control, relay_loop, relay_destroy};
