/* Registration: asks the controller for an id until it answers, and says what is likely wrong when
 * it does not; and asks for the same id again when the controller was away. I/O thread. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/trace.h"
#include "engine/children.h"
#include "engine/facts.h"
#include "engine/io.h"
#include "engine/stats.h"
#include "engine/watched.h"

#define FIRST_DELAY_MS   1000
#define LONGEST_DELAY_MS 15000
/* A controller that subscribes to engines does so at once. */
#define SUBSCRIBER_WAIT_MS 500

/* What waits here and what runs: a controller that has taken the place of another knows of it only
 * from us. */
static json_t *pending_requests(struct io *io)
{
    json_t *pending = json_array();
    struct job *job;
    if (io->running && io->running->door == &io->cluster)
        json_array_append_new(pending, json_string(io->running->msg_id));
    TAILQ_FOREACH(job, &io->queue, entry)
    if (job->door == &io->cluster)
        json_array_append_new(pending, json_string(job->msg_id));
    return pending;
}

static void repeat_later(struct registration *registration, long long now_ms)
{
    registration->repeat_ms = now_ms + registration->delay_ms;
    registration->delay_ms *= 2;
    if (registration->delay_ms > LONGEST_DELAY_MS)
        registration->delay_ms = LONGEST_DELAY_MS;
}

static json_t *requested_ids(const struct numbers *numbers)
{
    json_t *ids = numbers->count ? json_array() : NULL;
    for (size_t i = 0; i < numbers->count; i++)
        json_array_append_new(ids, json_integer(numbers->list[i]));
    return ids;
}

static void send_request(struct io *io, long long now_ms)
{
    struct registration *registration = &io->registration;
    struct ipcl_error error;
    struct message message;
    int64_t id = io->engine->id, wanted = id >= 0 ? id : io->engine->requested_id;
    json_t *content = json_pack("{s:s s:s s:o*}", "uuid", io->engine->uuid, "route",
                                io->engine->route, "info", facts_of(io->engine));
    if (wanted < 0 && io->engine->requested_ids.count)
        wanted = io->engine->requested_ids.list[0];
    if (wanted >= 0)
        json_object_set_new(content, "id", json_integer(wanted));
    if (id < 0)
        json_object_set_new(content, "ids", requested_ids(&io->engine->requested_ids));
    if (io->engine->watched)
        json_object_set_new(content, "watched", json_true());
    if (id >= 0)
        json_object_set_new(content, "pending", pending_requests(io));
    message_init(&message);
    struct session_parts parts = {.msg_type = "registration_request",
                                  .content = content,
                                  .packed_metadata = io->cluster.metadata,
                                  .packed_metadata_size = io->cluster.metadata_size};
    struct door *door = &io->cluster;
    if (door->sealed)
        json_object_set_new(content, "sealed", json_integer(CONNECTION_SEALED));
    if (session_build(door->session, &message, &parts, NULL, &error) ||
        seal_introduce(&door->seals[SEAL_HUB], &message, io->engine->route,
                       strlen(io->engine->route), door->sealed, &error))
        log_error("a registration request cannot be made: %s", error.text);
    else if (message_send(&message, io->registrar))
        log_warn("the registration request was not sent: %s", zmq_strerror(errno));
    message_close(&message);
    json_decref(content);
    registration->lost = false;
    repeat_later(registration, now_ms);
}

/* Makes the socket, and the one that tells of its connection. */
static int open_registrar(struct io *io, struct ipcl_error *error)
{
    struct registration *registration = &io->registration;
    char address[64];
    snprintf(address, sizeof(address), "inproc://registrar-events-%u", registration->opened++);
    io->registrar = io_socket(io, ZMQ_DEALER, io->engine->route, NULL, error);
    if (loop_add(io->loop, io->registrar, registration_receive, io))
        return -1;
    engine_stats_watch(ENGINE_REGISTRAR, io->loop, io->registrar);
    int events = ZMQ_EVENT_CONNECTED | ZMQ_EVENT_DISCONNECTED | ZMQ_EVENT_HANDSHAKE_SUCCEEDED |
                 ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL | ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL |
                 ZMQ_EVENT_HANDSHAKE_FAILED_AUTH;
    struct socket_options options = {.type = ZMQ_PAIR};
    registration->monitor = socket_create(io->engine->context, &options, error);
    if (loop_add(io->loop, registration->monitor, registration_watch, io) ||
        zmq_socket_monitor(io->registrar, address, events) ||
        socket_connect(registration->monitor, address, error))
        return -1;
    return socket_connect(io->registrar, registration->url, error);
}

