/* A client of the hub that only watches: which engines are registered, and whether the controller
 * is there. Runs on the event loop; owns a DEALER for queries, a DEALER for control messages and a
 * SUB for the hub's notifications.
 *
 * What the hub answers is what counts. A notification only says that it is time to ask. */
#include "cluster/watch/hub_watch_private.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/secret.h"
#include "cluster/state/json_text.h"
#include "wire/serializer.h"
#include "wire/published.h"
#include "wire/reach.h"
#include "wire/socket.h"

/* The same after a notification: engines that arrive together have one answer. It names all there
 * are, so each takes a millisecond more for every ten. */
#define ASK_SOON_MS 20
/* How long a controller that no other may replace may be away, as the client library has it. */
#define LOST_MS 5000
/* How long its goodbye, on another connection, may take to come behind that. */
#define GOODBYE_MS 500
/* How long the addresses of a controller on another host may take to answer. */
#define REACH_MS    2000
#define MONITOR_URL "inproc://hub-watch"

/* Three sockets, each with a connection, and the descriptors of processes that are being started.
 * However many engines there are, there are no more: so the limit stays as it is for them, too. */
#define OWN_DESCRIPTORS 12

/* Copies a member of what an engine says of itself; "" where it has none. */
static void take_fact(char *text, size_t size, const json_t *info, const char *name)
{
    const char *fact = json_string_value(json_object_get(info, name));
    snprintf(text, size, "%s", fact ? fact : "");
}

static void note_engine(struct hub_watch *watch, int id, const char *uuid, const json_t *info)
{
    struct engine *engine;
    HASH_FIND_STR(watch->engines, uuid, engine);
    if (!engine) {
        engine = calloc(1, sizeof(*engine) + strlen(uuid) + 1);
        if (!engine)
            return;
        strcpy(engine->uuid, uuid);
        engine->order = watch->mark++;
        HASH_ADD_STR(watch->engines, uuid, engine);
    }
    engine->id = id;
    engine->pid = json_integer_value(json_object_get(info, "pid"));
    engine->ranked = json_object_get(info, "rank");
    take_fact(engine->set, sizeof(engine->set), info, "engine_set");
    take_fact(engine->python, sizeof(engine->python), info, "language_version");
    take_fact(engine->executable, sizeof(engine->executable), info, "executable");
    take_fact(engine->host, sizeof(engine->host), info, "host");
    take_fact(engine->job, sizeof(engine->job), info, "job");
    engine->listed = true;
}

static void drop_engine(struct hub_watch *watch, struct engine *engine)
{
    HASH_DEL(watch->engines, engine);
    free(engine);
}

static void note_life(struct hub_watch *watch, const json_t *content)
{
    unsigned char life[SEAL_LIFE_BYTES];
    if (seal_read_life(json_string_value(json_object_get(content, "life")), life) ||
        !memcmp(life, watch->life, sizeof(life)))
        return;
    memcpy(watch->life, life, sizeof(life));
    published_begin(&watch->notification_seal,
                    (uint64_t)json_integer_value(json_object_get(content, "notified")));
}

/* {"engines": {"0": "uuid", ...}, "engine_info": {"0": {"engine_set": "..."}, ...}, "requests": 0,
 * "ending": false}; ipyparallel's has the first. */
static void take_answer(struct hub_watch *watch, const json_t *content)
{
    const char *id;
    const json_t *infos = json_object_get(content, "engine_info"),
                 *requests = json_object_get(content, "requests");
    const char *refusal = json_string_value(json_object_get(content, "refusal"));
    json_t *uuid;
    struct engine *engine, *next;
    for (engine = watch->engines; engine; engine = engine->hh.next)
        engine->listed = false;
    json_object_foreach (json_object_get(content, "engines"), id, uuid) {
        if (json_is_string(uuid))
            note_engine(watch, atoi(id), json_string_value(uuid), json_object_get(infos, id));
        engine_names_note(&watch->names, atoi(id), json_object_get(infos, id));
    }
    HASH_ITER (hh, watch->engines, engine, next) {
        if (engine->listed)
            continue;
        if (watch->events.gone && watch->events.changed)
            watch->events.gone(watch->events.context, engine->set, engine->job);
        drop_engine(watch, engine);
    }
    snprintf(watch->refusal, sizeof(watch->refusal), "%s", refusal ? refusal : "");
    note_life(watch, content);
    watch->worked = !json_is_integer(requests) || json_integer_value(requests) > 0;
    if (json_is_true(json_object_get(content, "ending")))
        watch->presence = HUB_ENDING;
    hub_measure_take(watch, content);
    watch->answered = true;
}

