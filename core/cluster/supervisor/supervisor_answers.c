/* What a running supervisor answers at its control socket. */
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "cluster/state/json_text.h"
#include "cluster/supervisor/supervisor_private.h"

/* Once started copies end, they are no longer among those that run. */
static const char *state_of(const struct job *job)
{
    if (supervisor_stops(job))
        return "stopping";
    if (!job->launcher || (job->running > 0 && job->started < job->count))
        return "waiting";
    return job->running > 0 ? "running" : "ended";
}

/* The output files of all copies, each once. */
static json_t *logs_of(const struct job *job)
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
static json_t *job_ids_of(const struct job *job)
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

static json_t *describe(const struct job *job, const char *name)
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
        return supervisor_answer_stop_set(supervisor, request, error);
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
    {"status", answer_status},
    {"engines", supervisor_answer_engines},
    {"stop", answer_stop},
    {"restart", answer_restart},
    {"scale", supervisor_answer_scale},
    {"signal", supervisor_answer_signal},
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
        ipcl_error_set(error, "a request says which: {\"request\": \"status\"}");
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
    log_warn("ipcluster status will not say all of this cluster: %s", error.text);
}