void registration_release(struct io *io)
{
    reach_destroy(io->registration.reach);
    io->registration.reach = NULL;
}

/* Where the connection leads to is known. */
static int ask_controller(struct io *io, long long now_ms, struct ipcl_error *error)
{
    struct registration *registration = &io->registration;
    if (connection_url(&io->engine->connection, io->engine->connection.registration,
                       registration->url, error) ||
        open_registrar(io, error))
        return -1;
    log_info("registering with the controller at %s for up to %.1f seconds", registration->url,
             (double)(registration->deadline_ms - now_ms) / 1000);
    send_request(io, now_ms);
    return 0;
}

/* Connects to the first of the controller's addresses that answers. If there is only one, or one
 * was taken, this only finds out why there is no connection. */
static void try_addresses(struct io *io, long long now_ms)
{
    struct connection *connection = &io->engine->connection;
    struct ipcl_error error;
    const char *answered = reach_try(io->registration.reach, now_ms);
    if (!answered || io->registrar)
        return;
    log_info("of the possible addresses of the controller on %s, %s answers first",
             connection->location, answered);
    reach_take(connection, answered);
    registration_release(io);
    if (ask_controller(io, now_ms, &error))
        io_stop(io, ENGINE_EXIT_REGISTRATION, error.text);
}

int registration_start(struct io *io, struct ipcl_error *error)
{
    struct registration *registration = &io->registration;
    long long now_ms = clock_ms();
    registration->delay_ms = FIRST_DELAY_MS;
    if (!registration->deadline_ms || !settings_given(io->engine->settings, "IPEngine", "timeout"))
        registration->deadline_ms = now_ms + engine_patience_ms(io->engine);
    registration_release(io);
    registration->reach = reach_create(&io->engine->connection, io->engine->connection.registration,
                                       io->engine->context);
    registration->repeat_ms = registration->doubt_ms = now_ms + FIRST_DELAY_MS;
    return reach_has_choice(registration->reach) ? 0 : ask_controller(io, now_ms, error);
}

/* The file may have been that of a controller that has gone, and now be its successor's. Returns
 * whether the engine begins anew. */
static bool follow_file(struct io *io)
{
    struct registration *registration = &io->registration;
    struct engine *engine = io->engine;
    if (io->running || !engine_read_new_connection(engine))
        return false;
    log_info("%s belongs to another controller now", engine->connection_file);
    registration_release(io);
    zmq_socket_monitor(io->registrar, NULL, 0);
    loop_close(io->loop, registration->monitor);
    loop_close(io->loop, io->registrar);
    io->registrar = registration->monitor = NULL;
    registration->reached = registration->handshake_failed = registration->lost = false;
    registration->refusal[0] = '\0';
    if (engine->tunnel)
        loop_remove_fd(io->loop, tunnel_fd(engine->tunnel));
    shell_reach(io);
    return true;
}

void registration_reached(struct io *io)
{
    struct ipcl_error error;
    if (io->state == IO_STOPPING)
        return;
    watched_admit(io->engine); /* which has to do without a tunnel */
    snprintf(error.text, sizeof(error.text), "%s", io->engine->unreachable);
    if (*error.text || io_watch_tunnel(io, &error) || io_prepare(io, &error) ||
        registration_start(io, &error))
        io_stop(io, ENGINE_EXIT_REGISTRATION, error.text);
}

/* The connection of an engine that is registered. */
static void watch_controller(struct io *io, uint16_t event)
{
    struct registration *registration = &io->registration;
    if (event == ZMQ_EVENT_DISCONNECTED && !registration->lost) {
        registration->lost = true;
        registration->again = false;
        log_warn("the connection to the controller has ended: waiting for it to come back");
    } else if (event == ZMQ_EVENT_HANDSHAKE_SUCCEEDED && registration->lost) {
        log_info("the controller is back: registering again as engine %lld",
                 (long long)io->engine->id);
        registration_again(io);
    } else if (event == ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL ||
               event == ZMQ_EVENT_HANDSHAKE_FAILED_AUTH) {
        log_limited(&io->misses_limit, IPCL_LOG_WARN,
                    "the controller that now listens at this address has another key: it was not "
                    "started with --reuse");
    }
}