static void ask_hub(uv_timer_t *timer);

static void ask_soon(struct hub_watch *watch)
{
    if (watch->asking_soon)
        return;
    watch->asking_soon = true;
    uv_timer_start(&watch->ask, ask_hub, ASK_SOON_MS + HASH_COUNT(watch->engines) / 10, HUB_ASK_MS);
}

static void take_notification(struct hub_watch *watch, const char *type, const json_t *content)
{
    const json_t *id = json_object_get(content, "id");
    if (json_is_integer(id))
        engine_names_note(&watch->names, (int)json_integer_value(id),
                          json_object_get(content, "info"));
    if (strcmp(type, "shutdown_notification") == 0) {
        watch->presence = HUB_ENDING;
    } else {
        ask_soon(watch);
    }
}

/* Others come late: whoever asked does not wait for them any more. */
static bool answers_last(const struct hub_watch *watch, struct message *message)
{
    struct ipcl_member parent = {.name = "msg_id"};
    return session_find(watch->session, message_part(message, MESSAGE_PARENT), &parent, 1) == 0 &&
           member_is(&parent, watch->asked);
}

static void take_message(struct hub_watch *watch, struct seal *seal, struct message *message)
{
    static struct log_limit limit;
    struct ipcl_error error;
    bool published = seal == &watch->notification_seal;
    enum session_verdict verdict =
        published ? published_verify(seal, message)
                  : seal_verify(seal, message, session_id(watch->session), SESSION_ID_LENGTH);
    if (published && verdict == SESSION_STALE) {
        ask_soon(watch); /* another controller has come, or this one has not answered yet */
        return;
    }
    if (verdict != SESSION_ACCEPTED) {
        log_limited(&limit, IPCL_LOG_WARN, "a message from the hub was dropped: %s",
                    session_verdict_text(verdict));
        return;
    }
    json_t *header = session_unpack(watch->session, message_part(message, MESSAGE_HEADER), &error);
    json_t *content =
        session_unpack(watch->session, message_part(message, MESSAGE_CONTENT), &error);
    const char *type = json_string_value(json_object_get(header, "msg_type"));
    if (type && content) {
        if (watch->answers && answers_last(watch, message))
            json_object_set(watch->answers, type, content);
        if (seal == &watch->query_seal && strcmp(type, "connection_reply") == 0)
            take_answer(watch, content);
        else if (seal == &watch->control_seal && strcmp(type, "shutdown_reply") == 0)
            hub_measure_reply(watch, message, content);
        else if (published)
            take_notification(watch, type, content);
        if (watch->answered && watch->events.changed)
            watch->events.changed(watch->events.context, watch);
    }
    json_decref(header);
    json_decref(content);
}

void hub_watch_drain(struct hub_watch *watch, void *socket)
{
    struct message message;
    message_init(&message);
    while (message_recv(&message, socket, ZMQ_DONTWAIT) == 0)
        take_message(watch,
                     socket == watch->query     ? &watch->query_seal
                     : socket == watch->control ? &watch->control_seal
                                                : &watch->notification_seal,
                     &message);
    message_close(&message);
}

/* Under the name that its sockets have. */
static int sign(struct hub_watch *watch, const void *socket, const char *msg_type,
                struct message *message, struct ipcl_error *error)
{
    const char *name = session_id(watch->session);
    bool sealed = watch->connection.sealed;
    if (!strcmp(msg_type, "connection_request"))
        return seal_introduce(&watch->query_seal, message, name, SESSION_ID_LENGTH, sealed, error);
    return seal_sign(socket == watch->query ? &watch->query_seal : &watch->control_seal, message,
                     name, SESSION_ID_LENGTH, sealed, error);
}

void hub_watch_send(struct hub_watch *watch, void *socket, const char *engine, const char *msg_type,
                    const json_t *content)
{
    struct session_parts parts = {.msg_type = msg_type, .content = content};
    struct ipcl_error error;
    struct message message;
    message_init(&message);
    if ((engine && message_append(&message, engine, strlen(engine)) < 0) ||
        session_build(watch->session, &message, &parts, watch->asked, &error) < 0 ||
        sign(watch, socket, msg_type, &message, &error) < 0 || message_send(&message, socket) < 0)
        log_debug("%s could not be sent", msg_type);
    message_close(&message);
}

