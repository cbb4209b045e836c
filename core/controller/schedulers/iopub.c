/* The iopub thread: relays what engines publish (XSUB) to the clients that subscribe (XPUB). What
 * engines publish that no client subscribed to never leaves the engines. */
#include <stdlib.h>
#include <string.h>

#include "base/trace.h"
#include "controller/exchange/channels.h"
#include "controller/exchange/controller.h"
#include "controller/delivery/flight.h"
#include "controller/schedulers/publishers.h"
#include "wire/loop.h"
#include "controller/exchange/refusal.h"
#include "controller/exchange/report.h"
#include "wire/published.h"

/* How often it looks how much output subscribers have not read. */
#define LOOK_MS 500

struct iopub {
    struct loop *loop;
    struct sessions sessions;
    void *engines; /* XSUB */
    void *clients; /* XPUB */
    void *notices;
    struct publishers publishers;
    struct report report;
    struct flight *flight; /* output that subscribers have not read */
    size_t unread_max;
    int64_t frame_bytes_max;
    struct refusal unread;
    struct refusal bad_output;
    struct refusal bad_subscription;
};

/* Sends the hub a copy, for the record of the request that the output belongs to. */
static void record(struct iopub *iopub, const struct publisher *publisher, struct message *message)
{
    struct ipcl_member member = {.name = "msg_id"};
    if (!session_find(iopub->sessions.engines, message_part(message, MESSAGE_PARENT), &member, 1) &&
        member.state == IPCL_MEMBER_TEXT)
        report_add_from(&iopub->report, REPORT_OUTPUT, REPORT_DIRECT,
                        publisher ? publisher->uuid : "", member.data, member.size, message);
}

/* Traces a message of output, and the request that it belongs to. */
static void trace_output(const struct iopub *iopub, struct message *message)
{
    struct ipcl_member parent = {.name = "msg_id"};
    const struct ipcl_member *own = &message->msg_id;
    if (!trace_is_on() ||
        session_find(iopub->sessions.engines, message_part(message, MESSAGE_PARENT), &parent, 1) ||
        parent.state != IPCL_MEMBER_TEXT)
        return;
    trace_note(TRACE_RELAY_OUTPUT,
               &(struct trace_subject){own->data, own->size, parent.data, parent.size, -1, 0});
}

/* What waits for subscribers that do not read has two limits: a number of messages for each
 * subscriber, and a number of bytes for all of them. */
static void iopub_publish(struct iopub *iopub, struct message *message)
{
    size_t weight = message_bytes(message);
    if (weight <= FLIGHT_LEAST_BYTES)
        message_send(message, iopub->clients);
    else if (flight_bytes(iopub->flight) + weight > iopub->unread_max &&
             flight_bytes(iopub->flight))
        refusal_note(&iopub->unread, REFUSED_UNREAD,
                     "it is large, and a subscriber does not read earlier ones "
                     "(IPController.unread_backlog)");
    else
        flight_send(iopub->flight, message, weight, iopub->clients);
}

static void iopub_read_notices(void *self)
{
    struct iopub *iopub = self;
    struct notice notice;
    while (notice_recv(iopub->notices, &notice))
        publishers_note(&iopub->publishers, &notice);
}

/* The engine that a message says it comes from; NULL if that one is not known. */
static struct publisher *find_publisher(struct iopub *iopub, struct message *message)
{
    struct ipcl_member engine = {.name = "engine"};
    if (session_find(iopub->sessions.engines, message_part(message, MESSAGE_METADATA), &engine,
                     1) ||
        engine.state != IPCL_MEMBER_TEXT)
        return NULL;
    struct publisher *publisher = publishers_find(&iopub->publishers, engine.data, engine.size);
    if (!publisher || publisher->gone) {
        iopub_read_notices(iopub);
        publisher = publishers_find(&iopub->publishers, engine.data, engine.size);
    }
    return publisher;
}

static bool verify(struct iopub *iopub, const struct publisher *publisher, struct message *message)
{
    struct seal *seal = &iopub->sessions.engine_seal;
    const char *name = !publisher ? "" : *publisher->route ? publisher->route : publisher->uuid;
    seal->required = publisher && publisher->sealed;
    enum session_verdict verdict = message_identities(message) == 1
                                       ? seal_verify(seal, message, name, strlen(name))
                                       : SESSION_TRUNCATED;
    if (verdict != SESSION_ACCEPTED)
        refusal_note_verdict(&iopub->bad_output, verdict);
    else if (publishers_may_use(&iopub->publishers, publisher, message_topic(message)))
        return true;
    else
        refusal_note(&iopub->bad_output, REFUSED_TOPIC, "its topic belongs to another engine");
    return false;
}

