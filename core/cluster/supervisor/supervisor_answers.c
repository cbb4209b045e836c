/* What a running supervisor answers at its control socket. */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "cluster/state/json_text.h"
#include "cluster/supervisor/supervisor_private.h"

/* Once started copies end, they are no longer among those that run. */
static const char *state_of(const struct supervised_job *job)
{
    if (supervisor_stops(job))
        return "stopping";
    if (!job->launcher || (job->running > 0 && job->started < job->count))
        return "waiting";
    return job->running > 0 ? "running" : "ended";
}

/* The output files of all copies, each once. */
static json_t *logs_of(const struct supervised_job *job)
{
    json_t *logs = json_array();
    char path[PATH_BYTES], previous[PATH_BYTES] = "";
    for (unsigned i = 0; job->launcher && i < instances_count(job->launcher); i++) {
        if (instances_output(job->launcher, i, path, sizeof(path)) < 0 ||
            strcmp(path, previous) == 0)
            continue;
        json_array_append_new(logs, json_text(path));
        snprintf(previous, sizeof(previous), "%s", path);
    }
    return logs;
}

/* What a batch system calls its jobs: batch_to_json() has that. */
static json_t *job_ids_of(const struct supervised_job *job)
{
    json_t *ids = json_array(), *instance, *one, *id;
    size_t i, k;
    if (!job->choice.system)
        return ids;
    json_array_foreach (json_object_get(job->saved->own, "instances"), i, instance)
        json_array_foreach (json_object_get(json_object_get(instance, "state"), "jobs"), k, one)
            if (json_is_string(id = json_object_get(one, "job")) && *json_string_value(id))
                json_array_append(ids, id);
    return ids;
}

static json_t *describe(const struct supervised_job *job, const char *name)
{
    return json_pack("{s:s s:s s:s s:i s:i s:i s:s s:o s:o* s:o s:o}", "set", name, "role",
                     job->set ? "engines" : "controller", "launcher", job->choice.class->name,
                     "asked", (int)job->count, "started", (int)job->started, "running",
                     (int)supervisor_at_work(job), "state", state_of(job), "said",
                     json_text(job->saved->status), "bounds",
                     job->set ? supervisor_bounds(job->set) : NULL, "jobs", job_ids_of(job), "logs",
                     logs_of(job));
}

static json_t *answer_status(struct supervisor *supervisor, struct caller *caller,
                             const json_t *request, struct ipcl_error *error)
{
    const struct state *state = &supervisor->state;
    json_t *sets = json_array();
    (void)request;
    (void)caller;
    if (supervisor->own_controller)
        json_array_append_new(sets, describe(&supervisor->controller, "controller"));
    for (const struct engine_set *set = supervisor->sets; set; set = set->next)
        if (set->job.count > 0 || set->job.launcher || set->elastic.on) /* it can grow again */
            json_array_append_new(sets, describe(&set->job, set->saved->name));
    json_t *answer = json_pack("{s:s s:o}", "state", state->phase, "sets", sets);
    if (!answer)
        ipcl_error_set(error, "no memory for an answer");
    return answer;
}

/* Returns how many engines are too many and stay, or -1 with `error` set. */
static int scale_to(struct engine_set *set, json_int_t n, struct ipcl_error *error)
{
    if (n < 0 || n > ENGINES_MAX)
        return ipcl_error_set(error, "a set has 0 to %d engines", ENGINES_MAX);
    int surplus = supervisor_scale(set, (unsigned)n, error);
    if (surplus >= 0 && set->elastic.on)
        progress_say(set->progress,
                     "The set %s does not grow and shrink by itself any more (ipcluster scale "
                     "--n-max lets it do so again)",
                     set->saved->name);
    set->elastic.on = set->elastic.on && surplus < 0;
    return surplus;
}

static json_t *answer_scale(struct supervisor *supervisor, struct caller *caller,
                            const json_t *request, struct ipcl_error *error)
{
    const char *name = json_string_value(json_object_get(request, "set"));
    const json_t *n = json_object_get(request, "n"), *n_max = json_object_get(request, "n_max"),
                 *n_min = json_object_get(request, "n_min");
    int surplus = 0;
    (void)caller;
    if (!name || json_is_integer(n) == json_is_integer(n_max)) {
        ipcl_error_set(error, "scale needs the set's name and a number of engines, n, or an "
                              "upper limit, n_max");
        return NULL;
    }
    struct engine_set *set = supervisor_find_set(supervisor, name);
    if (!set)
        surplus = ipcl_error_set(error, "there is no set %.64s", name);
    else if (n)
        surplus = scale_to(set, json_integer_value(n), error);
    else if (supervisor_can_scale(set, true, error) < 0 ||
             supervisor_set_bounds(set, json_integer_value(n_min), json_integer_value(n_max),
                                   error) < 0)
        surplus = -1;
    return surplus < 0
               ? NULL
               : json_pack("{s:i s:b}", "surplus", surplus, "queued", supervisor_queues(&set->job));
}

