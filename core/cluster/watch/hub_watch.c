/* A client of the hub that sends no work: it knows which engines are registered, and whether the
 * controller is there. Runs on the event loop; hub_link.c has the sockets.
 *
 * What the hub answers is what counts. A notification only says that it is time to ask. */
#include "cluster/watch/hub_watch_private.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/secret.h"
#include "cluster/state/json_text.h"
#include "wire/socket.h"

/* The same after a notification: engines that arrive together have one answer. It names all there
 * are, so each takes a millisecond more for every ten. */
#define ASK_SOON_MS 20
/* How long a controller that no other may replace may be away, as the client library has it. */
#define LOST_MS 5000
/* How long its goodbye, on another connection, may take to come behind that. */
#define GOODBYE_MS  500
#define MONITOR_URL "inproc://hub-watch"

/* Copies a member of what an engine says about itself; "" if it has none. */
static void take_fact(char *text, size_t size, const json_t *info, const char *name)
{
    const char *fact = json_string_value(json_object_get(info, name));
    snprintf(text, size, "%s", fact ? fact : "");
}

static void note_engine(struct hub_watch *watch, int id, const char *uuid, const json_t *info)
{
    struct watched_engine *engine;
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

static void drop_engine(struct hub_watch *watch, struct watched_engine *engine)
{
    HASH_DEL(watch->engines, engine);
    free(engine);
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
    struct watched_engine *engine, *next;
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
    hub_link_note_life(&watch->link, content);
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

void hub_watch_take(void *self, const void *socket, const struct hub_message *message)
{
    struct hub_watch *watch = self;
    if (!message)
        ask_soon(watch);
    const char *type = message ? message->type : NULL;
    if (!type || !message->content)
        return;
    /* Other answers are late: nothing waits for them any more. */
    if (watch->answers && message->answers && !strcmp(message->answers, watch->link.asked))
        json_object_set(watch->answers, type, message->content);
    if (socket == watch->link.notification)
        take_notification(watch, type, message->content);
    else if (socket == watch->link.query && strcmp(type, "connection_reply") == 0)
        take_answer(watch, message->content);
    else if (socket == watch->link.control && strcmp(type, "shutdown_reply") == 0)
        hub_measure_reply(watch, message);
    if (watch->answered && watch->events.changed)
        watch->events.changed(watch->events.context, watch);
}

/* All connections are made: also a controller that is full answers. */
static void request_list(struct hub_watch *watch)
{
    json_t *sets = watch->events.explains ? watch->events.explains(watch->events.context) : NULL;
    json_t *content =
        json_pack("{s:i s:b s:o*}", "connections", 0, "work", watch->measures, "explains", sets);
    hub_link_send(&watch->link, watch->link.query, NULL, "connection_request", content);
    json_decref(content);
}

static void note_connection(struct hub_watch *watch)
{
    struct message message;
    message_init(&message);
    while (message_recv(&message, watch->monitor, ZMQ_DONTWAIT) == 0) {
        uint16_t event = 0;
        uint32_t value;
        message_read_event(&message, &event, &value);
        if (event != ZMQ_EVENT_DISCONNECTED)
            watch->away_ms = 0;
        else if (!watch->away_ms) /* what listens there now may end the connection each time */
            watch->away_ms = clock_ms();
    }
    message_close(&message);
}

/* A controller removes its connection files when it ends, unless it was killed or another may take
 * its place: then clients find the next controller by the same file. */
static bool has_gone(const struct hub_watch *watch)
{
    long long away_ms = watch->away_ms ? clock_ms() - watch->away_ms : 0;
    return (away_ms > GOODBYE_MS && !path_exists(watch->link.path)) ||
           (away_ms > LOST_MS && !watch->link.connection.reuse);
}

static void ask_hub(uv_timer_t *timer)
{
    struct hub_watch *watch = timer->data;
    watch->asking_soon = false;
    note_connection(watch);
    hub_link_read(&watch->link);
    if (!watch->events.changed)
        return; /* what has come was the last */
    if (watch->presence == HUB_THERE && has_gone(watch)) {
        watch->presence = HUB_LOST;
        watch->events.changed(watch->events.context, watch);
        return;
    }
    request_list(watch);
}

static void before_wait(uv_prepare_t *prepare)
{
    struct hub_watch *watch = prepare->data;
    hub_link_read(&watch->link);
}

/* What ends the wait is read before the next. */
static void on_arrival(uv_poll_t *poll, int status, int events)
{
    (void)poll;
    (void)status;
    (void)events;
}

static int open_monitor(struct hub_watch *watch, struct ipcl_error *error)
{
    const struct socket_options options = {.type = ZMQ_PAIR};
    if (zmq_socket_monitor(watch->link.query, MONITOR_URL,
                           ZMQ_EVENT_DISCONNECTED | ZMQ_EVENT_HANDSHAKE_SUCCEEDED))
        return ipcl_error_set(error, "cannot watch the connection to the hub: %s",
                              zmq_strerror(errno));
    watch->monitor = socket_create(watch->link.context, &options, error);
    return watch->monitor ? socket_connect(watch->monitor, MONITOR_URL, error) : -1;
}

void hub_watch_free(struct hub_watch *watch)
{
    struct watched_engine *engine, *next;
    HASH_ITER (hh, watch->engines, engine, next)
        drop_engine(watch, engine);
    if (watch->monitor) {
        zmq_socket_monitor(watch->link.query, NULL, 0);
        zmq_close(watch->monitor);
    }
    engine_names_release(&watch->names);
    hub_link_close(&watch->link);
    json_decref(watch->answers);
    secret_free(watch);
}

static void handle_closed(uv_handle_t *handle)
{
    struct hub_watch *watch = handle->data;
    if (--watch->open_handles == 0)
        hub_watch_free(watch);
}

/* Returns 0 or -1. */
static int watch_link(struct hub_watch *watch, uv_loop_t *loop)
{
    int fd = loop_descriptor(watch->link.loop);
    if (fd < 0 || uv_poll_init(loop, &watch->arrival, fd))
        return -1;
    watch->arrival.data = watch;
    watch->open_handles++;
    return uv_poll_start(&watch->arrival, UV_READABLE, on_arrival) ? -1 : 0;
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
    watch->link.take = hub_watch_take;
    watch->link.self = watch;
    if (hub_link_open(&watch->link, registry, path, error) < 0 || open_monitor(watch, error) < 0) {
        hub_watch_free(watch);
        return NULL;
    }
    uv_timer_init(loop, &watch->ask);
    uv_prepare_init(loop, &watch->before_wait);
    watch->ask.data = watch->before_wait.data = watch;
    watch->open_handles = 2;
    if (watch_link(watch, loop)) {
        ipcl_error_set(error, "the event loop cannot watch the connection to the hub");
        hub_watch_destroy(watch);
        return NULL;
    }
    uv_prepare_start(&watch->before_wait, before_wait);
    uv_timer_start(&watch->ask, ask_hub, 0, HUB_ASK_MS);
    return watch;
}

void hub_watch_destroy(struct hub_watch *watch)
{
    if (!watch)
        return;
    watch->events.changed = NULL;
    uv_close((uv_handle_t *)&watch->ask, handle_closed);
    uv_close((uv_handle_t *)&watch->before_wait, handle_closed);
    if (watch->arrival.data)
        uv_close((uv_handle_t *)&watch->arrival, handle_closed);
}

enum hub_presence hub_watch_presence(const struct hub_watch *watch)
{
    return watch ? watch->presence : HUB_LOST;
}

bool hub_watch_answered(const struct hub_watch *watch)
{
    return watch && watch->answered;
}

static bool is_of(const struct watched_engine *engine, const char *engine_set)
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
    for (const struct watched_engine *engine = watch ? watch->engines : NULL; engine;
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
    for (const struct watched_engine *engine = watch ? watch->engines : NULL; engine;
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
    for (struct watched_engine *engine = watch ? watch->engines : NULL; engine;
         engine = engine->hh.next) {
        if (engine->told || !is_of(engine, engine_set))
            continue;
        engine->told = true;
        hub_link_send(&watch->link, watch->link.control, engine->uuid, "shutdown_request", content);
    }
    json_decref(content);
}

void hub_watch_end_engine(struct hub_watch *watch, const char *uuid)
{
    json_t *content = json_pack("{s:b}", "restart", 0);
    hub_link_send(&watch->link, watch->link.control, uuid, "shutdown_request", content);
    json_decref(content);
}

void hub_watch_signal(struct hub_watch *watch, const char *uuid, int signum)
{
    json_t *content = json_pack("{s:i}", "sig", signum);
    hub_link_send(&watch->link, watch->link.control, uuid, "signal_request", content);
    json_decref(content);
}

void hub_watch_explain(struct hub_watch *watch, const struct hub_explanation *end)
{
    char host[256] = "";
    if (!watch)
        return;
    gethostname(host, sizeof(host) - 1);
    json_t *content = json_pack("{s:s s:b s:s s:o* s:i s:o s:b}", "engine_set", end->engine_set,
                                "all", end->index == IPCL_ALL_COPIES, "host", host, "pid",
                                end->pid ? json_integer(end->pid) : NULL, "copy", (int)end->index,
                                "reason", json_text(end->reason), "blameless", end->cut_short);
    hub_link_send(&watch->link, watch->link.query, NULL, "explain_request", content);
    json_decref(content);
}