void registration_watch(void *self, struct message *message)
{
    struct io *io = self;
    struct registration *registration = &io->registration;
    uint16_t event = 0;
    uint32_t value = 0;
    if (!message_read_event(message, &event, &value))
        return;
    if (event == ZMQ_EVENT_CONNECTED) {
        children_note_controller((int)value);
    } else if (io->engine->id >= 0) {
        watch_controller(io, event);
    } else if (event == ZMQ_EVENT_HANDSHAKE_SUCCEEDED) {
        registration->reached = true;
        registration_release(io);
    } else if (event == ZMQ_EVENT_DISCONNECTED && registration->reached) {
        registration->lost = true;
    } else if (event != ZMQ_EVENT_MONITOR_STOPPED) {
        registration->handshake_failed = true;
    }
}

static void give_up(struct io *io)
{
    struct registration *registration = &io->registration;
    const char *file = io->engine->connection_file, *url = registration->url;
    char reason[3 * PATH_BYTES];
    struct ipcl_error said;
    bool loopback = strstr(url, "://127.") || strstr(url, "://localhost");
    const char *words = io->engine->tunnel ? tunnel_words(io->engine->tunnel) : "";
    if (registration->refusal[0])
        snprintf(reason, sizeof(reason), "the controller at %s refuses this engine: %s", url,
                 registration->refusal);
    else if (registration->reached)
        snprintf(reason, sizeof(reason),
                 "the controller at %s does not answer the registration: the key in %s probably "
                 "belongs to another cluster; use the connection file that this controller wrote",
                 url, file);
    else if (*words)
        snprintf(
            reason, sizeof(reason),
            "the controller of %s cannot be reached through the tunnel: start ipcontroller, or "
            "remove the file if it is left from an earlier one (ssh says: %s)",
            file, words);
    else if (registration->handshake_failed)
        snprintf(reason, sizeof(reason),
                 "%s ends the connection at once. Either the controller there is full (it has no "
                 "file descriptor left; see its log), or it does not accept the encryption key in "
                 "%s: the connection file belongs to another cluster, or the controller does not "
                 "use encryption. Use the connection file that this controller wrote",
                 url, file);
    else if (!reach_has_choice(registration->reach) &&
             connection_check_name(&io->engine->connection, &said))
        snprintf(reason, sizeof(reason), "%s", said.text);
    else if (registration->reach && !reach_has_answered(registration->reach)) {
        reach_explain(registration->reach, &io->engine->connection, file,
                      "start ipcontroller, or remove the file if it is left from an earlier one",
                      "with --enginessh=HOST, so that engines connect through SSH", clock_ms(),
                      &said);
        snprintf(reason, sizeof(reason), "%s", said.text);
    } else
        snprintf(reason, sizeof(reason),
                 "the controller at %s (from %s) cannot be reached: start ipcontroller, or remove "
                 "the file if it is "
                 "left from an earlier one%s",
                 url, file,
                 loopback ? "; this is a loopback address: for engines on other hosts start "
                            "ipcontroller with --ip=ADDRESS"
                          : "");
    io_stop(io, ENGINE_EXIT_REGISTRATION, reason);
}

static void warn_of_nobody(struct io *io, long long now_ms)
{
    const struct registration *registration = &io->registration;
    char tried[1024];
    if (io->registrar) {
        log_warn("the controller at %s cannot be reached yet%s", registration->url,
                 registration->handshake_failed ? " (the encryption handshake fails)" : "");
        return;
    }
    reach_describe(registration->reach, now_ms, tried, sizeof(tried));
    log_warn("the controller on %s cannot be reached yet: port %d of %s",
             io->engine->connection.location, io->engine->connection.registration, tried);
}

long long registration_tick(struct io *io, long long now_ms)
{
    struct registration *registration = &io->registration;
    bool waits =
        !io->registrar && !registration->reach; /* until a new connection stands, or does not */
    if (waits || follow_file(io))
        return CLOCK_NEVER;
    if (now_ms >= registration->deadline_ms) {
        give_up(io);
        return CLOCK_NEVER;
    }
    if (registration->reach && !registration->reached &&
        (!io->registrar || now_ms >= registration->doubt_ms))
        try_addresses(io, now_ms);
    if (io->state != IO_REGISTERING)
        return CLOCK_NEVER;
    if (now_ms >= registration->repeat_ms) {
        /* What was never sent is still queued; only what may be lost is sent again. */
        if (registration->reached) {
            log_warn("no answer from the controller at %s yet: asking again", registration->url);
            send_request(io, now_ms);
        } else {
            warn_of_nobody(io, now_ms);
            repeat_later(registration, now_ms);
        }
    }
    if (registration->lost && registration->repeat_ms - now_ms > FIRST_DELAY_MS)
        registration->repeat_ms = now_ms + FIRST_DELAY_MS;
    long most_ms = io->registrar ? 100 : 20; /* the deadline is not slept over, nor an answer */
    return clock_sooner(registration->repeat_ms, now_ms + most_ms);
}

