/* What is known of a cluster that runs. Its supervisors are asked for what they have started, and
 * the hub for the engines, so that what was started by hand is known, too. */
#include "cluster/commands/status.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cluster/watch/by_hand.h"
#include "cluster/control/control.h"
#include "cluster/watch/hub_watch.h"
#include "cluster/state/json_text.h"
#include "cluster/supervisor/supervisor.h"
#include "wire/connection.h"

#define ANSWER_MS 5000 /* for a supervisor, and for the hub */

const char *status_text(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));
    return text ? text : "";
}

struct status {
    struct cluster *cluster;
    json_t *whole; /* what --json writes */
    json_t *sets;  /* of it */
    bool found;    /* a state file of the cluster itself */
};

/* A set of a supervisor that cannot be asked: what its state file says. */
static void add_saved(struct status *status, const struct state_job *job, const char *role,
                      const char *name, unsigned n, const char *word)
{
    if (!*job->class_name)
        return;
    json_array_append_new(
        status->sets, json_pack("{s:s s:s s:s s:i s:n s:n s:s s:s s:[] s:[]}", "set", name, "role",
                                role, "launcher", job->class_name, "asked", (int)n, "started",
                                "running", "state", word, "said", job->status, "jobs", "logs"));
}

/* Returns what the supervisor says about itself. */
static const char *ask_supervisor(struct status *status, const struct state *state, char word[32])
{
    struct ipcl_error error;
    snprintf(word, 32, "%s", supervisor_state_word(status->cluster, state));
    json_t *answer =
        state_supervised(state) && *state->socket
            ? control_ask(state->socket, json_pack("{s:s}", "request", "status"), ANSWER_MS, &error)
            : NULL;
    if (answer) {
        snprintf(word, 32, "%s", status_text(answer, "state"));
        json_array_extend(status->sets, json_object_get(answer, "sets"));
    } else {
        if (state_supervised(state) && *state->socket)
            fprintf(stderr, "ipcluster: %s\n", error.text);
        add_saved(status, &state->controller, "controller", "controller", 1, word);
        for (const struct state_set *set = state->sets; set; set = set->next)
            add_saved(status, &set->job, "engines", set->name, set->n, word);
    }
    json_decref(answer);
    return word;
}

static int status_of_state(void *context, struct state *state)
{
    struct status *status = context;
    char word[32];
    if (strcmp(state->cluster_id, status->cluster->cluster_id) != 0)
        return 0;
    if (state->pid < 0) {
        fprintf(stderr, "ipcluster: %s\n", state->error.text);
        return 0;
    }
    ask_supervisor(status, state, word);
    if (state->engines_only)
        return 0;
    status->found = strcmp(word, "stopped") != 0;
    json_t *own = json_pack("{s:s s:I s:s s:f}", "state", status->found ? word : "none", "pid",
                            (json_int_t)state->pid, "host", state->host, "started", state->started);
    json_object_update(status->whole, own);
    json_decref(own);
    return 0;
}

/* A controller without an ipcluster. */
static void look_by_hand(struct status *status)
{
    const struct cluster *cluster = status->cluster;
    struct by_hand found;
    if (!by_hand_find(cluster->early_registry, cluster->profile.dir, cluster->cluster_id, &found))
        return;
    json_t *own =
        json_pack("{s:s s:o s:s}", "state", found.elsewhere ? "elsewhere" : "by hand", "pid",
                  found.pid ? json_integer(found.pid) : json_null(), "host", found.host);
    json_object_update(status->whole, own);
    json_decref(own);
}

/* The number after the last dash of "LABEL-NUMBER.log"; -1 if there is none. */
static json_int_t number_of(const char *log)
{
    const char *dash = strrchr(log, '-');
    return dash && isdigit((unsigned char)dash[1]) ? strtoll(dash + 1, NULL, 10) : -1;
}

/* Output files by "SET NUMBER", and a set's only file by "SET ". A new object. */
static json_t *logs_by_process(const json_t *sets)
{
    size_t i, k;
    json_t *set, *log, *by_process = json_object();
    char key[128];
    json_array_foreach (sets, i, set) {
        const json_t *logs = json_object_get(set, "logs");
        json_array_foreach (logs, k, log) {
            snprintf(key, sizeof(key), "%s %" JSON_INTEGER_FORMAT, status_text(set, "set"),
                     number_of(json_string_value(log)));
            json_object_set(by_process, key, log);
        }
        snprintf(key, sizeof(key), "%s ", status_text(set, "set"));
        if (json_array_size(logs) == 1)
            json_object_set(by_process, key, json_array_get(logs, 0));
    }
    return by_process;
}

/* Sets the output file of an engine of this cluster: the file with its process number, or its set's
 * only one. */
static void find_log(const json_t *by_process, json_t *engine)
{
    char key[128];
    snprintf(key, sizeof(key), "%s %" JSON_INTEGER_FORMAT, status_text(engine, "engine_set"),
             json_integer_value(json_object_get(engine, "pid")));
    json_t *log = json_object_get(by_process, key);
    if (!log) {
        snprintf(key, sizeof(key), "%s ", status_text(engine, "engine_set"));
        log = json_object_get(by_process, key);
    }
    json_object_set(engine, "log", log ? log : json_null());
}

static void ask_hub(struct status *status)
{
    const struct cluster *cluster = status->cluster;
    char path[PATH_BYTES];
    struct ipcl_error error;
    size_t i;
    json_t *engine, *details = NULL;
    if (connection_path(cluster->profile.dir, cluster->cluster_id, CONNECTION_CLIENT, path,
                        &error) == 0 &&
        path_exists(path))
        details = hub_details(cluster->early_registry, path, ANSWER_MS, &error);
    else
        ipcl_error_set(&error, "the controller has not written %s", path);
    if (details) {
        json_object_update(status->whole, details);
        json_t *by_process = logs_by_process(status->sets);
        json_array_foreach (json_object_get(details, "engines"), i, engine)
            find_log(by_process, engine);
        json_decref(by_process);
    }
    json_object_set_new(status->whole, "controller_error",
                        details ? json_null() : json_text(error.text));
    json_decref(details);
}

json_t *status_gather(struct cluster *cluster)
{
    struct status status = {.cluster = cluster};
    status.whole =
        json_pack("{s:s s:s s:s s:n s:s s:n s:[] s:[] s:[] s:n}", "profile_dir",
                  cluster->profile.dir, "cluster_id", cluster->cluster_id, "state", "none", "pid",
                  "host", "", "started", "sets", "engines", "departed", "unassigned");
    status.sets = json_object_get(status.whole, "sets");
    state_each(cluster->profile.pid, status_of_state, &status);
    if (!status.found)
        look_by_hand(&status);
    if (strcmp(status_text(status.whole, "state"), "none") != 0)
        ask_hub(&status);
    return status.whole;
}