static void iopub_from_engine(void *self, struct message *message)
{
    struct iopub *iopub = self;
    struct ipcl_error error;
    const struct publisher *publisher = find_publisher(iopub, message);
    if (!verify(iopub, publisher, message))
        return;
    if (message_check_frames(message, iopub->frame_bytes_max, &error)) {
        refusal_note(&iopub->bad_output, REFUSED_TOO_LARGE, error.text);
        return;
    }
    if (iopub->report.recording)
        record(iopub, publisher, message);
    trace_output(iopub, message);
    if (published_sign(&iopub->sessions.client_seal, message, NULL))
        refusal_note(&iopub->bad_output, REFUSED_MEMORY,
                     "it cannot be signed for clients: memory is short");
    else
        iopub_publish(iopub, message);
}

static void iopub_from_client(void *self, struct message *message)
{
    struct iopub *iopub = self;
    struct subscription subscription;
    if (!subscription_read(message, &subscription))
        refusal_note(&iopub->bad_subscription, REFUSED_SUBSCRIPTION, "it is not a subscription");
    else
        message_send(message, iopub->engines);
}

/* No event tells that output has left: so it looks again as long as some waits. */
static long long iopub_on_tick(void *self, long long now_ms)
{
    const struct iopub *iopub = self;
    size_t waiting = flight_bytes(iopub->flight);
    counter_set(&stats.sockets[STATS_IOPUB_CLIENTS].unread_bytes, waiting);
    return waiting ? now_ms + LOOK_MS : CLOCK_NEVER;
}

static struct loop *iopub_loop(void *self)
{
    return ((struct iopub *)self)->loop;
}

static void iopub_destroy(void *self)
{
    struct iopub *iopub = self;
    if (!iopub)
        return;
    refusal_summary(&iopub->unread);
    refusal_summary(&iopub->bad_output);
    refusal_summary(&iopub->bad_subscription);
    loop_destroy(iopub->loop);
    sessions_destroy(&iopub->sessions);
    report_release(&iopub->report);
    publishers_release(&iopub->publishers);
    flight_drop(iopub->flight);
    free(iopub);
}

/* A store records output whether or not a client listens. Otherwise engines are sent a subscription
 * to nothing: it tells them that what they publish will be heard. */
static int subscribe(struct iopub *iopub)
{
    const char *subscription = iopub->report.recording ? "\1" : "\1connected";
    return zmq_send(iopub->engines, subscription, strlen(subscription), 0) < 0 ? -1 : 0;
}

static void *iopub_create(struct controller *controller, struct ipcl_error *error)
{
    struct iopub *iopub = controller_allocate(sizeof(*iopub), error);
    if (!iopub)
        return NULL;
    iopub->unread.socket = STATS_IOPUB_CLIENTS;
    iopub->unread_max = controller->unread_bytes;
    iopub->frame_bytes_max = controller->frame_bytes_max;
    iopub->flight = flight_create(NULL);
    iopub->bad_output.socket = STATS_IOPUB_ENGINES;
    iopub->bad_subscription.socket = STATS_IOPUB_CLIENTS;
    iopub->report.recording = controller->store != NULL;
    iopub->loop = loop_create("iopub", error);
    if (!iopub->loop || !iopub->flight ||
        controller_sessions(controller, SEAL_OUTPUT, &iopub->sessions, error))
        goto failed;
    iopub->sessions.client_seal = published_source(iopub->sessions.client_seal, controller->life);
    iopub->notices = channel_bind(controller, CHANNEL_IOPUB, error);
    if (loop_add_ready(iopub->loop, iopub->notices, iopub_read_notices, iopub))
        goto failed;
    iopub->clients = controller_listen(controller, CONNECTION_CLIENT, ZMQ_XPUB, NULL,
                                       &controller->clients.iopub, error);
    if (loop_add(iopub->loop, iopub->clients, iopub_from_client, iopub))
        goto failed;
    stats_watch(STATS_IOPUB_CLIENTS, iopub->loop, iopub->clients, NULL);
    iopub->engines = controller_listen(controller, CONNECTION_ENGINE, ZMQ_XSUB, NULL,
                                       &controller->engines.iopub, error);
    if (loop_add(iopub->loop, iopub->engines, iopub_from_engine, iopub))
        goto failed;
    stats_watch(STATS_IOPUB_ENGINES, iopub->loop, iopub->engines, &iopub->sessions.engine_seal);
    iopub->report.socket = channel_connect(controller, CHANNEL_HUB, error);
    if (loop_keep(iopub->loop, iopub->report.socket))
        goto failed;
    loop_set_tick(iopub->loop, iopub_on_tick, iopub);
    if (!subscribe(iopub))
        return iopub;
    ipcl_error_set(error, "cannot subscribe to the engines' output");
failed:
    iopub_destroy(iopub);
    return NULL;
}

const struct module iopub_module = {"iopub", iopub_create, iopub_loop, iopub_destroy};
