/* The broadcast thread: one request from a client (ROUTER) goes to each of the engines that its
 * metadata name (ROUTER), and each engine's reply goes back; or, where the client wants them
 * coalesced, one reply once all engines have answered or died.
 *
 * The parts of a plain broadcast are relayed like direct requests: which engines have them is all
 * that is kept (asked.h; departures.h says which thread answers for an engine that has died). Of a
 * coalesced one there is a book (gather.h), as the reply has to wait for all. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/trace.h"
#include "controller/door/gate.h"
#include "controller/delivery/reply.h"
#include "controller/exchange/notice.h"
#include "controller/schedulers/broadcast_request.h"
#include "controller/schedulers/gather.h"
#include "controller/schedulers/passage.h"

struct broadcaster {
    struct passage passage; /* what it has `asked` are plain ones */
    struct gather gather;
};

static struct target *broadcast_find_target(const struct broadcaster *broadcast, const char *uuid)
{
    return targets_find(&broadcast->passage.targets, uuid, strlen(uuid));
}

/* The content of the coalesced reply where parts failed. */
static json_t *error_content(const struct broadcaster *broadcast, const struct gathering *gathering)
{
    json_t *content = gathering_error(gathering);
    json_t *info = json_object_get(content, "engine_info");
    const char *uuid = json_string_value(json_object_get(info, "engine_uuid"));
    /* ipyparallel's client looks the uuid up among the living, and fails where it is not. */
    if (uuid && !broadcast_find_target(broadcast, uuid))
        json_object_clear(info);
    return content;
}

static json_t *coalesced_metadata(const struct gathering *gathering, const char *status)
{
    return json_pack("{s:s s:b s:b s:b s:s% s:s s:o}", "started", gathering->started,
                     "dependencies_met", 1, "is_broadcast", 1, "is_coalescing", 1,
                     "original_msg_id", gathering->msg_id, (size_t)gathering->hh.keylen, "status",
                     status, "broadcast_targets", gathering_targets(gathering));
}

/* The one reply: ipyparallel's client takes one object for each engine off the buffers, or the
 * error that the content is. */
static int build_coalesced(struct broadcaster *broadcast, const struct gathering *gathering,
                           struct message *reply)
{
    static const char *const status[] = {
        [PART_OK] = "ok", [PART_FAILED] = "error", [PART_ABORTED] = "aborted"};
    enum part_state state = gathering_state(gathering);
    const struct gather_part *part;
    char type[64];
    reply_type(broadcast->passage.sessions.clients, &gathering->request, type, sizeof(type));
    json_t *metadata = coalesced_metadata(gathering, status[state]);
    json_t *content = state == PART_FAILED    ? error_content(broadcast, gathering)
                      : state == PART_ABORTED ? json_pack("{s:s}", "status", "aborted")
                                              : NULL;
    struct session_parts parts = {
        .msg_type = type,
        .parent = gathering->request.header,
        .parent_size = gathering->request.header_size,
        .metadata = metadata,
        .content = content,
    };
    if (state == PART_OK) {
        parts.packed_content = zmq_msg_data((zmq_msg_t *)&gathering->content);
        parts.packed_content_size = zmq_msg_size(&gathering->content);
    }
    int failed = !metadata ||
                 message_append(reply, gathering->request.client, gathering->request.client_size) ||
                 session_build(broadcast->passage.sessions.clients, reply, &parts, NULL, NULL);
    for (part = gathering->parts; part && !failed && state == PART_OK; part = part->next)
        for (size_t i = 0; i < part->buffer_count && !failed; i++)
            failed = message_append_frame(reply, &part->buffers[i]);
    json_decref(metadata);
    json_decref(content);
    return failed ? -1 : 0;
}

/* Answers a coalesced broadcast once nothing of it is open, and forgets it. */
static void broadcast_finish(struct broadcaster *broadcast, struct gathering *gathering)
{
    struct message reply;
    if (gathering->open)
        return;
    message_init(&reply);
    if (build_coalesced(broadcast, gathering, &reply))
        replies_error(&broadcast->passage.replies, &gathering->request, NULL, "MemoryError",
                      "the controller is out of memory");
    else
        replies_send(&broadcast->passage.replies, &reply);
    trace_step(TRACE_REPLY, gathering->msg_id, gathering->hh.keylen, -1);
    message_close(&reply);
    gather_close(&broadcast->gather, gathering);
}

