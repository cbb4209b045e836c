/* ipcluster status: what a cluster is made of. Its supervisors are asked for what they have
 * started, and the hub for the engines, so that what was started by hand is shown, too. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <jansson.h>

#include "cluster/commands/columns.h"
#include "cluster/settings/cluster.h"
#include "cluster/commands/commands.h"
#include "cluster/commands/status.h"

#define TIME_BYTES 32

static const struct settings_program program = {
    .name = "ipcluster",
    .page = "ipcluster-status",
    .usage = "ipcluster status [options]",
    .description =
        "Shows the parts of a cluster. For the controller and each set of engines: its "
        "launcher,\n"
        "how many of it run, what its launcher says, its batch job and its output file. Then "
        "every\n"
        "engine that is registered, and how the last engines ended. A controller and engines "
        "that\n"
        "were started by hand are shown too.",
    .exit_status = "0   It runs.\n"
                   "1   An option or setting is wrong.\n"
                   "11  There is none.\n"
                   "12  Its controller does not answer.\n"
                   "20  It is starting.\n"
                   "21  It is being stopped.\n"
                   "22  It runs, but its ipcluster was killed: ipcluster stop ends the cluster.\n",
    .examples = "ipcluster status\n"
                "ipcluster status --profile=mpi --cluster-id=a\n"
                "ipcluster status --json",
    .classes = CLUSTER_CLASSES,
};

static const struct ipcl_option options[] = {
    {"json", IPCL_BOOL, "false", "json", "true", "Write JSON: an object."},
};
static const struct ipcl_option_table table = {"IPClusterStatus", options,
                                               sizeof(options) / sizeof(*options)};

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
    return json_is_number(json_object_get(object, name)) || *status_text(object, name);
}

/* A number, a text or a time, as it stands in a table. */
static json_t *cell(const json_t *object, const char *name)
{
    const json_t *value = json_object_get(object, name);
    char time[TIME_BYTES];
    if (json_is_integer(value))
        return json_sprintf("%" JSON_INTEGER_FORMAT, json_integer_value(value));
    tell_time(value, time);
    return json_string(*status_text(object, name) ? status_text(object, name) : time);
}

/* The first of a list, and how many more there are. */
static json_t *list_cell(const json_t *object, const char *name)
{
    const json_t *list = json_object_get(object, name);
    const char *first = json_string_value(json_array_get(list, 0));
    return json_sprintf(json_array_size(list) > 1 ? "%s and %d more" : "%s", first ? first : "-",
                        (int)json_array_size(list) - 1);
}

/* What a set does, and within which bounds it grows and shrinks by itself. */
static json_t *state_cell(const json_t *set)
{
    const json_t *bounds = json_object_get(set, "bounds");
    const char *said = status_text(set, "said");
    json_int_t kept = json_integer_value(json_object_get(bounds, "kept"));
    char elastic[80] = "", stays[48] = "";
    if (kept > 0)
        snprintf(stays, sizeof(stays), ", %d idle and kept", (int)kept);
    if (bounds)
        snprintf(elastic, sizeof(elastic), " (%d to %d%s)",
                 (int)json_integer_value(json_object_get(bounds, "n_min")),
                 (int)json_integer_value(json_object_get(bounds, "n_max")), stays);
    return json_sprintf("%s%s%s%s", status_text(set, "state"), elastic, *said ? ": " : "", said);
}

static void write_sets(const json_t *sets)
{
    size_t i;
    json_t *set,
        *rows = json_pack("[[ssssss]]", "SET", "LAUNCHER", "RUNNING", "STATE", "JOBS", "OUTPUT");
    json_array_foreach (sets, i, set) {
        json_t *running = cell(set, "running"), *asked = cell(set, "asked");
        json_array_append_new(rows, json_pack("[oooooo]", cell(set, "set"), cell(set, "launcher"),
                                              json_sprintf("%s of %s", json_string_value(running),
                                                           json_string_value(asked)),
                                              state_cell(set), list_cell(set, "jobs"),
                                              list_cell(set, "logs")));
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

static void write_text(const struct cluster *cluster, const json_t *whole)
{
    char since[TIME_BYTES], process[64] = "";
    const json_t *pid = json_object_get(whole, "pid");
    json_int_t unassigned = json_integer_value(json_object_get(whole, "unassigned"));
    tell_time(json_object_get(whole, "started"), since);
    if (json_is_integer(pid))
        snprintf(process, sizeof(process), ", process %" JSON_INTEGER_FORMAT,
                 json_integer_value(pid));
    printf("%s%s%s: %s%s%s%s", cluster->profile.dir, *status_text(whole, "cluster_id") ? " " : "",
           status_text(whole, "cluster_id"), status_text(whole, "state"), process,
           *status_text(whole, "host") ? " on " : "", status_text(whole, "host"));
    printf(*since != '-' ? ", since %s\n" : "\n", since);
    write_sets(json_object_get(whole, "sets"));
    if (json_is_string(json_object_get(whole, "controller_error"))) {
        printf("The engines are not known: %s\n", status_text(whole, "controller_error"));
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
        if (strcmp(status_text(whole, "state"), codes[i].state) == 0)
            return codes[i].exit_code;
    return json_is_null(json_object_get(whole, "controller_error")) ? EXIT_FINE
                                                                    : EXIT_NO_CONTROLLER;
}

static int show(struct cluster *cluster, struct ipcl_error *error)
{
    (void)error;
    json_t *whole = status_gather(cluster);
    if (settings_bool(cluster->settings, "IPClusterStatus", "json")) {
        json_dumpf(whole, stdout, JSON_INDENT(2));
        printf("\n");
    } else if (!strcmp(status_text(whole, "state"), "none")) {
        printf("No cluster%s%s runs in the profile %s (ipcluster list shows all)\n",
               *cluster->cluster_id ? " " : "", cluster->cluster_id, cluster->profile.dir);
    } else {
        write_text(cluster, whole);
    }
    int exit_code = exit_code_of(whole);
    json_decref(whole);
    return exit_code;
}

const struct cluster_command command_status = {
    .name = "status",
    .summary = "show the parts of a cluster: sets, jobs and engines",
    .program = &program,
    .table = &table,
    .wordless = true,
    .need = NEED_PROFILE,
    .run = show,
};