/* All connections are made: also a controller that is full answers. */
static void request_list(struct hub_watch *watch)
{
    json_t *sets = watch->events.explains ? watch->events.explains(watch->events.context) : NULL;
    json_t *content =
        json_pack("{s:i s:b s:o*}", "connections", 0, "work", watch->measures, "explains", sets);
    hub_watch_send(watch, watch->query, NULL, "connection_request", content);
    json_decref(content);
}

/* An event is its number (16 bits) and a value, and a second frame that names the address
 * (zmq_socket_monitor(3)). */
static void note_connection(struct hub_watch *watch)
{
    struct message message;
    message_init(&message);
    while (message_recv(&message, watch->monitor, ZMQ_DONTWAIT) == 0) {
        uint16_t event = 0;
        if (zmq_msg_size(&message.frames[0]) >= sizeof(event))
            memcpy(&event, zmq_msg_data(&message.frames[0]), sizeof(event));
        if (event != ZMQ_EVENT_DISCONNECTED)
            watch->away_ms = 0;
        else if (!watch->away_ms) /* what listens there now may end the connection each time */
            watch->away_ms = clock_ms();
    }
    message_close(&message);
}

/* A controller takes its connection files along, unless it was killed or another may take its
 * place: then its clients find that one by the same file. */
static bool has_gone(const struct hub_watch *watch)
{
    long long away_ms = watch->away_ms ? clock_ms() - watch->away_ms : 0;
    return (away_ms > GOODBYE_MS && !path_exists(watch->path)) ||
           (away_ms > LOST_MS && !watch->connection.reuse);
}

static void ask_hub(uv_timer_t *timer)
{
    struct hub_watch *watch = timer->data;
    watch->asking_soon = false;
    note_connection(watch);
    hub_watch_drain(watch, watch->query);
    hub_watch_drain(watch, watch->notification);
    hub_watch_drain(watch, watch->control);
    if (!watch->events.changed)
        return; /* what has come was the last */
    if (watch->presence == HUB_THERE && has_gone(watch)) {
        watch->presence = HUB_LOST;
        watch->events.changed(watch->events.context, watch);
        return;
    }
    request_list(watch);
    hub_watch_drain(watch, watch->query);
}

static void socket_ready(uv_poll_t *poll, int status, int events)
{
    struct hub_watch *watch = poll->data;
    (void)status;
    (void)events;
    hub_watch_drain(watch, poll == &watch->query_poll ? watch->query : watch->notification);
}

/* Returns a socket connected to one of the hub's ports, or NULL with `error` set. */
static void *connect_port(struct hub_watch *watch, int type, int port, struct ipcl_error *error)
{
    struct curve curve = {.server = false};
    struct socket_options options = {.type = type,
                                     .linger_ms = 200,
                                     .identity = session_id(watch->session),
                                     .identity_size = SESSION_ID_LENGTH};
    char url[CONNECTION_TEXT_BYTES + 16];
    if (*watch->connection.curve_serverkey) {
        if (curve_generate(&curve, error) < 0)
            return NULL;
        memcpy(curve.server_key, watch->connection.curve_serverkey, sizeof(curve.server_key));
        curve.server = false;
        options.curve = &curve;
    }
    if (connection_url(&watch->connection, port, url, error) < 0)
        return NULL;
    void *socket = socket_create(watch->context, &options, error);
    explicit_bzero(&curve, sizeof(curve));
    if (socket && socket_connect(socket, url, error) < 0) {
        zmq_close(socket);
        return NULL;
    }
    if (socket && type == ZMQ_SUB)
        zmq_setsockopt(socket, ZMQ_SUBSCRIBE, "", 0);
    return socket;
}

static int open_session(struct hub_watch *watch, struct registry *registry, const char *path,
                        struct ipcl_error *error)
{
    struct connection *connection = &watch->connection;
    watch->path = path;
    secret_hide(connection, sizeof(*connection));
    if (connection_read(path, CONNECTION_CLIENT, connection, error) < 0)
        return -1;
    const struct ipcl_serial_operations *serial =
        serializer_load(registry, connection->pack, connection->unpack, error);
    if (!serial)
        return -1;
    watch->session = session_create(connection->key, strlen(connection->key),
                                    connection->signature_scheme, serial, NULL, error);
    if (!watch->session)
        return -1;
    watch->query_seal = (struct seal){.session = watch->session,
                                      .channel = SEAL_HUB,
                                      .role = CONNECTION_CLIENT,
                                      .required = connection->sealed,
                                      .encrypted = *connection->curve_serverkey,
                                      .life = watch->life};
    watch->control_seal = watch->query_seal;
    watch->control_seal.channel = SEAL_CONTROL;
    watch->notification_seal = watch->query_seal;
    watch->notification_seal.channel = SEAL_NOTIFICATION;
    watch->notification_seal =
        published_sink(watch->notification_seal, connection->sealed, watch->life);
    return 0;
}