static int connect_to(struct io *io, void *socket, int port, struct ipcl_error *error)
{
    char url[CONNECTION_TEXT_BYTES + 16];
    if (connection_url(&io->engine->connection, port, url, error))
        return -1;
    return socket_connect(socket, url, error);
}

static int connect_shell(struct io *io, enum seal_channel channel, int port,
                         struct ipcl_error *error)
{
    door_name_next(&io->cluster, channel);
    return connect_to(io, io->cluster.shell, port, error);
}

static void count_messages(struct io *io)
{
    struct door *door = &io->cluster;
    engine_stats_watch(ENGINE_SHELL, io->loop, door->shell);
    engine_stats_watch(ENGINE_CONTROL, io->loop, door->control);
    engine_stats_watch(ENGINE_IOPUB, io->loop, door->iopub);
}

/* Connects everything but the heart: the hub announces an engine when its heart beats, and by then
 * it must hear requests and be heard. */
static int connect_all(struct io *io, int64_t id, struct ipcl_error *error)
{
    struct connection *connection = &io->engine->connection;
    struct door *door = &io->cluster;
    door->shell = io_socket(io, ZMQ_ROUTER, io->identity, NULL, error);
    door->control = io_socket(io, ZMQ_ROUTER, io->identity, NULL, error);
    door->iopub = io_socket(io, ZMQ_XPUB, io->identity, NULL, error);
    if (loop_add_open(io->loop, door->shell, shell_receive, door) ||
        loop_add_open(io->loop, door->control, control_receive, door) ||
        loop_add(io->loop, door->iopub, door_subscribed, door))
        return -1;
    count_messages(io);
    if (connect_shell(io, SEAL_DIRECT, connection->mux, error) ||
        connect_shell(io, SEAL_TASK, connection->task, error) ||
        connect_to(io, door->control, connection->control, error) ||
        connect_to(io, door->iopub, connection->iopub, error))
        return -1;
    return connection->broadcast_count
               ? connect_shell(io, SEAL_BROADCAST,
                               connection->broadcast[id % connection->broadcast_count], error)
               : 0;
}

static void set_id(struct io *io, int64_t id)
{
    char name[32];
    io->engine->id = id;
    watched_tell(io->engine, id);
    snprintf(name, sizeof(name), "engine %" PRId64, id);
    trace_name(name, TRACE_PLACE_ENGINES + (int)id);
}

static void open_segments(struct io *io)
{
    segment_link_open(&io->segments, &io->engine->connection, io->cluster.session,
                      CONNECTION_ENGINE, io->identity, io->engine->life);
}

static void complete(struct io *io, json_t *content)
{
    struct ipcl_error error;
    const char *status = "", *ename = "", *evalue = "";
    json_int_t id = -1, period_ms = 3000;
    json_unpack(content, "{s?s s?I s?I s?s s?s}", "status", &status, "id", &id, "hb_period",
                &period_ms, "ename", &ename, "evalue", &evalue);
    if (strcmp(status, "ok") || id < 0 || period_ms <= 0) {
        /* "In use" answers a repeated request whose first answer was lost; the hub forgets the
         * first in a while. */
        snprintf(io->registration.refusal, sizeof(io->registration.refusal), "%s: %s", ename,
                 evalue);
        log_warn("the controller refuses this engine for now: %s: %s", ename, evalue);
        return;
    }
    /* ipyparallel's controller knows no other name. */
    bool routed = json_is_true(json_object_get(content, "routed"));
    io->identity = routed ? io->engine->route : io->engine->uuid;
    open_segments(io);
    if (connect_all(io, id, &error)) {
        io_stop(io, ENGINE_EXIT_REGISTRATION, error.text);
        return;
    }
    set_id(io, id);
    io->state = IO_CONNECTING;
    io->connecting_ms = clock_ms() + SUBSCRIBER_WAIT_MS;
    io->hub_period_ms = period_ms;
    if (io->engine->requested_id >= 0 && id != io->engine->requested_id)
        log_warn("id %" PRId64 " was not free: this engine is %lld", io->engine->requested_id,
                 (long long)id);
}

