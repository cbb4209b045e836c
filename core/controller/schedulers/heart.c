/* The heart thread: pings the engines (XPUB, which also tells when a heart has connected), reads
 * their pongs (ROUTER), and tells the hub which hearts begin to beat and which have stopped.
 *
 * A ping is this controller's age in seconds and digits that nobody can guess, which an engine
 * sends back as they are (ipyparallel's heart monitor); an engine that seals its messages adds a
 * proof that it is the one who does. A pong therefore proves that its engine was alive when that
 * ping was sent, and counts once. An engine is dead when no pong of its has come for as long as it
 * may miss pings, however old the ping was, as a thousand engines may keep host and network busy;
 * and, long before that, when its connection has ended and it does not prove within a second that
 * it lives.
 *
 * The hub also hears when the connection of an engine that has gone ends: one that leaves lives on
 * for a while, for its exit handlers. */
#include <errno.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "base/clock.h"
#include "base/random.h"
#include "controller/exchange/channels.h"
#include "controller/exchange/controller.h"
#include "wire/loop.h"
#include "wire/published.h"
#include "controller/exchange/notice.h"
#include "controller/exchange/refusal.h"
#include "controller/exchange/report.h"
#include "controller/exchange/routes.h"

/* How long an engine whose connection has ended has to prove that it lives. It reconnects after 100
 * ms. */
#define SUSPICION_MS 1000
/* If a tick is later than this, the process was stopped, or its host slept. */
#define LATE_MS 500
/* While a newly registered or a suspected engine should answer, pings follow each other faster, for
 * this long: the time between them is this, and a millisecond more for each engine, because each
 * ping goes to all. So engines that arrive together, however many, cost a thousand pings a second
 * at most. */
#define QUICK_MS     20
#define QUICK_FOR_MS 2000
/* What the digits of a ping are made of, and how many there are. */
#define SECRET_BYTES 16
#define DIGITS       32
#define AGE_BYTES    32
#define PING_BYTES   (AGE_BYTES + DIGITS + 2)

/* The frames of an answer to a ping. Only our engines send the proof. */
enum { PONG_NAME, PONG_PING, PONG_PROOF, PONG_FRAMES };

struct beat {
    char uuid[ENGINE_UUID_BYTES];
    bool sealed; /* its pongs have a proof */
    bool born;
    bool gone;            /* the hub has forgotten it: only the end of its connection counts */
    long long heard_ms;   /* when its last pong came */
    long long alive_ms;   /* the youngest proof of life: when the ping of a pong was sent */
    long long suspect_ms; /* since when its connection has ended; 0: it has not */
    int connection;       /* the file descriptor that its pongs come from; -1: not known */
    UT_hash_handle hh;
};

struct heart_monitor {
    struct loop *loop;
    struct session *session; /* with the engines' key */
    unsigned char secret[SECRET_BYTES];
    void *ping;
    void *pong;
    void *monitor;
    void *notices;
    struct report report;
    struct refusal bad_pong;
    struct refusal bad_subscription;
    struct beat *beats;
    struct routes routes;
    size_t awaited; /* how many are not born yet or are suspected: while there are any, pings are
                     * quick */
    long long period_ms;
    long long dead_after_ms;
    long long started_ms;
    long long next_ping_ms;
    long long quick_until_ms;
};

static void heart_tell_hub(struct heart_monitor *heart, enum report_kind kind, const char *uuid)
{
    report_add(&heart->report, kind, REPORT_DIRECT, -1, uuid, strlen(uuid), NULL);
    report_flush(&heart->report);
}

static long long quick_gap(const struct heart_monitor *heart)
{
    return QUICK_MS + HASH_COUNT(heart->beats);
}

static void ping_soon(struct heart_monitor *heart, long long now_ms)
{
    heart->quick_until_ms = now_ms + QUICK_FOR_MS;
    long long gap = quick_gap(heart);
    if (heart->next_ping_ms > now_ms + gap)
        heart->next_ping_ms = now_ms + gap;
}

/* Writes a ping of this age, in seconds. Returns its length. */
static size_t write_ping(struct heart_monitor *heart, const char *age, char text[PING_BYTES])
{
    char digits[SEAL_PROOF_MAX] = "";
    seal_prove(heart->session, heart->secret, SECRET_BYTES, age, strlen(age), digits);
    return (size_t)snprintf(text, PING_BYTES, "%s %.*s", age, DIGITS, digits);
}

