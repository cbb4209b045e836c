/* ipcluster trace: what happens to messages in the processes of a cluster, as one picture. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "cluster/commands/commands.h"
#include "cluster/commands/trace_merge.h"
#include "cluster/watch/hub_watch.h"
#include "wire/connection.h"

#define ANSWER_MS 5000 /* for the hub, and for the next engine that answers */

static const struct settings_program program = {
    .name = "ipcluster",
    .page = "ipcluster-trace",
    .usage = "ipcluster trace [options] start | stop [FILE|FOLDER...] | merge FILE|FOLDER...",
    .description =
        "Makes one file of what happens to each request in controller, engines and clients, "
        "step by step. Perfetto (https://ui.perfetto.dev, which keeps it in the browser) and "
        "Chrome (chrome://tracing) show it.\n"
        "  start  controller and engines that run begin to write, each on its host, in their\n"
        "         profile's log folder\n"
        "  stop   they end; their files become one, with those that are named\n"
        "  merge  files that were written before become one: of programs that were started\n"
        "         with --trace, or with the environment variable IPCLUSTER_TRACE, as clients "
        "are",
    .exit_status = "0   It is done.\n"
                   "1   A file cannot be read or written, or is not a trace.\n"
                   "7   Some have not begun or ended a trace, or their files are not on this "
                   "host.\n"
                   "12  No controller runs.\n",
    .examples = "ipcluster trace start\n"
                "ipcluster trace stop -o picture.json\n"
                "IPCLUSTER_TRACE=~/trace ipcluster start --n=2 --daemonize\n"
                "IPCLUSTER_TRACE=~/trace python3 program.py\n"
                "ipcluster trace merge ~/trace -o picture.json\n",
    .words = "start,stop,merge",
    .classes = CLUSTER_CLASSES,
};

static const struct ipcl_option options[] = {
    {"output", IPCL_STRING, "trace.json", "o", NULL, "The file to write."},
};
static const struct ipcl_option_table table = {"IPClusterTrace", options,
                                               sizeof(options) / sizeof(*options)};

static int merge_paths(struct cluster *cluster, char *const *paths, int count,
                       struct ipcl_error *error)
{
    char to[PATH_BYTES];
    if (path_expand(settings_string(cluster->settings, "IPClusterTrace", "output"), to, error) < 0)
        return EXIT_WRONG;
    int files = trace_merge(paths, count, to, error);
    if (files < 0)
        return EXIT_WRONG;
    printf("%s has what %d %s: open it in https://ui.perfetto.dev\n", to, files,
           files == 1 ? "file says" : "files say");
    return EXIT_FINE;
}

static int merge(struct cluster *cluster, struct ipcl_error *error)
{
    if (cluster->word_count > 1)
        return merge_paths(cluster, cluster->words + 1, cluster->word_count - 1, error);
    ipcl_error_set(error, "name traces, as files or folders: ipcluster trace merge FOLDER");
    return EXIT_WRONG;
}

/* Says what is wrong with one of them. */
static void complain(const json_t *trace, const char *why)
{
    const char *id = json_string_value(json_object_get(trace, "id"));
    fprintf(stderr, "ipcluster: %s%s: %s\n", id ? "engine " : "the controller", id ? id : "", why);
}

/* Switches the traces of controller and engines. Returns an exit code; `*traces` is NULL, or a new
 * list. */
static int switch_all(struct cluster *cluster, bool on, json_t **traces, struct ipcl_error *error)
{
    char path[PATH_BYTES];
    size_t i;
    json_t *trace;
    int exit_code = EXIT_FINE;
    if (connection_path(cluster->profile.dir, cluster->cluster_id, CONNECTION_CLIENT, path, error) <
        0)
        return EXIT_WRONG;
    if (!path_exists(path)) {
        ipcl_error_set(error, "no controller runs here: there is no %s", path);
        return EXIT_NO_CONTROLLER;
    }
    *traces = hub_trace(cluster->early_registry, path, on, ANSWER_MS, error);
    json_array_foreach (*traces, i, trace) {
        const char *why = json_string_value(json_object_get(trace, "error"));
        if (!why)
            continue;
        complain(trace, why);
        exit_code = EXIT_NOT_ALL;
        ipcl_error_set(error, "not all have %s a trace", on ? "begun" : "ended");
    }
    return *traces ? exit_code : EXIT_NO_CONTROLLER;
}

static int start(struct cluster *cluster, struct ipcl_error *error)
{
    json_t *traces = NULL;
    int exit_code = switch_all(cluster, true, &traces, error);
    if (exit_code == EXIT_FINE)
        printf("Controller and %zu engine%s write traces now: ipcluster trace stop ends this, and "
               "makes one file\n",
               json_array_size(traces) - 1, json_array_size(traces) == 2 ? "" : "s");
    json_decref(traces);
    return exit_code;
}

static int stop(struct cluster *cluster, struct ipcl_error *error)
{
    json_t *traces = NULL, *trace;
    size_t i;
    int exit_code = switch_all(cluster, false, &traces, error), count = cluster->word_count - 1;
    char **paths = calloc((size_t)count + json_array_size(traces) + 1, sizeof(*paths));
    if (!traces || !paths) {
        free(paths);
        json_decref(traces);
        return exit_code;
    }
    memcpy(paths, cluster->words + 1, (size_t)count * sizeof(*paths));
    json_array_foreach (traces, i, trace) {
        const char *file = json_string_value(json_object_get(trace, "file"));
        if (file && path_exists(file)) {
            paths[count++] = (char *)file;
        } else if (file) {
            fprintf(stderr,
                    "ipcluster: %s is on another host: copy it here, and use ipcluster trace "
                    "merge\n",
                    file);
            exit_code = EXIT_NOT_ALL;
            ipcl_error_set(error, "some files are not on this host");
        }
    }
    int merged = merge_paths(cluster, paths, count, error);
    free(paths);
    json_decref(traces);
    return merged == EXIT_FINE ? exit_code : merged;
}

static const struct {
    const char *word;
    int (*act)(struct cluster *cluster, struct ipcl_error *error);
} actions[] = {{"start", start}, {"stop", stop}, {"merge", merge}};

static int act(struct cluster *cluster, struct ipcl_error *error)
{
    const char *word = cluster->word_count > 0 ? cluster->words[0] : "";
    for (size_t i = 0; i < sizeof(actions) / sizeof(*actions); i++)
        if (!strcmp(word, actions[i].word))
            return actions[i].act(cluster, error);
    ipcl_error_set(error, "say what to do: ipcluster trace start, stop, or merge FOLDER");
    return EXIT_WRONG;
}

const struct cluster_command command_trace = {
    .name = "trace",
    .summary = "trace what happens to requests, and make one file of it",
    .program = &program,
    .table = &table,
    .need = NEED_ANY_PROFILE,
    .run = act,
};
