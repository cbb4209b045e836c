/* Asking the hub, and engines through it, once and without an event loop. */
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <zmq.h>

#include "base/clock.h"
#include "cluster/watch/hub_watch_private.h"

#define LOOK_MS 50

/* A watch without a loop. NULL with `error` set. */
static struct hub_watch *open_alone(struct registry *registry, const char *path,
                                    struct ipcl_error *error)
{
    struct hub_watch *watch = calloc(1, sizeof(*watch));
    if (!watch || !(watch->answers = json_object())) {
        ipcl_error_set(error, "no memory for a connection to the hub");
        free(watch);
        return NULL;
    }
    watch->link.take = hub_watch_take;
    watch->link.self = watch;
    if (hub_link_open(&watch->link, registry, path, error) == 0) {
        /* Nobody reads here what the hub publishes, and some stay for days. */
        zmq_setsockopt(watch->link.notification, ZMQ_UNSUBSCRIBE, "", 0);
        return watch;
    }
    hub_watch_free(watch);
    return NULL;
}

/* Asks the hub, and takes what comes within that time. Returns the answer, borrowed, or NULL. */
static const json_t *ask_alone(struct hub_watch *watch, const char *request, json_t *content,
                               const char *answer, int timeout_ms)
{
    void *socket = watch->link.query;
    zmq_pollitem_t item = {.socket = socket, .events = ZMQ_POLLIN};
    long long end = clock_ms() + timeout_ms;
    json_object_del(watch->answers, answer);
    hub_link_send(&watch->link, socket, NULL, request, content);
    json_decref(content);
    while (!json_object_get(watch->answers, answer) && end > clock_ms())
        if (zmq_poll(&item, 1, (long)(end - clock_ms())) > 0)
            hub_link_read(&watch->link);
    return json_object_get(watch->answers, answer);
}

/* Engines that are asked. */
struct asked_engines {
    const void *socket;
    json_t *asked;   /* their uuids by the msg_ids of the requests */
    json_t *answers; /* what the answers say, by the uuids */
};

/* An answer belongs to the engine whose request it names, whatever it says about itself. It need
 * not come from that engine: the controller answers for an engine that has gone. */
static void take_engine_answer(void *self, const void *socket, const struct hub_message *message)
{
    struct asked_engines *engines = self;
    json_t *uuid = message && socket == engines->socket
                       ? json_object_get(engines->asked, message->answers)
                       : NULL;
    if (!uuid)
        return;
    json_object_set(engines->answers, json_string_value(uuid), message->content);
    json_object_del(engines->asked, message->answers);
}

/* Sends each of these engines a control message, and waits until all have answered, or none more
 * does for so long. Returns the answers' contents by the uuids of the engines, a new object. */
static json_t *ask_engines(struct hub_watch *watch, const json_t *uuids, const char *request,
                           const json_t *content, int timeout_ms)
{
    struct asked_engines engines = {
        .socket = watch->link.control, .asked = json_object(), .answers = json_object()};
    zmq_pollitem_t item = {.socket = watch->link.control, .events = ZMQ_POLLIN};
    json_t *uuid;
    size_t i, left;
    json_array_foreach (uuids, i, uuid) {
        const char *msg_id = hub_link_send(&watch->link, watch->link.control,
                                           json_string_value(uuid), request, content);
        json_object_set(engines.asked, msg_id, uuid);
    }
    watch->link.take = take_engine_answer;
    watch->link.self = &engines;
    long long end = clock_ms() + timeout_ms;
    while ((left = json_object_size(engines.asked)) > 0 && end > clock_ms()) {
        if (zmq_poll(&item, 1, (long)(end - clock_ms())) > 0)
            hub_link_read(&watch->link);
        if (json_object_size(engines.asked) < left)
            end = clock_ms() + timeout_ms;
    }
    watch->link.take = hub_watch_take;
    watch->link.self = watch;
    json_decref(engines.asked);
    return engines.answers;
}

/* All connections are made: also a controller that is full answers. */
static bool ask_list(struct hub_watch *watch, int timeout_ms)
{
    return ask_alone(watch, "connection_request",
                     json_pack("{s:i s:b}", "connections", 0, "details", 1), "connection_reply",
                     timeout_ms);
}