static void ping(struct heart_monitor *heart, long long now_ms)
{
    char age_text[AGE_BYTES], text[PING_BYTES];
    long long age = now_ms - heart->started_ms;
    snprintf(age_text, sizeof(age_text), "%lld.%03lld", age / 1000, age % 1000);
    size_t size = write_ping(heart, age_text, text);
    zmq_send(heart->ping, text, size, ZMQ_DONTWAIT);
    traffic_note(&stats.sockets[STATS_PING].traffic, TRAFFIC_OUT, 1, size);
    loop_sent(heart->ping);
    long long gap = heart->period_ms;
    if (heart->awaited)
        gap = now_ms < heart->quick_until_ms ? quick_gap(heart) : 500;
    heart->next_ping_ms = now_ms + (gap < heart->period_ms ? gap : heart->period_ms);
}

static void stopped(struct heart_monitor *heart, struct beat *beat, enum report_kind how)
{
    heart_tell_hub(heart, how, beat->uuid);
    HASH_DEL(heart->beats, beat);
    free(beat);
}

/* Reports the dead, and counts those whose answer is awaited. */
static void look_around(struct heart_monitor *heart, long long now_ms)
{
    struct beat *beat, *next;
    heart->awaited = 0;
    HASH_ITER (hh, heart->beats, beat, next) {
        if (beat->gone)
            continue;
        if (beat->suspect_ms && beat->alive_ms >= beat->suspect_ms)
            beat->suspect_ms = 0;
        if (beat->born && ((beat->suspect_ms && now_ms - beat->suspect_ms >= SUSPICION_MS) ||
                           now_ms - beat->heard_ms > heart->dead_after_ms))
            stopped(heart, beat, REPORT_STOPPED);
        else if (!beat->born || beat->suspect_ms)
            heart->awaited++;
    }
}

static long long later(long long time_ms, long long by_ms, long long now_ms)
{
    return time_ms + by_ms < now_ms ? time_ms + by_ms : now_ms;
}

/* For as long as this process did not run, it sent no pings: no engine could answer. */
static void excuse(struct heart_monitor *heart, long long now_ms)
{
    long long late_ms = now_ms - heart->next_ping_ms;
    if (late_ms < LATE_MS)
        return;
    for (struct beat *beat = heart->beats; beat; beat = beat->hh.next) {
        beat->heard_ms = later(beat->heard_ms, late_ms, now_ms);
        if (beat->suspect_ms)
            beat->suspect_ms = later(beat->suspect_ms, late_ms, now_ms);
    }
    log_warn(
        "heart: this process did not run for %.1f seconds; they do not count as missed heartbeats",
        (double)late_ms / 1000);
}

static long long heart_on_tick(void *self, long long now_ms)
{
    struct heart_monitor *heart = self;
    if (now_ms >= heart->next_ping_ms) {
        excuse(heart, now_ms);
        loop_drain(heart->loop, heart->pong); /* what has come counts */
        look_around(heart, now_ms);
        ping(heart, now_ms);
    }
    return heart->next_ping_ms;
}

/* When the ping was sent that this pong answers; -1 if it was none of ours. */
static long long sent_at(struct heart_monitor *heart, zmq_msg_t *frame, long long now_ms)
{
    char text[AGE_BYTES], ping[PING_BYTES], *end;
    const char *data = zmq_msg_data(frame), *space = memchr(data, ' ', zmq_msg_size(frame));
    size_t size = space ? (size_t)(space - data) : 0;
    if (!size || size >= sizeof(text))
        return -1;
    memcpy(text, data, size);
    text[size] = '\0';
    size_t length = write_ping(heart, text, ping);
    double age = strtod(text, &end);
    if (length != zmq_msg_size(frame) || CRYPTO_memcmp(ping, data, length) || *end || !(age >= 0) ||
        age > (double)(now_ms - heart->started_ms) / 1000 + 0.001)
        return -1;
    return heart->started_ms + (long long)(age * 1000 + 0.5);
}

