/* The file by which ipyparallel's programs find a cluster. Wire facts: Cluster.to_dict() and
 * from_dict() of ipyparallel/cluster/cluster.py, and those of the launchers in launcher.py. */
#include "cluster/state/cluster_file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

#include "base/leftovers.h"
#include "base/log.h"
#include "base/path.h"
#include "cluster/state/processes.h"
#include "cluster/state/state.h"

/* Its class for processes of this host, whichever launcher of ours has started them. */
#define LAUNCHER "local"

struct cluster_file {
    const char *profile_dir;
    const char *cluster_id;
    json_t *controller;
    json_t *sets;
    json_int_t n;
};

static json_t *process_json(const struct cluster_file *file, json_int_t pid)
{
    return json_pack("{s:s s:s s:s s:I}", "profile_dir", file->profile_dir, "cluster_id",
                     file->cluster_id, "state", "running", "pid", pid);
}

/* The processes of a set, by their place in it; NULL if none is left here. */
static json_t *set_json(const struct cluster_file *file, const struct state_job *job)
{
    json_t *process, *engines = json_object();
    size_t index;
    char place[24];
    json_array_foreach (job->processes, index, process) {
        json_int_t pid, born;
        snprintf(place, sizeof(place), "%zu", index);
        if (json_unpack(process, "[I,I]", &pid, &born) == 0 && process_runs(pid, born))
            json_object_set_new(engines, place, process_json(file, pid));
    }
    json_t *set =
        !json_object_size(engines)
            ? NULL
            : json_pack("{s:s s:s s:s s:O}", "profile_dir", file->profile_dir, "cluster_id",
                        file->cluster_id, "state", "running", "engines", engines);
    json_decref(engines);
    return set;
}

static int add(void *context, struct state *state)
{
    struct cluster_file *file = context;
    if (state->pid < 0 || !state_is_here(state) || strcmp(state->cluster_id, file->cluster_id) != 0)
        return 0;
    for (const struct state_set *set = state->sets; set; set = set->next) {
        json_t *saved = set_json(file, &set->job);
        if (saved)
            json_object_set_new(file->sets, set->name, saved);
    }
    file->n += state_engine_count(state);
    if (!state->engines_only) {
        int64_t pid = state_process_left(&state->controller);
        /* Who supervises a controller of another machine can end it. */
        json_decref(file->controller);
        file->controller = process_json(file, pid ? pid : state->pid);
    }
    return 0;
}

/* Whether the file has this text already: most saves change nothing that it tells. */
static bool is_written(const char *path, const char *text)
{
    size_t size;
    char *known = path_exists(path) ? path_read_file(path, strlen(text), &size, NULL) : NULL;
    bool same = known && strcmp(known, text) == 0;
    free(known);
    return same;
}

static int write_file(const struct cluster_file *file, const char *path, struct ipcl_error *error)
{
    json_t *whole = json_pack("{s:{s:s s:s s:I} s:{s:s s:O} s:{s:s s:O}}", "cluster", "cluster_id",
                              file->cluster_id, "profile_dir", file->profile_dir, "n", file->n,
                              "controller", "class", LAUNCHER, "state", file->controller, "engines",
                              "class", LAUNCHER, "sets", file->sets);
    char *text = whole ? json_dumps(whole, JSON_INDENT(2)) : NULL;
    int outcome = 0;
    if (!text)
        outcome = ipcl_error_set(error, "%s cannot be written as JSON", path);
    else if (!is_written(path, text))
        outcome = path_write_file(path, text, strlen(text), 0600, error);
    json_decref(whole);
    free(text);
    return outcome;
}

void cluster_file_update(const char *profile_dir, const char *cluster_id)
{
    struct cluster_file file = {.profile_dir = profile_dir, .cluster_id = cluster_id};
    struct ipcl_error error;
    char pid_dir[PATH_BYTES], path[PATH_BYTES];
    int outcome = 0;
    if (path_format(pid_dir, &error, "%s/pid", profile_dir) ||
        path_format(path, &error, "%s/security/cluster-%s.json", profile_dir, cluster_id)) {
        log_warn("%s", error.text);
        return;
    }
    file.sets = json_object();
    state_each(pid_dir, add, &file);
    if (file.controller)
        outcome = write_file(&file, path, &error);
    else if (unlink(path) < 0 && errno != ENOENT)
        outcome = ipcl_error_set(&error, "cannot remove %s: %s", path, strerror(errno));
    if (!file.controller)
        leftovers_remove_of(path);
    if (outcome < 0)
        log_warn("ipyparallel's programs will not find this cluster: %s", error.text);
    json_decref(file.controller);
    json_decref(file.sets);
}
