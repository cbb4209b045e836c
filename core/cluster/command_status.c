/* ipcluster status: what a cluster is made of. Its supervisors are asked for what they have
 * started, and the hub for the engines, so that what was started by hand is shown, too. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <jansson.h>

#include "cluster/by_hand.h"
#include "cluster/columns.h"
#include "cluster/commands.h"
#include "cluster/control.h"
#include "cluster/hub_watch.h"
#include "cluster/supervisor.h"
#include "wire/connection.h"

#define ANSWER_MS  5000 /* for a supervisor, and for the hub */
#define TIME_BYTES 32

static const struct settings_program program = {
    .name = "ipcluster",
    .page = "ipcluster-status",
    .usage = "ipcluster status [options]",
    .description =
        "Shows what a cluster is made of: the controller and the sets of engines, each with its\n"
        "launcher, how many of it run, what its launcher says, its job of a batch system and its\n"
        "output file; every engine that is registered; and how the last that have gone ended. A\n"
        "controller and engines that were started by hand are shown too.",
    .exit_status = "0   It runs.\n"
                   "1   An option or setting is wrong.\n"
                   "11  There is none.\n"
                   "12  Its controller does not answer.\n"
                   "20  It is starting.\n"
                   "21  It is being stopped.\n"
                   "22  It runs, but its ipcluster was killed: ipcluster stop ends it.\n",
    .examples = "ipcluster status\n"
                "ipcluster status --profile=mpi --cluster-id=a\n"
                "ipcluster status --json",
    .classes = CLUSTER_CLASSES,
};

static const struct ipcl_option options[] = {
    {"json", IPCL_BOOL, "false", "json", "true", "Write JSON: an object."},
};
const struct ipcl_option_table command_status_table = {"IPClusterStatus", options, 1};

struct status {
    struct cluster *cluster;
    json_t *whole; /* what --json writes */
    json_t *sets;  /* of it */
    bool found;    /* a state file of the cluster itself */
};

/* Whatever a text says that others have sent. */
static const char *text_of(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));
    return text ? text : "";
}

/* A set of a supervisor that cannot be asked: what its state file says. */
static void add_saved(struct status *status, const struct state *state, const struct state_job *job,
                      const char *name, const char *word)
{
    bool engines = job == &state->engines;
    if (!*job->class_name)
        return;
    json_array_append_new(
        status->sets, json_pack("{s:s s:s s:s s:i s:n s:n s:s s:s s:[] s:[]}", "set", name, "role",
                                engines ? "engines" : "controller", "launcher", job->class_name,
                                "asked", engines ? (int)state->n : 1, "started", "running", "state",
                                word, "said", job->status, "jobs", "logs"));
}

/* Returns what the supervisor says of itself. */
static const char *ask_supervisor(struct status *status, const struct state *state, char word[32])
{
    struct ipcl_error error;
    snprintf(word, 32, "%s", supervisor_state_word(status->cluster, state));
    json_t *answer =
        state_supervised(state) && *state->socket
            ? control_ask(state->socket, json_pack("{s:s}", "request", "status"), ANSWER_MS, &error)
            : NULL;
    if (answer) {
        snprintf(word, 32, "%s", text_of(answer, "state"));
        json_array_extend(status->sets, json_object_get(answer, "sets"));
    } else {
        if (state_supervised(state) && *state->socket)
            fprintf(stderr, "ipcluster: %s\n", error.text);
        add_saved(status, state, &state->controller, "controller", word);
        add_saved(status, state, &state->engines, state->engine_set, word);
    }
    json_decref(answer);
    return word;
}

static int look_at(void *context, struct state *state)
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

/* An engine of this cluster's own whose output file is named for its process, or the only one. */
static void find_log(const json_t *sets, json_t *engine)
{
    char ending[32];
    size_t i, k;
    json_t *set, *log, *found = NULL;
    snprintf(ending, sizeof(ending), "-%" JSON_INTEGER_FORMAT,
             json_integer_value(json_object_get(engine, "pid")));
    json_array_foreach (sets, i, set) {
        json_t *logs = json_object_get(set, "logs");
        if (strcmp(text_of(set, "set"), text_of(engine, "engine_set")) != 0)
            continue;
        if (json_array_size(logs) == 1)
            found = json_array_get(logs, 0);
        json_array_foreach (logs, k, log) {
            const char *dash = strrchr(json_string_value(log), '-');
            if (dash && strncmp(dash, ending, strlen(ending)) == 0 &&
                !strchr("0123456789", dash[strlen(ending)] ? dash[strlen(ending)] : 'x'))
                found = log;
        }
    }
    json_object_set(engine, "log", found ? found : json_null());
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
        json_array_foreach (json_object_get(details, "engines"), i, engine)
            find_log(status->sets, engine);
    }
    json_object_set_new(status->whole, "controller_error",
                        details ? json_null() : json_string(error.text));
    json_decref(details);
}

