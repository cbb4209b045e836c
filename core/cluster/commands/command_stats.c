/* ipcluster stats: what the controller of a cluster has counted, or its engines, once or again and
 * again. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

#include "cluster/commands/columns.h"
#include "cluster/commands/commands.h"
#include "cluster/watch/hub_watch.h"
#include "wire/connection.h"

#define ANSWER_MS           5000
#define ENGINE_METRIC(name) "ipcluster_engine_" name
#define STARTED             "process_start_time_seconds"
#define CLEAR_SCREEN        "\033[H\033[J"

static const struct settings_program program = {
    .name = "ipcluster",
    .page = "ipcluster-stats",
    .usage = "ipcluster stats [options]",
    .description =
        "Shows what the controller has counted since it started, and what it has now: messages "
        "and\n"
        "bytes by socket, what was refused and why, tasks and how long they wait and run, "
        "engines\n"
        "by what they do, what waits for peers that read late, and how busy each thread is. "
        "What\n"
        "is 0 is left out. ipcontroller(1) explains each metric. With --metrics the "
        "controller\n"
        "offers the same to Prometheus. With --engines it shows a line for each engine: how many\n"
        "requests it ran, how many of them failed, how many it has now, how long they took,\n"
        "and what the process uses.",
    .exit_status = "0   They were shown.\n"
                   "1   An option or setting is wrong.\n"
                   "11  There is no cluster.\n"
                   "12  Its controller does not answer.\n",
    .examples = "ipcluster stats\n"
                "ipcluster stats --watch           every two seconds, with rates, until Ctrl-C\n"
                "ipcluster stats --watch --interval=10 --json    a line each time, to keep\n"
                "ipcluster stats --json\n"
                "ipcluster stats --engines",
    .classes = CLUSTER_CLASSES,
};

static const struct ipcl_option options[] = {
    {"watch", IPCL_BOOL, "false", "watch", "true",
     "Continue until Ctrl-C, and show how much is added each second."},
    {"engines", IPCL_BOOL, "false", "engines", "true",
     "Show what each engine has counted, in place of the controller. ipengine(1) explains each "
     "metric; --json has them all."},
    {"interval", IPCL_INT, "2", "interval", NULL, "Seconds between two reports."},
    {"json", IPCL_BOOL, "false", "json", "true",
     "Write JSON: an object. Its `values` are numbers, under the names that Prometheus uses; with "
     "--engines each of its `engines` has `values`, or an `error`. With --watch, one object a line."},
};
static const struct ipcl_option_table table = {"IPClusterStats", options,
                                               sizeof(options) / sizeof(*options)};

struct show {
    bool json, watch, engines;
    json_t *before; /* the answer before; NULL: this is the first */
};

static const char *text_of(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));
    return text ? text : "";
}

static json_t *quantity(double value, const char *unit)
{
    static const char *const sizes[] = {"B", "kB", "MB", "GB", "TB"};
    size_t size = 0;
    if (!strcmp(unit, "seconds"))
        return value && value < 1 ? json_sprintf("%.3g ms", value * 1000)
                                  : json_sprintf(value < 1000 ? "%.4g s" : "%.0f s", value);
    if (strcmp(unit, "bytes") != 0)
        return json_sprintf("%.*f", value < 10 && value != (double)(long long)value ? 2 : 0, value);
    for (; value >= 999.5 && size < sizeof(sizes) / sizeof(*sizes) - 1; size++)
        value /= 1000;
    return json_sprintf("%.3g %s", value, sizes[size]);
}

/* Writes `socket="task",side="client"` as "task, client". */
static json_t *label_cell(const char *series)
{
    char text[256];
    size_t length = 0;
    const char *at = strchr(series, '{');
    for (bool inside = false; at && *at && length < sizeof(text) - 3; at++) {
        if (*at == '"' && !inside && length)
            length += (size_t)sprintf(text + length, ", ");
        if (*at == '"')
            inside = !inside;
        else if (inside)
            text[length++] = *at;
    }
    text[length] = '\0';
    return json_string(text);
}

static double value_of(const json_t *answer, const char *series)
{
    return json_number_value(json_object_get(json_object_get(answer, "values"), series));
}

/* A value, and how much of it was added in a second: not if another controller has begun to
 * count. */