int hub_count_engines(struct registry *registry, const char *path, int timeout_ms,
                      struct ipcl_error *error)
{
    struct hub_watch *watch = open_alone(registry, path, error);
    int count = -1;
    if (!watch)
        return -1;
    if (ask_list(watch, timeout_ms))
        count = (int)hub_watch_count(watch, NULL, 0);
    else
        ipcl_error_set(error, "no controller answers at the address in %s", path);
    hub_watch_free(watch);
    return count;
}

int hub_end(struct registry *registry, const char *path, int timeout_ms, struct ipcl_error *error)
{
    struct hub_watch *watch = open_alone(registry, path, error);
    long long end = clock_ms() + timeout_ms;
    if (!watch)
        return -1;
    while ((!ask_list(watch, HUB_ASK_MS) || hub_watch_count(watch, NULL, 0)) && clock_ms() < end) {
        hub_watch_end_engines(watch, NULL);
        usleep(LOOK_MS * 1000);
    }
    unsigned left = hub_watch_count(watch, NULL, 0);
    hub_link_send(&watch->link, watch->link.query, NULL, "shutdown_request", NULL);
    hub_watch_free(watch);
    return left ? ipcl_error_set(error,
                                 "%u engine%s not left the controller, which was asked to "
                                 "end",
                                 left, left == 1 ? " has" : "s have")
                : 0;
}

int hub_tell_engines(struct registry *registry, const char *path, const json_t *uuids,
                     const char *msg_type, const json_t *content, int timeout_ms,
                     struct ipcl_error *error)
{
    struct hub_watch *watch = open_alone(registry, path, error);
    size_t count = json_array_size(uuids), answered = 0;
    if (!watch)
        return -1;
    bool found = ask_list(watch, timeout_ms);
    if (found) {
        json_t *answers = ask_engines(watch, uuids, msg_type, content, timeout_ms);
        answered = json_object_size(answers);
        json_decref(answers);
    }
    hub_watch_free(watch);
    if (!found)
        return ipcl_error_set(error, "no controller answers at the address in %s", path);
    return answered == count ? 0
                             : ipcl_error_set(error, "%zu of %zu engines have not answered",
                                              count - answered, count);
}

/* Whether an engine ends, as nobody would miss it. */
static bool ends_idle(struct hub_watch *watch, const char *uuid, int timeout_ms)
{
    json_t *uuids = json_pack("[s]", uuid);
    json_t *content = json_pack("{s:b s:b}", "restart", 0, "idle", 1);
    json_t *answers = ask_engines(watch, uuids, "shutdown_request", content, timeout_ms);
    const char *status =
        json_string_value(json_object_get(json_object_get(answers, uuid), "status"));
    bool ends = status && strcmp(status, "ok") == 0;
    json_decref(uuids);
    json_decref(content);
    json_decref(answers);
    return ends;
}

int hub_end_idle(struct registry *registry, const char *path, json_t *engines, size_t most,
                 int timeout_ms, struct ipcl_error *error)
{
    struct hub_watch *watch = open_alone(registry, path, error);
    size_t i, ended = 0;
    json_t *engine;
    if (!watch)
        return -1;
    if (!ask_list(watch, timeout_ms)) {
        hub_watch_free(watch);
        return ipcl_error_set(error, "no controller answers at the address in %s", path);
    }
    json_array_foreach (engines, i, engine) {
        const char *uuid = json_string_value(json_object_get(engine, "uuid"));
        bool ends = ended < most && ends_idle(watch, uuid, timeout_ms);
        ended += ends;
        json_object_set_new(engine, "ends", json_boolean(ends));
    }
    hub_watch_free(watch);
    return 0;
}

/* The outcome of a trace_request, from its answer (NULL: there was none). A new object. */
static json_t *trace_of(const json_t *answer)
{
    json_t *file = json_object_get(answer, "file"), *why = json_object_get(answer, "evalue");
    if (file)
        return json_pack("{s:O}", "file", file);
    return why ? json_pack("{s:O}", "error", why)
               : json_pack("{s:s}", "error", "it does not answer");
}