/* Ends a part without its engine. */
static void fail_part(struct broadcaster *broadcast, struct gather_part *part, const char *text)
{
    struct gathering *gathering = part->gathering;
    gather_fail(&broadcast->gather, part, reply_error_content("EngineError", text));
    broadcast_finish(broadcast, gathering);
}

/* The engine has come back that this request has waited for. */
static void broadcast_returned(void *self, struct message *message, const struct target *target)
{
    struct broadcaster *broadcast = self;
    struct ipcl_member msg_id = {.name = "msg_id"};
    if (!session_find(broadcast->passage.sessions.clients, message_part(message, MESSAGE_HEADER),
                      &msg_id, 1))
        report_add(&broadcast->passage.report, REPORT_SUBMITTED, REPORT_DIRECT, target->id,
                   msg_id.data, msg_id.size, message);
}

/* Whether it is a part of a coalesced broadcast, or a reply to a part: the engine copies this
 * member. The msg_id does not tell: a plain broadcast may have the same one. */
static bool is_coalescing(const struct broadcaster *broadcast, struct message *message)
{
    struct ipcl_member member = {.name = "is_coalescing"};
    if (session_find(broadcast->passage.sessions.clients, message_part(message, MESSAGE_METADATA),
                     &member, 1) ||
        member.state != IPCL_MEMBER_OTHER)
        return false;
    json_t *value =
        session_serial(broadcast->passage.sessions.clients)->unpack(member.data, member.size, NULL);
    bool coalescing = json_is_true(value);
    json_decref(value);
    return coalescing;
}

static void broadcast_undelivered(void *self, struct message *message, const struct target *target,
                                  const char *why)
{
    struct broadcaster *broadcast = self;
    struct ipcl_member msg_id = {.name = "msg_id"};
    struct reply_request request;
    session_find(broadcast->passage.sessions.clients, message_part(message, MESSAGE_HEADER),
                 &msg_id, 1);
    struct gather_part *part = is_coalescing(broadcast, message)
                                   ? gather_find(&broadcast->gather, msg_id.data, msg_id.size)
                                   : NULL;
    bool awaited =
        part || (msg_id.state == IPCL_MEMBER_TEXT &&
                 asked_take(&broadcast->passage.asked, message, &msg_id) == ASKED_ANSWER);
    message_swap_identities(message);
    reply_request_of(message, &request);
    request.engine = NULL;
    if (awaited)
        targets_report_undelivered(&broadcast->passage.report, target,
                                   broadcast->passage.sessions.clients, &request, &msg_id, why);
    if (part)
        fail_part(broadcast, part, why);
    else
        replies_error(&broadcast->passage.replies, &request, target->uuid, "EngineError", why);
}

static void broadcast_read_notices(void *self);

/* Answers a part of a plain broadcast whose engine is not there. */
static void refuse_part(struct broadcaster *broadcast, struct broadcast_request *request,
                        const char *uuid, const char *text)
{
    struct reply_request reply;
    reply_request_of(request->message, &reply);
    reply.header = broadcast_request_header(request, uuid, &reply.header_size);
    if (reply.header)
        replies_error(&broadcast->passage.replies, &reply, uuid, "EngineError", text);
}

/* Sends one engine's request. Returns NULL, or why it cannot be sent. */
static const char *send_part(struct broadcaster *broadcast, struct broadcast_request *request,
                             struct target *target, const char *id)
{
    struct message part;
    const char *why = NULL;
    if (!target)
        return "is not registered: it may have died";
    message_init(&part);
    const struct ipcl_member msg_id = {.data = id, .size = strlen(id)};
    if (broadcast_request_part(request, target->uuid, &part) ||
        (!request->coalescing && asked_add(&broadcast->passage.asked, message_partner(&part),
                                           target->uuid, &msg_id, &request->message->msg_type))) {
        why = "did not get this request: the controller is out of memory";
    } else {
        if (target->id >= 0)
            report_add(&broadcast->passage.report, REPORT_SUBMITTED, REPORT_DIRECT, target->id, id,
                       msg_id.size, &part);
        targets_send(&broadcast->passage.targets, target, &part);
        trace_step(TRACE_DISPATCH, id, msg_id.size, target->id);
    }
    message_close(&part);
    return why;
}