static void add_row(json_t *rows, const struct show *show, const json_t *answer, const char *name,
                    const char *series, const json_t *metric)
{
    double value = value_of(answer, series), then = value_of(show->before, series);
    double passed_s = json_number_value(json_object_get(answer, "time")) -
                      json_number_value(json_object_get(show->before, "time"));
    bool counts = !strcmp(text_of(metric, "kind"), "counter");
    json_t *rate = counts && show->before && passed_s > 0 && value >= then
                       ? quantity((value - then) / passed_s, text_of(metric, "unit"))
                       : json_string("");
    if (value != 0)
        json_array_append_new(rows, json_pack("[s o o o]", name, label_cell(series),
                                              quantity(value, text_of(metric, "unit")), rate));
    else
        json_decref(rate);
}

/* A histogram is how many there were and how long one took on average. */
static void add_average(json_t *rows, const struct show *show, const json_t *answer,
                        const char *name, const char *metric)
{
    char count_name[300], sum_name[300];
    snprintf(count_name, sizeof(count_name), "%s_count", metric);
    snprintf(sum_name, sizeof(sum_name), "%s_sum", metric);
    double count = value_of(answer, count_name), sum = value_of(answer, sum_name);
    double lately = count - value_of(show->before, count_name),
           lately_s = sum - value_of(show->before, sum_name);
    if (count == 0)
        return;
    json_t *now =
        show->before && lately > 0 && lately_s >= 0 ? quantity(lately_s / lately, "seconds") : NULL;
    json_array_append_new(rows,
                          json_pack("[s s o o]", name, "on average",
                                    quantity(sum / count, "seconds"), now ? now : json_string("")));
}

/* The length of the metric's name in a series, without what its kind adds. */
static size_t stem(const char *series, const json_t *metrics, char name[256])
{
    static const char *const endings[] = {"", "_total", "_count", "_sum", "_bucket"};
    size_t length = strcspn(series, "{");
    for (size_t i = 0; i < sizeof(endings) / sizeof(*endings); i++) {
        size_t ending = strlen(endings[i]);
        if (length < ending || length >= 256 ||
            strncmp(series + length - ending, endings[i], ending) != 0)
            continue;
        snprintf(name, 256, "%.*s", (int)(length - ending), series);
        if (json_object_get(metrics, name))
            return length - ending;
    }
    snprintf(name, 256, "%.*s", (int)length, series);
    return length;
}

static void write_table(const struct show *show, const json_t *answer)
{
    json_t *rows = json_pack("[[ssss]]", "METRIC", "OF", "VALUE", show->before ? "A SECOND" : "");
    json_t *metrics = json_object_get(answer, "metrics"), *value;
    const char *series, *prefix = "ipcluster_";
    char name[256];
    json_object_foreach (json_object_get(answer, "values"), series, value) {
        size_t length = stem(series, metrics, name);
        const json_t *metric = json_object_get(metrics, name);
        const char *shown = !strncmp(name, prefix, strlen(prefix)) ? name + strlen(prefix) : name;
        if (strcmp(text_of(metric, "kind"), "histogram") != 0)
            add_row(rows, show, answer, shown, series, metric);
        else if (!strncmp(series + length, "_count", strlen("_count")))
            add_average(rows, show, answer, shown, name);
    }
    columns_write(rows, stdout);
    if (*text_of(answer, "metrics_url"))
        printf("\nFor Prometheus: %s\n", text_of(answer, "metrics_url"));
    json_decref(rows);
}

static double engine_value(const json_t *engine, const char *series)
{
    return json_number_value(json_object_get(json_object_get(engine, "values"), series));
}

static double requests_run(const json_t *engine)
{
    return engine_value(engine, ENGINE_METRIC("request_work_seconds_count"));
}

static json_t *share(double seconds, double passed_s)
{
    return json_sprintf("%.0f %%", 100 * seconds / passed_s);
}

/* What was done since the answer before: requests in a second, and the share of the time in which
 * they ran. */
static void add_rates(json_t *row, const json_t *engine, const json_t *before)
{
    const char *work = ENGINE_METRIC("work_seconds_total");
    double passed_s = json_number_value(json_object_get(engine, "time")) -
                      json_number_value(json_object_get(before, "time"));
    double run = requests_run(engine) - requests_run(before);
    double worked_s = engine_value(engine, work) - engine_value(before, work);
    bool same = engine_value(engine, STARTED) == engine_value(before, STARTED);
    if (!before || !same || passed_s <= 0) {
        json_array_append_new(row, json_string(""));
        json_array_append_new(row, json_string(""));
        return;
    }
    json_array_append_new(row, quantity(run / passed_s, ""));
    json_array_append_new(row, share(worked_s, passed_s));
}