json_t *hub_trace(struct registry *registry, const char *path, bool on, int timeout_ms,
                  struct ipcl_error *error)
{
    struct hub_watch *watch = open_alone(registry, path, error);
    json_t *uuid;
    const char *id;
    if (watch && !ask_list(watch, timeout_ms)) {
        ipcl_error_set(error, "no controller answers at the address in %s", path);
        hub_watch_free(watch);
        watch = NULL;
    }
    if (!watch)
        return NULL;
    json_t *engines = json_incref(
        json_object_get(json_object_get(watch->answers, "connection_reply"), "engines"));
    json_t *content = json_pack("{s:b}", "on", on);
    json_t *traces =
        json_pack("[o]", trace_of(ask_alone(watch, "trace_request", json_incref(content),
                                            "trace_reply", timeout_ms)));
    json_t *uuids = json_array();
    json_object_foreach (engines, id, uuid)
        json_array_append(uuids, uuid);
    json_t *answers = ask_engines(watch, uuids, "trace_request", content, timeout_ms);
    json_object_foreach (engines, id, uuid) {
        json_t *trace = trace_of(json_object_get(answers, json_string_value(uuid)));
        json_object_set_new(trace, "id", json_string(id));
        json_array_append_new(traces, trace);
    }
    json_decref(answers);
    json_decref(uuids);
    json_decref(content);
    json_decref(engines);
    hub_watch_free(watch);
    return traces;
}

static int compare_ids(const void *one, const void *other)
{
    long a = atol(*(const char *const *)one), b = atol(*(const char *const *)other);
    return a < b ? -1 : a > b;
}

/* The ids of what the hub lists. To be freed. */
static const char **sorted_ids(json_t *engines, size_t *count)
{
    const char **ids = calloc(json_object_size(engines) + 1, sizeof(*ids)), *id;
    json_t *uuid;
    *count = 0;
    json_object_foreach (engines, id, uuid)
        if (ids)
            ids[(*count)++] = id;
    if (ids)
        qsort(ids, *count, sizeof(*ids), compare_ids);
    return ids;
}

/* One engine, as the hub's answers have it. */
static json_t *engine_of(const char *id, const json_t *listed, const json_t *queues)
{
    json_t *info = json_object_get(json_object_get(listed, "engine_info"), id);
    const json_t *queue = json_object_get(queues, id);
    json_int_t waiting = json_integer_value(json_object_get(queue, "queue")) +
                         json_integer_value(json_object_get(queue, "tasks"));
    json_t *engine = json_is_object(info) ? json_copy(info) : json_object();
    json_t *own = json_pack("{s:i s:O s:s s:I s:O? s:O?}", "id", atoi(id), "uuid",
                            json_object_get(json_object_get(listed, "engines"), id), "state",
                            !queue    ? "registered"
                            : waiting ? "busy"
                                      : "idle",
                            "tasks", waiting, "completed", json_object_get(queue, "completed"),
                            "since", json_object_get(json_object_get(listed, "engine_since"), id));
    json_object_update(engine, own); /* whatever it says of itself */
    json_decref(own);
    return engine;
}

/* The engines in the order of their ids. */
static json_t *engines_of(const json_t *listed, const json_t *queues)
{
    size_t count;
    const char **ids = sorted_ids(json_object_get(listed, "engines"), &count);
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++)
        json_array_append_new(list, engine_of(ids[i], listed, queues));
    free(ids);
    return list;
}

json_t *hub_details(struct registry *registry, const char *path, int timeout_ms,
                    struct ipcl_error *error)
{
    struct hub_watch *watch = open_alone(registry, path, error);
    json_t *details = NULL;
    if (!watch)
        return NULL;
    if (!ask_list(watch, timeout_ms)) {
        ipcl_error_set(error, "no controller answers at the address in %s", path);
        hub_watch_free(watch);
        return NULL;
    }
    const json_t *queues =
        ask_alone(watch, "queue_request", json_pack("{s:n s:b}", "targets", "verbose", 0),
                  "queue_reply", timeout_ms);
    const json_t *listed = json_object_get(watch->answers, "connection_reply");
    json_t *departed = json_object_get(listed, "departed");
    details = json_pack("{s:o s:o s:O?}", "engines", engines_of(listed, queues), "departed",
                        departed ? json_incref(departed) : json_array(), "unassigned",
                        json_object_get(queues, "unassigned"));
    hub_watch_free(watch);
    return details;
}

/* NULL if the controller that was asked last has gone: another may have taken its place, with other
 * keys and at another address. A new reference. */
static json_t *ask_controller_stats(struct hub_watch *watch, int timeout_ms)
{
    const json_t *answer = ask_alone(watch, "stats_request", NULL, "stats_reply", timeout_ms);
    return json_object_get(answer, "values") ? json_deep_copy(answer) : NULL;
}