static bool is_proven(struct heart_monitor *heart, const struct beat *beat, struct message *pong)
{
    zmq_msg_t *ping = message_frame(pong, PONG_PING), *proof = message_frame(pong, PONG_PROOF);
    if (!beat->sealed)
        return message_frame_count(pong) == PONG_PROOF;
    return message_frame_count(pong) == PONG_FRAMES &&
           seal_is_proof(heart->session, beat->uuid, strlen(beat->uuid), zmq_msg_data(ping),
                         zmq_msg_size(ping), zmq_msg_data(proof), zmq_msg_size(proof));
}

static void on_pong(void *self, struct message *message)
{
    struct heart_monitor *heart = self;
    struct beat *beat = NULL;
    long long now_ms = clock_ms();
    zmq_msg_t *name = message_peer(message), *ping = message_frame(message, PONG_PING);
    long long sent_ms =
        message_frame_count(message) > PONG_PING ? sent_at(heart, ping, now_ms) : -1;
    if (sent_ms < 0) {
        refusal_note(&heart->bad_pong, REFUSED_PONG, "it does not answer a ping");
        return;
    }
    if (!routes_translate(&heart->routes, name))
        return; /* it is not registered */
    HASH_FIND(hh, heart->beats, zmq_msg_data(name), zmq_msg_size(name), beat);
    if (!beat || beat->gone)
        return; /* it has been given up, has left, or has not registered */
    if (!is_proven(heart, beat, message)) {
        refusal_note(&heart->bad_pong, REFUSED_PONG,
                     "it does not prove that it is from the "
                     "engine");
        return;
    }
    if (sent_ms <= beat->alive_ms)
        return; /* it has been answered before */
    beat->heard_ms = now_ms;
    beat->alive_ms = sent_ms;
    beat->connection = zmq_msg_get(ping, ZMQ_SRCFD);
    if (!beat->born) {
        beat->born = true;
        heart_tell_hub(heart, REPORT_BORN, beat->uuid);
    }
}

/* A heart has subscribed: it need not wait for the next regular ping. */
static void heart_on_subscription(void *self, struct message *message)
{
    struct heart_monitor *heart = self;
    struct subscription subscription;
    if (!subscription_read(message, &subscription))
        refusal_note(&heart->bad_subscription, REFUSED_SUBSCRIPTION, "it is not a subscription");
    else if (subscription.begins)
        ping_soon(heart, clock_ms());
}

/* A connection has ended: the engine that used it is asked at once whether it lives. The monitor's
 * events are read before pongs. If the file descriptor is in use again by then, its new user has to
 * answer one more ping, at worst. */
static void on_connection_event(void *self, struct message *message)
{
    struct heart_monitor *heart = self;
    struct beat *beat, *next;
    uint16_t event;
    uint32_t descriptor;
    long long now_ms = clock_ms();
    if (!message_read_event(message, &event, &descriptor))
        return;
    HASH_ITER (hh, heart->beats, beat, next) {
        if (beat->connection < 0 || (uint32_t)beat->connection != descriptor)
            continue;
        if (beat->gone) {
            stopped(heart, beat, REPORT_CLOSED);
            continue;
        }
        beat->connection = -1;
        beat->suspect_ms = now_ms;
        heart->awaited++;
        ping_soon(heart, now_ms);
    }
}

static void heart_expect(struct heart_monitor *heart, const struct notice *notice)
{
    struct beat *beat = calloc(1, sizeof(*beat));
    if (!beat)
        return;
    memcpy(beat->uuid, notice->uuid, sizeof(beat->uuid));
    beat->sealed = notice->sealed;
    beat->heard_ms = clock_ms();
    beat->alive_ms = beat->heard_ms - 1;
    beat->connection = -1;
    HASH_ADD_KEYPTR(hh, heart->beats, beat->uuid, strlen(beat->uuid), beat);
    heart->awaited++;
    ping_soon(heart, beat->heard_ms);
}

static void heart_read_notices(void *self)
{
    struct heart_monitor *heart = self;
    struct notice notice;
    struct beat *beat;
    while (notice_recv(heart->notices, &notice)) {
        HASH_FIND(hh, heart->beats, notice.uuid, strlen(notice.uuid), beat);
        if (notice.kind == NOTICE_EXPECTED)
            routes_add(&heart->routes, notice.uuid, notice.route);
        else
            routes_forget(&heart->routes, notice.uuid);
        if (notice.kind == NOTICE_EXPECTED && (!beat || beat->gone)) {
            if (beat)
                stopped(heart, beat, REPORT_CLOSED);
            heart_expect(heart, &notice);
        } else if (notice.kind == NOTICE_GONE && beat && beat->connection >= 0) {
            beat->gone = true;
        } else if (notice.kind == NOTICE_GONE && beat) {
            stopped(heart, beat, REPORT_CLOSED);
        } else if (notice.kind == NOTICE_GONE) {
            heart_tell_hub(heart, REPORT_CLOSED, notice.uuid);
        }
    }
}