static json_t *engine_row(const struct show *show, const char *id, const json_t *engine)
{
    const json_t *before = json_object_get(json_object_get(show->before, "engines"), id);
    double run = requests_run(engine);
    double work_s = engine_value(engine, ENGINE_METRIC("request_work_seconds_sum"));
    double waiting = engine_value(engine, ENGINE_METRIC("requests_waiting")) +
                     engine_value(engine, ENGINE_METRIC("requests_running"));
    json_t *row = json_pack(
        "[s s o o o o o o]", id, text_of(engine, "host"), quantity(run, ""),
        quantity(engine_value(engine, ENGINE_METRIC("requests_finished_total{end=\"failed\"}")),
                 ""),
        quantity(waiting, ""), run > 0 ? quantity(work_s / run, "seconds") : json_string(""),
        quantity(engine_value(engine, "process_cpu_seconds_total"), "seconds"),
        quantity(engine_value(engine, "process_resident_memory_bytes"), "bytes"));
    if (show->before)
        add_rates(row, engine, before);
    return row;
}

static void write_engines(const struct show *show, const json_t *answer)
{
    const char *id;
    json_t *engine, *rows = json_pack("[[ssssssss]]", "ENGINE", "HOST", "RAN", "FAILED", "HAS NOW",
                                      "ON AVERAGE", "CPU", "MEMORY");
    if (show->before) {
        json_array_append_new(json_array_get(rows, 0), json_string("A SECOND"));
        json_array_append_new(json_array_get(rows, 0), json_string("AT WORK"));
    }
    json_object_foreach (json_object_get(answer, "engines"), id, engine)
        if (!json_object_get(engine, "error"))
            json_array_append_new(rows, engine_row(show, id, engine));
    columns_write(rows, stdout);
    json_array_clear(rows);
    json_object_foreach (json_object_get(answer, "engines"), id, engine)
        if (json_object_get(engine, "error"))
            json_array_append_new(rows, json_pack("[o o]", json_sprintf("Engine %s:", id),
                                                  json_string(text_of(engine, "error"))));
    columns_write(rows, stdout);
    json_decref(rows);
}

static bool show_answer(void *self, json_t *answer)
{
    struct show *show = self;
    json_object_del(answer, "status");
    if (show->json) {
        json_dumpf(answer, stdout, show->watch ? JSON_COMPACT : JSON_INDENT(2));
        printf("\n");
    } else {
        if (show->before && !isatty(STDOUT_FILENO))
            printf("\n");
        if (show->watch && isatty(STDOUT_FILENO))
            fputs(CLEAR_SCREEN, stdout);
        (show->engines ? write_engines : write_table)(show, answer);
    }
    fflush(stdout);
    json_decref(show->before);
    show->before = json_incref(answer);
    return show->watch && !ferror(stdout);
}

static int show_stats(struct cluster *cluster, struct ipcl_error *error)
{
    char path[PATH_BYTES];
    struct show show = {.json = settings_bool(cluster->settings, "IPClusterStats", "json"),
                        .watch = settings_bool(cluster->settings, "IPClusterStats", "watch"),
                        .engines = settings_bool(cluster->settings, "IPClusterStats", "engines")};
    long long interval_s = settings_int(cluster->settings, "IPClusterStats", "interval");
    if (interval_s < 1 || interval_s > 86400) {
        ipcl_error_set(error, "IPClusterStats.interval is a number of seconds, from 1 to 86400 "
                              "(a day)");
        return EXIT_WRONG;
    }
    if (connection_path(cluster->profile.dir, cluster->cluster_id, CONNECTION_CLIENT, path, error))
        return EXIT_WRONG;
    if (!path_exists(path)) {
        ipcl_error_set(error, "no cluster runs here: the controller has not written %s", path);
        return EXIT_NOTHING_TO_STOP;
    }
    int status = hub_stats(cluster->early_registry, path,
                           show.engines ? HUB_STATS_ENGINES : HUB_STATS_CONTROLLER,
                           (int)interval_s * 1000, show_answer, &show, ANSWER_MS, error);
    json_decref(show.before);
    return status ? EXIT_NO_CONTROLLER : EXIT_FINE;
}

const struct cluster_command command_stats = {
    .name = "stats",
    .summary = "show what the controller counts, or the engines: messages, tasks, threads",
    .program = &program,
    .table = &table,
    .wordless = true,
    .need = NEED_PROFILE,
    .run = show_stats,
};