/* Sends the request to all its engines. Each of them is a part of `gathering`, if that is not
 * NULL. */
static void fan_out(struct broadcaster *broadcast, struct broadcast_request *request,
                    struct gathering *gathering)
{
    char id[REPORT_TEXT_MAX + 1], text[NOTICE_TEXT_BYTES + 64];
    broadcast->passage.targets.outbox.sharers = request->count;
    seal_tag_buffers(&broadcast->passage.sessions.engine_seal, request->message);
    for (size_t i = 0; i < request->count; i++) {
        const struct broadcast_target *named = &request->targets[i];
        struct target *target = broadcast_find_target(broadcast, named->uuid);
        struct gather_part *part = NULL;
        if (!target)
            target = targets_await(&broadcast->passage.targets, named->uuid, strlen(named->uuid));
        broadcast_request_id(request, named->uuid, id);
        if (gathering)
            part = gather_add(&broadcast->gather, gathering, id, named->uuid,
                              target && target->id >= 0 ? target->id : named->id);
        const char *why = gathering && !part ? "did not get this request: the controller is out of "
                                               "memory"
                                             : send_part(broadcast, request, target, id);
        if (!why)
            continue;
        const char *end =
            target ? NULL
                   : targets_end(&broadcast->passage.targets, named->uuid, strlen(named->uuid));
        if (target)
            snprintf(text, sizeof(text), "%s %s", target->name, why);
        else if (end)
            snprintf(text, sizeof(text), "%s", end);
        else
            snprintf(text, sizeof(text), "engine %lld (%s) %s", (long long)named->id, named->uuid,
                     why);
        if (part)
            fail_part(broadcast, part, text);
        else
            refuse_part(broadcast, request, named->uuid, text);
    }
}

static void fan_out_coalesced(struct broadcaster *broadcast, struct broadcast_request *request,
                              const struct reply_request *reply)
{
    struct gathering *gathering =
        gather_open(&broadcast->gather, request->msg_id, request->msg_id_size, reply);
    if (!gathering) {
        replies_error(&broadcast->passage.replies, reply, NULL, "ValueError",
                      "a broadcast of this msg_id is pending already, or memory is short");
        return;
    }
    fan_out(broadcast, request, gathering);
    gather_added(gathering);
    broadcast_finish(broadcast, gathering);
}

static void broadcast_from_client(void *self, struct message *message)
{
    struct broadcaster *broadcast = self;
    struct broadcast_request request;
    struct reply_request reply;
    if (!replies_verify(&broadcast->passage.replies, &broadcast->passage.bad_request, message, 1))
        return;
    early_meet(&broadcast->passage.replies.early, message);
    trace_step(TRACE_RECEIVE, message->msg_id.data, message->msg_id.size, -1);
    reply_request_of(message, &reply);
    const char *wrong =
        broadcast_request_read(&request, broadcast->passage.sessions.clients, message);
    /* The client may have heard of a new engine before this thread has. */
    if (!wrong)
        broadcast_read_notices(broadcast);
    if (wrong)
        replies_error(&broadcast->passage.replies, &reply, NULL, "ValueError", wrong);
    else if (request.coalescing)
        fan_out_coalesced(broadcast, &request, &reply);
    else
        fan_out(broadcast, &request, NULL);
    broadcast_request_release(&request);
}

/* An engine's answer to its part of a coalesced broadcast. */
static void answer_part(struct broadcaster *broadcast, struct gather_part *part,
                        struct message *message)
{
    struct ipcl_member status = {.name = "status"};
    struct gathering *gathering = part->gathering;
    zmq_msg_t *content = message_part(message, MESSAGE_CONTENT);
    enum part_state state = PART_FAILED;
    json_t *error = NULL;
    if (!session_find(broadcast->passage.sessions.clients, content, &status, 1) &&
        status.state == IPCL_MEMBER_TEXT) {
        if (status.size == 2 && !memcmp(status.data, "ok", 2))
            state = PART_OK;
        else if (status.size == 7 && !memcmp(status.data, "aborted", 7))
            state = PART_ABORTED;
    }
    if (state == PART_FAILED)
        error = session_unpack(broadcast->passage.sessions.clients, content, NULL);
    gather_answer(&broadcast->gather, part, state, error, message);
    broadcast_finish(broadcast, gathering);
}