/* An engine of ipyparallel does not even answer that it does not know a request. */
static bool is_ours(const json_t *info)
{
    const char *what = json_string_value(json_object_get(info, "implementation"));
    return what && !strcmp(what, "ipcluster");
}

/* An engine's answer (NULL: none) as a new object. An older engine of ours says that it does not
 * know the request. The metrics' descriptions are moved to `whole`. */
static json_t *stats_of(json_t *answer, const json_t *info, json_t *whole)
{
    json_t *metrics = json_object_get(answer, "metrics");
    const char *why = json_string_value(json_object_get(answer, "evalue"));
    json_t *engine =
        json_object_get(answer, "values")
            ? json_incref(answer)
            : json_pack("{s:s}", "error",
                        why             ? why
                        : is_ours(info) ? "it does not answer"
                                        : "it is not one of ipcluster's, and does not count");
    json_t *host = json_object_get(info, "host");
    json_object_del(engine, "status");
    json_object_update_missing(json_object_get(whole, "metrics"), metrics);
    json_object_del(engine, "metrics");
    if (host)
        json_object_set(engine, "host", host);
    return engine;
}

/* Likewise, for all engines. */
static json_t *ask_engine_stats(struct hub_watch *watch, int timeout_ms)
{
    size_t count;
    if (!ask_list(watch, timeout_ms))
        return NULL;
    json_t *listed = json_incref(json_object_get(watch->answers, "connection_reply"));
    json_t *engines = json_object_get(listed, "engines"), *infos, *uuids = json_array();
    const char **ids = sorted_ids(engines, &count);
    infos = json_object_get(listed, "engine_info");
    for (size_t i = 0; i < count; i++)
        if (is_ours(json_object_get(infos, ids[i])))
            json_array_append(uuids, json_object_get(engines, ids[i]));
    json_t *none = json_object(), *stats = json_object();
    json_t *whole = json_pack("{s:f s:{}}", "time", clock_wall(), "metrics");
    json_t *answers = ask_engines(watch, uuids, "stats_request", none, timeout_ms);
    for (size_t i = 0; i < count; i++) {
        const char *uuid = json_string_value(json_object_get(engines, ids[i]));
        json_object_set_new(
            stats, ids[i],
            stats_of(json_object_get(answers, uuid), json_object_get(infos, ids[i]), whole));
    }
    json_decref(answers);
    json_decref(none);
    free(ids);
    json_decref(uuids);
    json_decref(listed);
    json_object_set_new(whole, "engines", stats);
    return whole;
}

/* `first`: no hub has answered on this connection yet. */
static json_t *ask_stats(struct hub_watch *watch, enum hub_stats_of of, bool first, int timeout_ms)
{
    if (of == HUB_STATS_ENGINES)
        return ask_engine_stats(watch, timeout_ms);
    return first && !ask_list(watch, timeout_ms) ? NULL : ask_controller_stats(watch, timeout_ms);
}

static void pause_for(int pause_ms)
{
    const struct timespec pause = {.tv_sec = pause_ms / 1000,
                                   .tv_nsec = pause_ms % 1000 * 1000000L};
    nanosleep(&pause, NULL);
}

int hub_stats(struct registry *registry, const char *path, enum hub_stats_of of, int interval_ms,
              bool (*each)(void *self, json_t *answer), void *self, int timeout_ms,
              struct ipcl_error *error)
{
    struct hub_watch *watch = NULL;
    bool again, answered, told = false;
    do {
        json_t *answer = watch ? ask_stats(watch, of, false, timeout_ms) : NULL;
        if (!answer) {
            if (watch)
                hub_watch_free(watch);
            watch = open_alone(registry, path, error);
            answer = watch ? ask_stats(watch, of, true, timeout_ms) : NULL;
        }
        answered = answer;
        again = answer && each(self, answer);
        json_decref(answer);
        told = told || answered;
        if (again)
            pause_for(interval_ms);
    } while (again);
    if (watch || told)
        ipcl_error_set(error,
                       "no hub at the address in %s answers with its counts: the controller has "
                       "ended, or is a version that does not count",
                       path);
    if (watch)
        hub_watch_free(watch);
    return answered ? 0 : -1;
}
