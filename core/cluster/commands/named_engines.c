/* Single engines of a cluster that runs, named by their ids. Requests go to the supervisors of the
 * engines, or to the engines themselves if these were started by hand. */
#include "cluster/commands/named_engines.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/numbers.h"
#include "cluster/control/control.h"
#include "cluster/watch/hub_watch.h"
#include "cluster/state/state.h"
#include "wire/connection.h"

#define ANSWER_MS 5000  /* for a supervisor, the hub, and engines */
#define LOOK_MS   100   /* how often it is looked whether they have gone, or are back */
#define AWAIT_MS  90000 /* for that; an engine that does not end is killed long before */

static json_t *list_engines(const struct cluster *cluster, struct ipcl_error *error)
{
    char path[PATH_BYTES];
    if (connection_path(cluster->profile.dir, cluster->cluster_id, CONNECTION_CLIENT, path, error) <
        0)
        return NULL;
    if (!path_exists(path)) {
        ipcl_error_set(error, "no controller runs here: there is no %s", path);
        return NULL;
    }
    json_t *details = hub_details(cluster->early_registry, path, ANSWER_MS, error);
    json_t *engines = json_incref(json_object_get(details, "engines"));
    json_decref(details);
    return engines;
}

static json_t *find(const json_t *engines, json_int_t id)
{
    size_t i;
    json_t *engine;
    json_array_foreach (engines, i, engine)
        if (json_integer_value(json_object_get(engine, "id")) == id)
            return engine;
    return NULL;
}

/* Adds the engines of one word. Returns 0 or -1 with `error` set. */
static int add_named(json_t *named, const json_t *engines, const char *word,
                     struct ipcl_error *error)
{
    struct numbers ids = {NULL, 0};
    int outcome = numbers_add(&ids, word, 0, INT_MAX);
    if (outcome < 0 || ids.count == 0)
        outcome = ipcl_error_set(
            error,
            "'%s' is not an engine: engines are named by their ids, such as 3 or 5-7, at most "
            "%d of them",
            word, NUMBERS_MAX);
    for (size_t i = 0; outcome == 0 && i < ids.count; i++) {
        json_t *engine = find(engines, ids.list[i]);
        if (!engine)
            outcome = ipcl_error_set(error, "there is no engine %d (ipcluster status lists them)",
                                     ids.list[i]);
        else if (!find(named, ids.list[i]))
            json_array_append(named, engine);
    }
    free(ids.list);
    return outcome;
}

json_t *named_engines_find(const struct cluster *cluster, char *const *words, int count,
                           int *exit_code, struct ipcl_error *error)
{
    json_t *engines = list_engines(cluster, error), *named = json_array();
    int outcome = 0;
    *exit_code = engines ? EXIT_WRONG : EXIT_NO_CONTROLLER;
    for (int i = 0; engines && outcome == 0 && i < count; i++)
        outcome = add_named(named, engines, words[i], error);
    if (engines && count == 0)
        json_array_extend(named, engines);
    if (!engines || outcome < 0) {
        json_decref(named);
        named = NULL;
    }
    json_decref(engines);
    return named;
}

struct engines_asking {
    const struct cluster *cluster;
    const char *request;
    json_t *ids;
    json_t *taken;
    struct ipcl_error *error;
};

static int ask_one(void *context, struct state *state)
{
    struct engines_asking *asking = context;
    if (strcmp(state->cluster_id, asking->cluster->cluster_id) != 0 || !state_supervised(state) ||
        !*state->socket)
        return 0;
    json_t *answer = control_ask(
        state->socket, json_pack("{s:s s:O}", "request", asking->request, "engines", asking->ids),
        ANSWER_MS, asking->error);
    json_array_extend(asking->taken, json_object_get(answer, "engines"));
    json_decref(answer);
    return answer ? 0 : -1;
}

static json_t *ids_of(const json_t *engines)
{
    json_t *ids = json_array(), *engine;
    size_t i;
    json_array_foreach (engines, i, engine)
        json_array_append(ids, json_object_get(engine, "id"));
    return ids;
}