static enum asked_verdict verdict_of_part(const struct gather_part *part,
                                          const struct target *target)
{
    return target && !strcmp(part->uuid, target->uuid) ? ASKED_ANSWER : ASKED_OTHER;
}

static void broadcast_from_engine(void *self, struct message *message)
{
    struct broadcaster *broadcast = self;
    struct ipcl_member parent = {.name = "msg_id"};
    if (refusal_verify(&broadcast->passage.bad_reply, &broadcast->passage.sessions.engine_seal,
                       message, 2) != SESSION_ACCEPTED)
        return;
    zmq_msg_t *uuid = message_peer(message);
    bool known = routes_translate(&broadcast->passage.targets.routes, uuid);
    struct target *target =
        targets_find(&broadcast->passage.targets, zmq_msg_data(uuid), zmq_msg_size(uuid));
    if (!known || (!target && !targets_may_return(&broadcast->passage.targets, zmq_msg_data(uuid),
                                                  zmq_msg_size(uuid)))) {
        refusal_note(&broadcast->passage.bad_reply, REFUSED_STRANGER,
                     "it comes from an engine that is not registered");
        return;
    }
    if (session_find(broadcast->passage.sessions.clients, message_part(message, MESSAGE_PARENT),
                     &parent, 1) ||
        parent.state != IPCL_MEMBER_TEXT) {
        refusal_note(&broadcast->passage.bad_reply, REFUSED_NOT_ASKED, "it answers nothing");
        return;
    }
    bool coalescing = is_coalescing(broadcast, message);
    struct gather_part *part =
        coalescing ? gather_find(&broadcast->gather, parent.data, parent.size) : NULL;
    enum asked_verdict verdict = part ? verdict_of_part(part, target)
                                      : asked_take(&broadcast->passage.asked, message, &parent);
    if (verdict == ASKED_OTHER) {
        refusal_note(&broadcast->passage.bad_reply, REFUSED_NOT_ASKED, REFUSAL_NOT_ASKED);
        return;
    }
    trace_step(TRACE_ENGINE_REPLY, parent.data, parent.size, target ? target->id : -1);
    /* This holds also if its broadcast was the previous controller's: the engine told the hub that
     * it has it. */
    asked_report(&broadcast->passage.report, verdict, target ? target->id : -1, &parent, message);
    if (!part && coalescing) {
        refusal_note(&broadcast->passage.bad_reply, REFUSED_NOT_ASKED,
                     "its broadcast is not known");
        return;
    }
    if (part) {
        answer_part(broadcast, part, message);
        return;
    }
    message_swap_identities(message);
    replies_send(&broadcast->passage.replies, message);
}

/* Fails the parts that an engine has not answered which has gone. */
static void fail_parts_of(struct broadcaster *broadcast, const struct notice *gone)
{
    struct gather_part *part, *next;
    HASH_ITER (hh, broadcast->gather.open_parts, part, next)
        if (!strcmp(part->uuid, gone->uuid))
            fail_part(broadcast, part, gone->text);
}

/* The hub, and the part's record, wait for an answer. */
static void report_lost(struct broadcaster *broadcast, const struct gather_part *part,
                        const struct target *target, const char *why)
{
    const struct reply_request *request = &part->gathering->request;
    const struct ipcl_member client = {.data = request->client, .size = request->client_size},
                             msg_id = {.data = part->msg_id, .size = strlen(part->msg_id)};
    struct message reply;
    message_init(&reply);
    if (!reply_lost(broadcast->passage.sessions.clients, &reply, &client, &msg_id, target->uuid,
                    false, why))
        asked_report(&broadcast->passage.report, ASKED_ANSWER, target->id, &msg_id, &reply);
    message_close(&reply);
}

/* Engines answer in the order in which they were asked (relay.c), so the oldest request is lost. It
 * is not known whether that is the oldest part of a coalesced broadcast or the oldest other
 * request: both end. */