static void tell_time(const json_t *seconds, char text[TIME_BYTES])
{
    time_t at = (time_t)json_number_value(seconds), now = time(NULL);
    struct tm then, today;
    localtime_r(&at, &then);
    localtime_r(&now, &today);
    bool same = then.tm_yday == today.tm_yday && then.tm_year == today.tm_year;
    if (!json_is_number(seconds) ||
        strftime(text, TIME_BYTES, same ? "%H:%M:%S" : "%Y-%m-%d %H:%M", &then) == 0)
        snprintf(text, TIME_BYTES, "-");
}

static bool has_value(const json_t *object, const char *name)
{
    return json_is_number(json_object_get(object, name)) || *text_of(object, name);
}

/* A number, a text or a time, as it stands in a table. */
static json_t *cell(const json_t *object, const char *name)
{
    const json_t *value = json_object_get(object, name);
    char time[TIME_BYTES];
    if (json_is_integer(value))
        return json_sprintf("%" JSON_INTEGER_FORMAT, json_integer_value(value));
    tell_time(value, time);
    return json_string(*text_of(object, name) ? text_of(object, name) : time);
}

/* The first of a list, and how many there are beside it. */
static json_t *list_cell(const json_t *object, const char *name)
{
    const json_t *list = json_object_get(object, name);
    const char *first = json_string_value(json_array_get(list, 0));
    return json_sprintf(json_array_size(list) > 1 ? "%s and %d more" : "%s", first ? first : "-",
                        (int)json_array_size(list) - 1);
}

static void write_sets(const json_t *sets)
{
    size_t i;
    json_t *set,
        *rows = json_pack("[[ssssss]]", "SET", "LAUNCHER", "RUNNING", "STATE", "JOBS", "OUTPUT");
    json_array_foreach (sets, i, set) {
        json_t *running = cell(set, "running"), *asked = cell(set, "asked");
        const char *said = text_of(set, "said");
        json_array_append_new(
            rows, json_pack("[oooooo]", cell(set, "set"), cell(set, "launcher"),
                            json_sprintf("%s of %s", json_string_value(running),
                                         json_string_value(asked)),
                            json_sprintf("%s%s%s", text_of(set, "state"), *said ? ": " : "", said),
                            list_cell(set, "jobs"), list_cell(set, "logs")));
        json_decref(running);
        json_decref(asked);
    }
    if (json_array_size(sets) > 0)
        columns_write(rows, stdout);
    json_decref(rows);
}

/* Columns in which no engine has anything are left out: ipyparallel's tell little of themselves. */
static void write_engines(const json_t *engines)
{
    static const struct {
        const char *title, *member;
    } columns[] = {{"ENGINE", "id"},     {"HOST", "host"},   {"PID", "pid"},
                   {"RANK", "rank"},     {"JOB", "job"},     {"PYTHON", "language_version"},
                   {"STATE", "state"},   {"TASKS", "tasks"}, {"SINCE", "since"},
                   {"SET", "engine_set"}};
    size_t i, row;
    json_t *engine, *rows = json_array(), *header = json_array();
    json_array_append_new(rows, header);
    json_array_foreach (engines, row, engine)
        json_array_append_new(rows, json_array());
    for (i = 0; i < sizeof(columns) / sizeof(*columns); i++) {
        bool known = false;
        json_array_foreach (engines, row, engine)
            known = known || has_value(engine, columns[i].member);
        if (!known)
            continue;
        json_array_append_new(header, json_string(columns[i].title));
        json_array_foreach (engines, row, engine)
            json_array_append_new(json_array_get(rows, row + 1), cell(engine, columns[i].member));
    }
    printf("\n");
    if (json_array_size(engines) > 0)
        columns_write(rows, stdout);
    else
        printf("No engine is registered.\n");
    json_decref(rows);
}