static int open_sockets(struct hub_watch *watch, struct ipcl_error *error)
{
    const struct socket_needs needs = {
        .who = "ipcluster", .io_threads = 1, .descriptors = OWN_DESCRIPTORS};
    watch->context = socket_context(&needs, error);
    if (!watch->context)
        return -1;
    reach_choose(&watch->connection, watch->connection.registration, watch->context, REACH_MS);
    watch->notification = connect_port(watch, ZMQ_SUB, watch->connection.notification, error);
    watch->query = watch->notification
                       ? connect_port(watch, ZMQ_DEALER, watch->connection.registration, error)
                       : NULL;
    watch->control =
        watch->query ? connect_port(watch, ZMQ_DEALER, watch->connection.control, error) : NULL;
    return watch->control ? 0 : -1;
}

int hub_watch_connect(struct hub_watch *watch, struct registry *registry, const char *path,
                      struct ipcl_error *error)
{
    int outcome = open_session(watch, registry, path, error);
    return outcome < 0 ? outcome : open_sockets(watch, error);
}

static int open_monitor(struct hub_watch *watch, struct ipcl_error *error)
{
    const struct socket_options options = {.type = ZMQ_PAIR};
    if (zmq_socket_monitor(watch->query, MONITOR_URL,
                           ZMQ_EVENT_DISCONNECTED | ZMQ_EVENT_HANDSHAKE_SUCCEEDED))
        return ipcl_error_set(error, "cannot watch the connection to the hub: %s",
                              zmq_strerror(errno));
    watch->monitor = socket_create(watch->context, &options, error);
    return watch->monitor ? socket_connect(watch->monitor, MONITOR_URL, error) : -1;
}

void hub_watch_free(struct hub_watch *watch)
{
    struct engine *engine, *next;
    HASH_ITER (hh, watch->engines, engine, next)
        drop_engine(watch, engine);
    if (watch->monitor) {
        zmq_socket_monitor(watch->query, NULL, 0);
        zmq_close(watch->monitor);
    }
    engine_names_release(&watch->names);
    if (watch->query)
        zmq_close(watch->query);
    if (watch->notification)
        zmq_close(watch->notification);
    if (watch->control)
        zmq_close(watch->control);
    if (watch->context)
        zmq_ctx_term(watch->context);
    json_decref(watch->answers);
    seal_release(&watch->query_seal);
    seal_release(&watch->control_seal);
    seal_release(&watch->notification_seal);
    session_destroy(watch->session);
    secret_free(watch);
}

static void handle_closed(uv_handle_t *handle)
{
    struct hub_watch *watch = handle->data;
    if (--watch->open_handles == 0)
        hub_watch_free(watch);
}

static int watch_socket(struct hub_watch *watch, uv_loop_t *loop, uv_poll_t *poll, void *socket)
{
    int fd;
    size_t size = sizeof(fd);
    zmq_getsockopt(socket, ZMQ_FD, &fd, &size);
    int code = uv_poll_init(loop, poll, fd);
    if (code != 0)
        return code;
    poll->data = watch;
    watch->open_handles++;
    return uv_poll_start(poll, UV_READABLE, socket_ready);
}

struct hub_watch *hub_watch_create(uv_loop_t *loop, struct registry *registry, const char *path,
                                   const struct hub_watch_events *events, struct ipcl_error *error)
{
    struct hub_watch *watch = calloc(1, sizeof(*watch));
    if (!watch) {
        ipcl_error_set(error, "no memory for a connection to the hub");
        return NULL;
    }
    watch->events = *events;
    if (hub_watch_connect(watch, registry, path, error) < 0 || open_monitor(watch, error) < 0) {
        hub_watch_free(watch);
        return NULL;
    }
    uv_timer_init(loop, &watch->ask);
    watch->ask.data = watch;
    watch->open_handles = 1;
    if (watch_socket(watch, loop, &watch->query_poll, watch->query) != 0 ||
        watch_socket(watch, loop, &watch->notification_poll, watch->notification) != 0) {
        ipcl_error_set(error, "the event loop cannot watch the connection to the hub");
        hub_watch_destroy(watch);
        return NULL;
    }
    uv_timer_start(&watch->ask, ask_hub, 0, HUB_ASK_MS);
    return watch;
}