static void lose_oldest(struct broadcaster *broadcast, const struct target *target, const char *why)
{
    struct ipcl_member client, msg_id;
    struct gather_part *part = broadcast->gather.open_parts;
    struct message reply;
    message_init(&reply);
    if (asked_lose(&broadcast->passage.asked, target->uuid, &client, &msg_id) &&
        !reply_lost(broadcast->passage.sessions.clients, &reply, &client, &msg_id, target->uuid,
                    false, why)) {
        asked_report(&broadcast->passage.report, ASKED_ANSWER, target->id, &msg_id, &reply);
        replies_send(&broadcast->passage.replies, &reply);
    }
    while (part && strcmp(part->uuid, target->uuid))
        part = part->hh.next;
    if (part) {
        report_lost(broadcast, part, target, why);
        fail_part(broadcast, part, why);
    }
    message_close(&reply);
}

static void broadcast_hear_losses(void *self)
{
    struct broadcaster *broadcast = self;
    struct gate_loss loss;
    while (gate_read_loss(broadcast->passage.losses, &loss)) {
        loop_drain(broadcast->passage.loop, broadcast->passage.targets.engines);
        const char *uuid = routes_owner(&broadcast->passage.targets.routes, loss.name);
        const struct target *target =
            uuid ? targets_find(&broadcast->passage.targets, uuid, strlen(uuid)) : NULL;
        if (target)
            lose_oldest(broadcast, target, loss.text);
    }
}

static void broadcast_read_notices(void *self)
{
    struct broadcaster *broadcast = self;
    struct notice notice;
    while (notice_recv(broadcast->passage.notices, &notice)) {
        if (notice.kind == NOTICE_KNOWN) {
            targets_know(&broadcast->passage.targets, &notice);
            continue;
        }
        if (notice.kind == NOTICE_ADDED) {
            targets_add(&broadcast->passage.targets, &notice);
            continue;
        }
        /* What it answered before it went still counts. */
        loop_drain(broadcast->passage.loop, broadcast->passage.targets.engines);
        targets_remove(&broadcast->passage.targets, &notice);
        asked_forget(&broadcast->passage.asked, notice.uuid);
        fail_parts_of(broadcast, &notice);
        report_forgotten(&broadcast->passage.report, notice.uuid);
    }
}

static long long broadcast_on_tick(void *self, long long now_ms)
{
    struct broadcaster *broadcast = self;
    long long targets_ms = targets_tick(&broadcast->passage.targets, now_ms);
    report_flush(&broadcast->passage.report);
    long long replies_ms = replies_tick(&broadcast->passage.replies, now_ms);
    return clock_sooner(replies_ms, targets_ms);
}

static struct loop *broadcast_loop(void *self)
{
    return ((struct broadcaster *)self)->passage.loop;
}

static void broadcast_destroy(void *self)
{
    struct broadcaster *broadcast = self;
    if (!broadcast)
        return;
    passage_close(&broadcast->passage);
    gather_release(&broadcast->gather);
    free(broadcast);
}

static void *broadcast_create(struct controller *controller, struct ipcl_error *error)
{
    static const struct passage_kind kind = {
        "broadcast",
        CHANNEL_BROADCAST,
        SEAL_BROADCAST,
        "broadcast_in",
        "broadcast_out",
        STATS_BROADCAST_CLIENTS,
        STATS_BROADCAST_ENGINES,
        broadcast_from_client,
        broadcast_from_engine,
        broadcast_read_notices,
        broadcast_hear_losses,
        broadcast_on_tick,
    };
    struct broadcaster *broadcast = controller_allocate(sizeof(*broadcast), error);
    if (!broadcast)
        return NULL;
    controller->clients.broadcast_count = controller->engines.broadcast_count = 1;
    broadcast->passage.targets.undelivered = broadcast_undelivered;
    broadcast->passage.targets.returned = broadcast_returned;
    if (passage_open(&broadcast->passage, &kind, broadcast, controller,
                     &controller->clients.broadcast[0], &controller->engines.broadcast[0], error)) {
        broadcast_destroy(broadcast);
        return NULL;
    }
    return broadcast;
}

const struct module broadcast_module = {"broadcast", broadcast_create, broadcast_loop,
                                        broadcast_destroy};