/* The set that a request names. NULL with `error` set if there is none. */
static struct engine_set *named(const struct supervisor *supervisor, const json_t *request,
                                struct ipcl_error *error)
{
    const char *name = json_string_value(json_object_get(request, "set"));
    struct engine_set *set = name ? supervisor_find_set(supervisor, name) : NULL;
    if (!set)
        ipcl_error_set(error,
                       "there is no set of engines '%.64s' (ipcluster status shows those there "
                       "are)",
                       name ? name : "");
    return set;
}

static json_t *answer_stop_set(struct supervisor *supervisor, const json_t *request,
                               struct ipcl_error *error)
{
    struct engine_set *set = named(supervisor, request, error);
    if (!set)
        return NULL;
    if (!set->joined && supervisor->phase < PHASE_UP) {
        ipcl_error_set(error, "the cluster is being started with these engines: ipcluster stop "
                              "ends its start");
        return NULL;
    }
    if (json_is_true(json_object_get(request, "hurry")) && set->phase >= SET_ASKED) {
        progress_say(set->progress, "Hurrying: killing the engines");
        supervisor_hurry_set(set);
    }
    supervisor_stop_set(set, set->phase == SET_UP ? EXIT_FINE : EXIT_INTERRUPTED);
    return json_object();
}

static json_t *answer_signal(struct supervisor *supervisor, struct caller *caller,
                             const json_t *request, struct ipcl_error *error)
{
    struct engine_set *set = named(supervisor, request, error);
    json_int_t signum = json_integer_value(json_object_get(request, "signal"));
    (void)caller;
    if (!set)
        return NULL;
    if (signum < 1 || signum >= NSIG) {
        ipcl_error_set(error, "the request lacks the number of a signal");
        return NULL;
    }
    if (set->job.launcher && !supervisor_stops(&set->job) &&
        instances_signal(set->job.launcher, (int)signum, error) < 0)
        return NULL;
    return json_object();
}

/* {"engines": the ids of those that are of this supervisor's sets, and with them of their MPI
 * worlds}: they are asked to end. */
static json_t *end_engines(struct supervisor *supervisor, const json_t *request,
                           enum slot_fate fate, struct ipcl_error *error)
{
    const json_t *ids = json_object_get(request, "engines");
    json_t *taken = json_array();
    if (!json_is_array(ids))
        ipcl_error_set(error, "engines are a list of ids");
    else if (supervisor_end_engines(supervisor, ids, fate, taken, error) == 0)
        return json_pack("{s:o}", "engines", taken);
    json_decref(taken);
    return NULL;
}

/* Of a set, or of engines. */
static json_t *answer_stop(struct supervisor *supervisor, struct caller *caller,
                           const json_t *request, struct ipcl_error *error)
{
    (void)caller;
    if (json_object_get(request, "set"))
        return answer_stop_set(supervisor, request, error);
    return end_engines(supervisor, request, FATE_END, error);
}

static json_t *answer_restart(struct supervisor *supervisor, struct caller *caller,
                              const json_t *request, struct ipcl_error *error)
{
    (void)caller;
    return end_engines(supervisor, request, FATE_RESTART, error);
}

static const struct {
    const char *name;
    json_t *(*answer)(struct supervisor *supervisor, struct caller *caller, const json_t *request,
                      struct ipcl_error *error);
} requests[] = {
    {"status", answer_status}, {"engines", supervisor_answer_engines},
    {"stop", answer_stop},     {"restart", answer_restart},
    {"scale", answer_scale},   {"signal", answer_signal},
};

/* "status, engines and stop" */
static void list_requests(char *text, size_t size)
{
    const size_t count = sizeof(requests) / sizeof(*requests);
    size_t length = 0;
    for (size_t i = 0; i < count && length < size; i++)
        length += (size_t)snprintf(text + length, size - length, "%s%s",
                                   i == 0           ? ""
                                   : i + 1 == count ? " and "
                                                    : ", ",
                                   requests[i].name);
}

static json_t *answer(void *context, struct caller *caller, const json_t *request,
                      struct ipcl_error *error)
{
    const char *name = json_string_value(json_object_get(request, "request"));
    for (size_t i = 0; name && i < sizeof(requests) / sizeof(*requests); i++)
        if (strcmp(requests[i].name, name) == 0)
            return requests[i].answer(context, caller, request, error);
    char known[256];
    list_requests(known, sizeof(known));
    if (name)
        ipcl_error_set(error, "there is no request '%.64s': this ipcluster knows of %s", name,
                       known);
    else
        ipcl_error_set(error, "a request has a name: {\"request\": \"status\"}");
    return NULL;
}

void supervisor_listen(struct supervisor *supervisor)
{
    struct state *state = &supervisor->state;
    struct ipcl_error error;
    char name[ENGINE_SET_BYTES + 16];
    snprintf(name, sizeof(name), "ipcluster-%s", state->label);
    supervisor->control = control_create(&supervisor->loop, supervisor->cluster->profile.security,
                                         name, answer, supervisor, state->socket, &error);
    if (supervisor->control && state_write(state, &error) == 0)
        return;
    if (!supervisor->control)
        state->socket[0] = '\0';
    log_warn("ipcluster status will not show all of this cluster: %s", error.text);
}