void hub_watch_destroy(struct hub_watch *watch)
{
    if (!watch)
        return;
    watch->events.changed = NULL;
    uv_close((uv_handle_t *)&watch->ask, handle_closed);
    if (watch->query_poll.data)
        uv_close((uv_handle_t *)&watch->query_poll, handle_closed);
    if (watch->notification_poll.data)
        uv_close((uv_handle_t *)&watch->notification_poll, handle_closed);
}

enum hub_presence hub_watch_presence(const struct hub_watch *watch)
{
    return watch ? watch->presence : HUB_LOST;
}

bool hub_watch_answered(const struct hub_watch *watch)
{
    return watch && watch->answered;
}

static bool is_of(const struct engine *engine, const char *engine_set)
{
    return !engine_set || strcmp(engine->set, engine_set) == 0;
}

unsigned long hub_watch_mark(const struct hub_watch *watch)
{
    return watch ? watch->mark : 0;
}

unsigned hub_watch_count(const struct hub_watch *watch, const char *engine_set, unsigned long since)
{
    unsigned count = 0;
    for (const struct engine *engine = watch ? watch->engines : NULL; engine;
         engine = engine->hh.next)
        count += engine->order >= since && is_of(engine, engine_set);
    return count;
}

void hub_watch_name(const struct hub_watch *watch, int64_t pid, char text[ENGINE_NAME_BYTES])
{
    const struct engine_names none = {.by_pid = NULL};
    engine_names_tell(watch ? &watch->names : &none, pid, text);
}

bool hub_watch_knows(const struct hub_watch *watch, int64_t pid)
{
    return watch && engine_names_has(&watch->names, pid);
}

int hub_watch_id(const struct hub_watch *watch, int64_t pid)
{
    return watch ? engine_names_id(&watch->names, pid) : -1;
}

void hub_watch_each(const struct hub_watch *watch, const char *engine_set,
                    void (*see)(void *context, const struct hub_engine *engine), void *context)
{
    char host[65] = "";
    gethostname(host, sizeof(host) - 1);
    for (const struct engine *engine = watch ? watch->engines : NULL; engine;
         engine = engine->hh.next) {
        const struct hub_engine one = {.id = engine->id,
                                       .uuid = engine->uuid,
                                       .job = engine->job,
                                       .ranked = engine->ranked,
                                       .elsewhere = strcmp(engine->host, host) != 0,
                                       .pid = engine->pid,
                                       .idle_ms = engine->idle_ms,
                                       .python = engine->python,
                                       .executable = engine->executable};
        if (is_of(engine, engine_set))
            see(context, &one);
    }
}

const char *hub_watch_refusal(const struct hub_watch *watch)
{
    return watch ? watch->refusal : "";
}

bool hub_watch_worked(const struct hub_watch *watch)
{
    return watch && watch->worked;
}

void hub_watch_end_engines(struct hub_watch *watch, const char *engine_set)
{
    json_t *content = json_pack("{s:b}", "restart", 0); /* without it ipykernel answers nothing */
    for (struct engine *engine = watch ? watch->engines : NULL; engine; engine = engine->hh.next) {
        if (engine->told || !is_of(engine, engine_set))
            continue;
        engine->told = true;
        hub_watch_send(watch, watch->control, engine->uuid, "shutdown_request", content);
    }
    json_decref(content);
}

void hub_watch_end_engine(struct hub_watch *watch, const char *uuid)
{
    json_t *content = json_pack("{s:b}", "restart", 0);
    hub_watch_send(watch, watch->control, uuid, "shutdown_request", content);
    json_decref(content);
}

void hub_watch_signal(struct hub_watch *watch, const char *uuid, int signum)
{
    json_t *content = json_pack("{s:i}", "sig", signum);
    hub_watch_send(watch, watch->control, uuid, "signal_request", content);
    json_decref(content);
}

void hub_watch_explain(struct hub_watch *watch, const struct hub_end *end)
{
    char host[256] = "";
    if (!watch)
        return;
    gethostname(host, sizeof(host) - 1);
    json_t *content = json_pack("{s:s s:b s:s s:o* s:i s:o s:b}", "engine_set", end->engine_set,
                                "all", end->index == IPCL_ALL_COPIES, "host", host, "pid",
                                end->pid ? json_integer(end->pid) : NULL, "copy", (int)end->index,
                                "reason", json_text(end->reason), "blameless", end->cut_short);
    hub_watch_send(watch, watch->query, NULL, "explain_request", content);
    json_decref(content);
}
