/* Replies to clients, some of which read late or not at all. The thread of the socket to
 * clients. */
#include "controller/delivery/replies.h"

#include <stdio.h>

#include "base/clock.h"
#include "controller/exchange/segments.h"

/* This part of what may wait is for errors. */
#define ERRORS_SHARE 8

int replies_prepare(struct replies *replies, const struct controller *controller, struct seal *seal,
                    void *clients, enum stats_socket socket, struct ipcl_error *error)
{
    int mandatory = 1;
    replies->seal = seal;
    replies->unread.socket = replies->large.socket = socket;
    replies->frame_bytes_max = controller->frame_bytes_max;
    if (clients)
        zmq_setsockopt(clients, ZMQ_ROUTER_MANDATORY, &mandatory, sizeof(mandatory));
    if (outbox_prepare(&replies->outbox, clients, controller->unread_bytes, false, socket))
        return ipcl_error_set(error, "out of memory");
    return clients ? 0 : -1;
}

void replies_await_clients(struct replies *replies, const struct controller *controller)
{
    early_prepare(&replies->early, controller, replies->seal, &replies->outbox);
}

static void replies_drop(struct replies *replies)
{
    refusal_note(&replies->unread, REFUSED_UNREAD,
                 "it is a reply, and its client does not even read errors "
                 "(IPController.unread_backlog)");
}

/* Puts a reply into the envelope for its client, if that reads envelopes. A controller that has
 * taken another's place sends each reply by itself, as it may have to be held for a client. */
static bool collect(struct replies *replies, struct message *message)
{
    zmq_msg_t *client = message_peer(message);
    const void *name = zmq_msg_data(client);
    size_t size = zmq_msg_size(client);
    return replies->collects && !replies->early.until_ms && seal_knows(replies->seal, name, size) &&
           envelopes_put(&replies->envelopes, name, size, message, 1);
}

static enum outbox_fate replies_send_now(struct replies *replies, struct message *message,
                                         size_t reserve)
{
    if (segments_give(replies->seal->role, message))
        return OUTBOX_FULL;
    if (reserve && collect(replies, message)) /* errors have a part of the bound for themselves */
        return OUTBOX_TAKEN;
    if (reply_sign(replies->seal, message, replies->early.until_ms))
        return OUTBOX_FULL;
    struct early_reply *copy = early_address(&replies->early, message);
    enum outbox_fate fate = outbox_send(&replies->outbox, message, reserve);
    if (fate != OUTBOX_TAKEN)
        segments_recall(replies->seal->role, message);
    if (fate == OUTBOX_ABSENT)
        early_hold(&replies->early, message, copy);
    return fate;
}

/* Tells a client why the result that it asked for does not come. */
static void send_in_place_of(struct replies *replies, struct message *message, const char *ename,
                             const char *why)
{
    struct reply_request request;
    zmq_msg_t *parent = message_part(message, MESSAGE_PARENT);
    if (!parent) {
        replies_drop(replies);
        return;
    }
    reply_request_of(message, &request);
    request.header = zmq_msg_data(parent);
    request.header_size = zmq_msg_size(parent);
    replies_error(replies, &request, NULL, ename, why);
}

static void send_in_place_of_unread(struct replies *replies, struct message *message)
{
    char text[512];
    zmq_msg_t *client = message_peer(message);
    snprintf(text, sizeof(text),
             "the result was dropped: this client did not read earlier results, and %zu bytes "
             "wait for it in the controller (the limit is IPController.unread_backlog)",
             outbox_waiting(&replies->outbox, zmq_msg_data(client), zmq_msg_size(client)));
    refusal_note(&replies->unread, REFUSED_UNREAD,
                 "it is a result, and its client does not read earlier ones "
                 "(IPController.unread_backlog); the client is told");
    send_in_place_of(replies, message, "MemoryError", text);
}

/* Each reply of an envelope that its client does not read is replaced. */
static void replace_all(struct replies *replies, struct message *envelope)
{
    struct envelope_reader reader = {0};
    struct message message;
    message_init(&message);
    envelope_open(&reader, envelope);
    while (envelope_next(&reader, &message))
        send_in_place_of_unread(replies, &message);
    message_close(&message);
    envelope_close(&reader);
}

static int enclose(void *self, struct message *message)
{
    return seal_enclose(((struct replies *)self)->seal, message);
}

static void send_envelope(void *self, struct message *envelope)
{
    struct replies *replies = self;
    zmq_msg_t *client = message_peer(envelope);
    if (seal_close_envelope(replies->seal, envelope, zmq_msg_data(client), zmq_msg_size(client)) ||
        outbox_send(&replies->outbox, envelope, replies->outbox.bytes_max / ERRORS_SHARE) ==
            OUTBOX_FULL)
        replace_all(replies, envelope);
}