static void write_departed(const json_t *departed)
{
    size_t i;
    json_t *gone, *rows = json_pack("[[ss]]", "ENDED", "HOW");
    json_array_foreach (departed, i, gone)
        json_array_append_new(rows, json_pack("[oo]", cell(gone, "ended"), cell(gone, "reason")));
    if (json_array_size(departed) > 0) {
        printf("\n");
        columns_write(rows, stdout);
    }
    json_decref(rows);
}

static void write_text(const struct status *status)
{
    const json_t *whole = status->whole;
    char since[TIME_BYTES], process[64] = "";
    const json_t *pid = json_object_get(whole, "pid");
    json_int_t unassigned = json_integer_value(json_object_get(whole, "unassigned"));
    tell_time(json_object_get(whole, "started"), since);
    if (json_is_integer(pid))
        snprintf(process, sizeof(process), ", process %" JSON_INTEGER_FORMAT,
                 json_integer_value(pid));
    printf("%s%s%s: %s%s%s%s", status->cluster->profile.dir,
           *text_of(whole, "cluster_id") ? " " : "", text_of(whole, "cluster_id"),
           text_of(whole, "state"), process, *text_of(whole, "host") ? " on " : "",
           text_of(whole, "host"));
    printf(*since != '-' ? ", since %s\n" : "\n", since);
    write_sets(status->sets);
    if (json_is_string(json_object_get(whole, "controller_error"))) {
        printf("Engines are not known: %s\n", text_of(whole, "controller_error"));
        return;
    }
    write_engines(json_object_get(whole, "engines"));
    if (unassigned > 0)
        printf("%" JSON_INTEGER_FORMAT " tasks wait for an engine.\n", unassigned);
    write_departed(json_object_get(whole, "departed"));
}

static int exit_code_of(const json_t *whole)
{
    static const struct {
        const char *state;
        int exit_code;
    } codes[] = {{"none", EXIT_NOTHING_TO_STOP},
                 {"starting", EXIT_STARTING},
                 {"stopping", EXIT_STOPPING},
                 {"stale", EXIT_STALE}};
    for (size_t i = 0; i < sizeof(codes) / sizeof(*codes); i++)
        if (strcmp(text_of(whole, "state"), codes[i].state) == 0)
            return codes[i].exit_code;
    return json_is_null(json_object_get(whole, "controller_error")) ? EXIT_FINE
                                                                    : EXIT_NO_CONTROLLER;
}

static int show(struct cluster *cluster)
{
    struct status status = {.cluster = cluster};
    status.whole =
        json_pack("{s:s s:s s:s s:n s:s s:n s:[] s:[] s:[] s:n}", "profile_dir",
                  cluster->profile.dir, "cluster_id", cluster->cluster_id, "state", "none", "pid",
                  "host", "", "started", "sets", "engines", "departed", "unassigned");
    status.sets = json_object_get(status.whole, "sets");
    state_each(cluster->profile.pid, look_at, &status);
    if (!status.found)
        look_by_hand(&status);
    bool none = strcmp(text_of(status.whole, "state"), "none") == 0;
    if (!none)
        ask_hub(&status);
    if (settings_bool(cluster->settings, "IPClusterStatus", "json")) {
        json_dumpf(status.whole, stdout, JSON_INDENT(2));
        printf("\n");
    } else if (none) {
        printf("No cluster%s%s runs in the profile %s (ipcluster list shows those there are)\n",
               *cluster->cluster_id ? " " : "", cluster->cluster_id, cluster->profile.dir);
    } else {
        write_text(&status);
    }
    int exit_code = exit_code_of(status.whole);
    json_decref(status.whole);
    return exit_code;
}

static const struct cluster_command command = {
    .program = &program, .table = &command_status_table, .need = NEED_PROFILE};

int command_status(int argc, char **argv)
{
    struct cluster cluster;
    struct ipcl_error error;
    int opened = cluster_open(&cluster, &command, argc, argv, &error);
    if (opened == 0 && cluster.word_count > 0)
        opened = ipcl_error_set(&error, "'%s' is not an option: a cluster is named by --cluster-id",
                                cluster.words[0]);
    int exit_code = opened == 0 ? show(&cluster) : opened < 0 ? EXIT_WRONG : EXIT_FINE;
    if (opened < 0)
        fprintf(stderr, "ipcluster: %s\n", error.text);
    cluster_close(&cluster);
    return exit_code;
}