json_t *named_engines_ask(const struct cluster *cluster, const json_t *engines, const char *request,
                          struct ipcl_error *error)
{
    struct engines_asking asking = {cluster, request, ids_of(engines), json_array(), error};
    if (state_each(cluster->profile.pid, ask_one, &asking) < 0) {
        json_decref(asking.taken);
        asking.taken = NULL;
    }
    json_decref(asking.ids);
    return asking.taken;
}

static bool is_in(const json_t *ids, const json_t *id)
{
    size_t i;
    json_t *one;
    json_array_foreach (ids, i, one)
        if (json_equal(one, id))
            return true;
    return false;
}

int named_engines_tell(const struct cluster *cluster, const json_t *engines, const json_t *except,
                       const char *msg_type, json_t *content, struct ipcl_error *error)
{
    char path[PATH_BYTES];
    json_t *uuids = json_array(), *engine;
    size_t i;
    int outcome = 0;
    json_array_foreach (engines, i, engine)
        if (!is_in(except, json_object_get(engine, "id")))
            json_array_append(uuids, json_object_get(engine, "uuid"));
    if (json_array_size(uuids) > 0)
        outcome = connection_path(cluster->profile.dir, cluster->cluster_id, CONNECTION_CLIENT,
                                  path, error) == 0
                      ? hub_tell_engines(cluster->early_registry, path, uuids, msg_type, content,
                                         ANSWER_MS, error)
                      : -1;
    json_decref(uuids);
    json_decref(content);
    return outcome;
}

int named_engines_end_idle(const struct cluster *cluster, json_t *engines, size_t most,
                           struct ipcl_error *error)
{
    char path[PATH_BYTES];
    return connection_path(cluster->profile.dir, cluster->cluster_id, CONNECTION_CLIENT, path,
                           error) == 0
               ? hub_end_idle(cluster->early_registry, path, engines, most, ANSWER_MS, error)
               : -1;
}

/* Whether one of those engines is still registered. */
static bool any_left(const json_t *engines, const json_t *now)
{
    size_t i;
    json_t *engine;
    json_array_foreach (engines, i, engine) {
        const json_t *other = find(now, json_integer_value(json_object_get(engine, "id")));
        if (other && json_equal(json_object_get(other, "uuid"), json_object_get(engine, "uuid")))
            return true;
    }
    return false;
}

int named_engines_await(const struct cluster *cluster, const json_t *engines, const json_t *ids,
                        struct ipcl_error *error)
{
    long long end_ms = clock_ms() + AWAIT_MS;
    bool missing = true;
    while (missing && clock_ms() < end_ms) {
        size_t i;
        json_t *id, *now = list_engines(cluster, error);
        if (!now)
            return -1;
        missing = any_left(engines, now);
        json_array_foreach (ids, i, id)
            missing = missing || !find(now, json_integer_value(id));
        json_decref(now);
        if (missing)
            usleep(LOOK_MS * 1000);
    }
    if (!missing)
        return 0;
    return ipcl_error_set(error, "they have not %s within %d seconds: see ipcluster status",
                          json_array_size(ids) > 0 ? "come back" : "ended", AWAIT_MS / 1000);
}

int named_engines_stop(const struct cluster *cluster, const json_t *engines,
                       struct ipcl_error *error)
{
    json_t *taken = named_engines_ask(cluster, engines, "stop", error);
    int outcome = taken ? named_engines_tell(cluster, engines, taken, "shutdown_request",
                                             json_pack("{s:b}", "restart", 0), error)
                        : -1;
    if (outcome == 0)
        outcome = named_engines_await(cluster, engines, NULL, error);
    json_decref(taken);
    return outcome == 0 ? EXIT_FINE : EXIT_NOT_STOPPED;
}

char *named_engines_text(const json_t *ids)
{
    char *text = NULL;
    size_t size, i;
    json_t *id;
    FILE *stream = open_memstream(&text, &size);
    if (!stream)
        return NULL;
    fprintf(stream, "Engine%s ", json_array_size(ids) == 1 ? "" : "s");
    json_array_foreach (ids, i, id)
        fprintf(stream, "%s%" JSON_INTEGER_FORMAT, i ? ", " : "", json_integer_value(id));
    fclose(stream);
    return text;
}