void replies_collect(struct replies *replies)
{
    envelopes_prepare(&replies->envelopes, replies->frame_bytes_max, enclose, send_envelope,
                      replies);
    replies->collects = true;
}

void replies_send(struct replies *replies, struct message *message)
{
    struct ipcl_error error;
    if (message_check_frames(message, replies->frame_bytes_max, &error)) {
        refusal_note(&replies->large, REFUSED_TOO_LARGE, error.text);
        send_in_place_of(replies, message, "ValueError", error.text);
    } else if (replies_send_now(replies, message, replies->outbox.bytes_max / ERRORS_SHARE) ==
               OUTBOX_FULL) {
        send_in_place_of_unread(replies, message);
    }
}

/* An error has a part of the bound for itself. Takes over the content. */
static void send_error(struct replies *replies, const struct reply_request *request,
                       const char *engine_uuid, json_t *content)
{
    struct message message;
    message_init(&message);
    if (!reply_make(replies->seal->session, &message, request, engine_uuid, content) &&
        replies_send_now(replies, &message, 0) == OUTBOX_FULL)
        replies_drop(replies);
    message_close(&message);
    json_decref(content);
}

void replies_error(struct replies *replies, const struct reply_request *request,
                   const char *engine_uuid, const char *ename, const char *evalue)
{
    send_error(replies, request, engine_uuid, reply_error_content(ename, evalue));
}

/* Whether a header says which request it is, in whatever form: its client can tell what an answer
 * belongs to. */
static bool is_named(const struct session *session, struct message *message)
{
    struct ipcl_member msg_id = {.name = "msg_id"};
    return !session_find(session, message_part(message, MESSAGE_HEADER), &msg_id, 1) &&
           msg_id.state != IPCL_MEMBER_ABSENT;
}

/* The answer to a request that is well signed and yet refused. NULL: it is not well signed, or does
 * not name itself. */
static const char *answer_to(const struct replies *replies, enum session_verdict verdict,
                             struct message *message, const char **ename)
{
    *ename = "ConnectionError";
    if (verdict == SESSION_STALE)
        return "the request was made for the previous controller and has not run: submit it again";
    if (verdict == SESSION_REPEATED)
        return "the request came a second time, or far too late: it does not run";
    *ename = "ValueError";
    if (verdict == SESSION_MALFORMED && is_named(replies->seal->session, message))
        return "the header of a request must have msg_id and msg_type, as texts without escapes";
    return verdict == SESSION_ACCEPTED ? REFUSAL_IDENTITIES : NULL;
}

bool replies_verify(struct replies *replies, struct refusal *refusal, struct message *message,
                    size_t identities)
{
    zmq_msg_t *client = message_peer(message);
    struct reply_request request;
    struct ipcl_error large;
    const char *ename;
    enum stats_refusal reason = REFUSED_IDENTITIES;
    enum session_verdict verdict =
        seal_verify(replies->seal, message, zmq_msg_data(client), zmq_msg_size(client));
    const char *why = answer_to(replies, verdict, message, &ename);
    if (verdict == SESSION_ACCEPTED && message_identities(message) == identities) {
        reason = REFUSED_TOO_LARGE;
        if (message_check_frames(message, replies->frame_bytes_max, &large)) {
            why = large.text;
        } else if (segments_take(replies->seal->role, message)) {
            why = "the request's data are not there: submit it again";
            reason = REFUSED_MEMORY;
        } else {
            return true;
        }
    }
    if (verdict == SESSION_ACCEPTED)
        refusal_note(refusal, reason, why);
    else
        refusal_note_verdict(refusal, verdict);
    if (!why)
        return false;
    reply_request_of(message, &request);
    json_t *content = reply_error_content(ename, why);
    if (verdict == SESSION_STALE)
        json_object_set_new(content, SESSION_STALE_MEMBER, json_true());
    send_error(replies, &request, NULL, content);
    return false;
}

long long replies_tick(struct replies *replies, long long now_ms)
{
    envelopes_close(&replies->envelopes);
    long long outbox_ms = outbox_tick(&replies->outbox, now_ms);
    long long early_ms = early_tick(&replies->early, now_ms);
    return clock_sooner(early_ms, outbox_ms);
}

void replies_release(struct replies *replies)
{
    envelopes_close(&replies->envelopes);
    refusal_summary(&replies->unread);
    refusal_summary(&replies->large);
    envelopes_release(&replies->envelopes);
    early_release(&replies->early);
    outbox_release(&replies->outbox);
}
