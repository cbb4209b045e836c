/* ipcluster logs: what the programs of a cluster that runs have written, by tail(1). */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cluster/commands/commands.h"
#include "cluster/commands/status.h"

static const struct settings_program program = {
    .name = "ipcluster",
    .page = "ipcluster-logs",
    .usage = "ipcluster logs [options] [ENGINE or SET...]",
    .description =
        "Shows the last lines that the controller and the engines of a cluster have written. "
        "Name\nengines by their ids, sets by their names, or the word controller, to see these "
        "alone.",
    .exit_status = "0   They were shown.\n"
                   "1   An option is wrong, or there is no such engine or set, or it has no "
                   "output.\n"
                   "11  There is no cluster.\n",
    .examples = "ipcluster logs\n"
                "ipcluster logs controller\n"
                "ipcluster logs 0 1 --lines=100\n"
                "ipcluster logs --follow       also what is written from now on, until Ctrl-C",
    .classes = CLUSTER_CLASSES,
};

static const struct ipcl_option options[] = {
    {"follow", IPCL_BOOL, "false", "follow", "true", "Continue with what is written from now on."},
    {"lines", IPCL_INT, "20", "lines", NULL, "How many last lines to show of each."},
};
static const struct ipcl_option_table table = {"IPClusterLogs", options,
                                               sizeof(options) / sizeof(*options)};

/* Each file once: engines of one job may share it. */
static void add(json_t *files, const json_t *log)
{
    size_t i;
    json_t *file;
    json_array_foreach (files, i, file)
        if (json_equal(file, log))
            return;
    json_array_append_new(files, json_string(json_string_value(log)));
}

/* The files of the set of that name, which the controller has, too; NULL: of all. */
static void add_sets(json_t *files, const json_t *whole, const char *name)
{
    size_t i, k;
    json_t *set, *log;
    json_array_foreach (json_object_get(whole, "sets"), i, set)
        json_array_foreach (json_object_get(set, "logs"), k, log)
            if (!name || !strcmp(status_text(set, "set"), name))
                add(files, log);
}

/* Adds the file of what a word names. Returns 0 or -1 with `error` set. */
static int add_named(json_t *files, const json_t *whole, const char *word, struct ipcl_error *error)
{
    size_t i, before = json_array_size(files);
    json_t *engine;
    char *end;
    long id = strtol(word, &end, 10);
    json_array_foreach (json_object_get(whole, "engines"), i, engine) {
        const json_t *log = json_object_get(engine, "log");
        if (*end || end == word || json_integer_value(json_object_get(engine, "id")) != id)
            continue;
        if (!json_is_string(log))
            return ipcl_error_set(error,
                                  "where the output of engine %ld goes is not known: ipcluster "
                                  "status shows the files of its set",
                                  id);
        add(files, log);
        return 0;
    }
    add_sets(files, whole, word);
    if (json_array_size(files) > before)
        return 0;
    if (!strcmp(word, "controller"))
        return ipcl_error_set(error, "where the controller's output goes is not known: "
                                     "ipcluster did not start it");
    return ipcl_error_set(error,
                          "there is no engine %s, and no set of that name (ipcluster status "
                          "lists them)",
                          word);
}

/* Becomes tail, which heads each of several files with its name. Returns -1 with `error` set. */
static int run_tail(const struct cluster *cluster, const json_t *files, struct ipcl_error *error)
{
    char lines[32];
    const char **argv = calloc(json_array_size(files) + 6, sizeof(*argv));
    size_t count = 0, i;
    json_t *file;
    if (!argv)
        return ipcl_error_set(error, "no memory for a command line");
    snprintf(lines, sizeof(lines), "%lld",
             (long long)settings_int(cluster->settings, "IPClusterLogs", "lines"));
    argv[count++] = "tail";
    argv[count++] = "-n";
    argv[count++] = lines;
    if (settings_bool(cluster->settings, "IPClusterLogs", "follow"))
        argv[count++] = "-F";
    argv[count++] = "--";
    json_array_foreach (files, i, file)
        argv[count++] = json_string_value(file);
    execvp(argv[0], (char **)(uintptr_t)argv);
    free(argv);
    return ipcl_error_set(error, "tail cannot be run: %s", strerror(errno));
}

static int show(struct cluster *cluster, struct ipcl_error *error)
{
    json_t *whole = status_gather(cluster), *files = json_array();
    int exit_code = EXIT_WRONG, outcome = 0;
    if (cluster->word_count == 0)
        add_sets(files, whole, NULL);
    for (int i = 0; outcome == 0 && i < cluster->word_count; i++)
        outcome = add_named(files, whole, cluster->words[i], error);
    if (!strcmp(status_text(whole, "state"), "none")) {
        exit_code = EXIT_NOTHING_TO_STOP;
        ipcl_error_set(error, "no cluster runs in the profile %s", cluster->profile.dir);
    } else if (outcome == 0 && json_array_size(files) == 0) {
        ipcl_error_set(error, "no output of this cluster is known: no ipcluster supervises it");
    } else if (outcome == 0) {
        run_tail(cluster, files, error);
    }
    json_decref(files);
    json_decref(whole);
    return exit_code;
}

const struct cluster_command command_logs = {
    .name = "logs",
    .summary = "show what controller and engines have written",
    .program = &program,
    .table = &table,
    .need = NEED_PROFILE,
    .run = show,
};