void registration_again(struct io *io)
{
    if (io->state == IO_STOPPING)
        return;
    io->registration.again = true;
    io->heart.ping_ms = clock_ms(); /* that its heartbeats were away is no news any more */
    io->registration.delay_ms = FIRST_DELAY_MS;
    send_request(io, clock_ms());
}

long long registration_again_tick(struct io *io, long long now_ms)
{
    struct registration *registration = &io->registration;
    if (!registration->again)
        return CLOCK_NEVER;
    if (now_ms >= registration->repeat_ms)
        send_request(io, now_ms);
    return registration->repeat_ms;
}

/* An engine's broadcasts come through the one of several sockets that its id names. Only
 * ipyparallel's controllers have several, which do not seal: the connection needs no name. */
static void move_to(struct io *io, int64_t id)
{
    struct connection *connection = &io->engine->connection;
    struct ipcl_error error;
    log_warn("engine %lld was registered again, but its id is taken: it is engine %lld from now on",
             (long long)io->engine->id, (long long)id);
    set_id(io, id);
    if (connection->broadcast_count > 1 &&
        connect_to(io, io->cluster.shell, connection->broadcast[id % connection->broadcast_count],
                   &error))
        log_error("%s", error.text);
}

static void complete_again(struct io *io, const json_t *content)
{
    const char *status = "", *evalue = "";
    json_int_t id = -1, period_ms = io->hub_period_ms;
    json_unpack((json_t *)content, "{s?s s?I s?I s?s}", "status", &status, "id", &id, "hb_period",
                &period_ms, "evalue", &evalue);
    io->registration.again = false;
    open_segments(io);
    if (strcmp(status, "ok") || id < 0) {
        /* ipyparallel's controller says so if it has not given the engine up. */
        log_info("the controller answers: %s", evalue);
        return;
    }
    if (id != io->engine->id)
        move_to(io, id);
    else
        watched_tell(io->engine, id); /* the controller's life may be another */
    if (period_ms > 0 && period_ms != io->hub_period_ms) {
        io->hub_period_ms = period_ms;
        heart_set_period(io);
    }
    log_info("registered again as engine %lld", (long long)id);
}

void registration_receive(void *self, struct message *message)
{
    struct io *io = self;
    struct ipcl_error error;
    const char *route = io->engine->route;
    enum session_verdict verdict =
        seal_verify(&io->cluster.seals[SEAL_HUB], message, route, strlen(route));
    if (verdict != SESSION_ACCEPTED) {
        counter_add(&engine_stats.messages_refused, 1);
        log_limited(&io->bad_limit, IPCL_LOG_WARN, "%s from the controller's registration dropped",
                    session_verdict_text(verdict));
        return;
    }
    json_t *content =
        session_unpack(io->cluster.session, message_part(message, MESSAGE_CONTENT), &error);
    seal_read_life(json_string_value(json_object_get(content, "life")), io->engine->life);
    if (content && io->state == IO_REGISTERING)
        complete(io, content);
    else if (content && io->registration.again)
        complete_again(io, content);
    json_decref(content);
}

int registration_build_end(struct session *session, const struct registration_end *end,
                           struct message *message, struct ipcl_error *error)
{
    static const char *const causes[] = {[IO_ORDER] = "order", [IO_SIGNAL] = "signal"};
    json_t *content = json_pack("{s:I s:s s:s s:b s:s s:s* s:s*}", "id", (json_int_t)end->id,
                                "uuid", end->uuid, "route", end->route, "died", end->died, "reason",
                                end->reason, "begun", end->begun, "cause", causes[end->cause]);
    struct session_parts parts = {.msg_type = "unregistration_request", .content = content};
    int status = session_build(session, message, &parts, NULL, error);
    json_decref(content);
    return status;
}

void registration_leave(struct io *io)
{
    struct ipcl_error error;
    struct message message;
    if (io->engine->id < 0) {
        /* A request to register that was never answered must not hold the process. */
        int briefly = SOCKET_LINGER_MS_MIN;
        if (io->registrar)
            zmq_setsockopt(io->registrar, ZMQ_LINGER, &briefly, sizeof(briefly));
        return;
    }
    struct registration_end end = {
        io->engine->id, io->engine->uuid, io->engine->route, false, io->cause, io->ending, NULL};
    message_init(&message);
    watched_tell(io->engine, -1);
    if (!registration_build_end(io->cluster.session, &end, &message, &error) &&
        !door_sign(&io->cluster, SEAL_HUB, &message, &error))
        message_send(&message, io->registrar);
    message_close(&message);
}