static struct loop *heart_loop(void *self)
{
    return ((struct heart_monitor *)self)->loop;
}

static void heart_destroy(void *self)
{
    struct heart_monitor *heart = self;
    struct beat *beat, *next;
    if (!heart)
        return;
    refusal_summary(&heart->bad_pong);
    refusal_summary(&heart->bad_subscription);
    HASH_ITER (hh, heart->beats, beat, next) {
        HASH_DEL(heart->beats, beat);
        free(beat);
    }
    if (heart->pong)
        zmq_socket_monitor(heart->pong, NULL, 0);
    loop_destroy(heart->loop);
    session_destroy(heart->session);
    report_release(&heart->report);
    routes_release(&heart->routes);
    free(heart);
}

static int watch_connections(struct heart_monitor *heart, struct controller *controller,
                             struct ipcl_error *error)
{
    char url[CHANNEL_URL_BYTES];
    channel_url(CHANNEL_CONNECTIONS, url);
    if (zmq_socket_monitor(heart->pong, url, ZMQ_EVENT_DISCONNECTED))
        return ipcl_error_set(error, "cannot watch the engines' connections: %s",
                              zmq_strerror(errno));
    heart->monitor = channel_connect(controller, CHANNEL_CONNECTIONS, error);
    return heart->monitor ? 0 : -1;
}

static int heart_open_sockets(struct heart_monitor *heart, struct controller *controller,
                              struct ipcl_error *error)
{
    int verbose = 1;
    heart->notices = channel_bind(controller, CHANNEL_HEART, error);
    if (loop_add_ready(heart->loop, heart->notices, heart_read_notices, heart))
        return -1;
    heart->pong = controller_listen(controller, CONNECTION_ENGINE, ZMQ_ROUTER, NULL,
                                    &controller->engines.hb_pong, error);
    if (!heart->pong || watch_connections(heart, controller, error)) {
        loop_keep(heart->loop, heart->pong);
        return -1;
    }
    loop_add(heart->loop, heart->monitor, on_connection_event, heart);
    loop_add(heart->loop, heart->pong, on_pong, heart);
    stats_watch(STATS_PONG, heart->loop, heart->pong, NULL);
    heart->ping = controller_listen(controller, CONNECTION_ENGINE, ZMQ_XPUB, NULL,
                                    &controller->engines.hb_ping, error);
    if (loop_add(heart->loop, heart->ping, heart_on_subscription, heart))
        return -1;
    stats_watch(STATS_PING, heart->loop, heart->ping, NULL);
    zmq_setsockopt(heart->ping, ZMQ_XPUB_VERBOSE, &verbose, sizeof(verbose));
    heart->report.socket = channel_connect(controller, CHANNEL_HUB, error);
    return loop_keep(heart->loop, heart->report.socket);
}

static void *heart_create(struct controller *controller, struct ipcl_error *error)
{
    struct heart_monitor *heart = controller_allocate(sizeof(*heart), error);
    if (!heart)
        return NULL;
    heart->bad_pong.socket = STATS_PONG;
    heart->bad_subscription.socket = STATS_PING;
    heart->period_ms = controller->heart_period_ms;
    heart->dead_after_ms = heart->period_ms * (controller->heart_misses + 1);
    heart->started_ms = controller->started_ms;
    heart->next_ping_ms = clock_ms() + heart->period_ms;
    random_bytes(heart->secret, SECRET_BYTES);
    heart->session = controller_session(controller, CONNECTION_ENGINE, error);
    heart->loop = loop_create("heart", error);
    if (!heart->session || !heart->loop || heart_open_sockets(heart, controller, error)) {
        heart_destroy(heart);
        return NULL;
    }
    loop_set_tick(heart->loop, heart_on_tick, heart);
    return heart;
}

const struct module heart_module = {"heart", heart_create, heart_loop, heart_destroy};
