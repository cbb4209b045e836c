/* ipcluster list: the clusters of one profile or of all, from their state files, with engines
 * counted by their hubs. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "cluster/commands/columns.h"
#include "cluster/watch/by_hand.h"
#include "cluster/commands/commands.h"
#include "cluster/watch/hub_watch.h"
#include "cluster/commands/status.h"
#include "cluster/supervisor/supervisor.h"
#include "wire/connection.h"

#define HUB_TIMEOUT_MS 1000

static const struct settings_choice choices[] = {{"IPClusterList", "output_format", "text,json"}};

static const struct settings_program program = {
    .name = "ipcluster",
    .page = "ipcluster-list",
    .usage = "ipcluster list [options]",
    .description = "Shows the clusters of all profiles, or of one profile. A cluster is\n"
                   "  running   supervised by the ipcluster with this pid (or starting, "
                   "stopping)\n"
                   "  stale     its ipcluster was killed, but the cluster still runs: "
                   "ipcluster stop ends it\n"
                   "  stopped   nothing of it runs; its state file is left, and the next "
                   "start or stop removes it\n"
                   "  by hand   a controller that ipcontroller started, without an "
                   "ipcluster;\n"
                   "            ipcluster stop ends it and its engines\n"
                   "  elsewhere its ipcluster, or the controller that was started by hand, "
                   "runs\n"
                   "            on another machine that shares this folder",
    .examples = "ipcluster list\n"
                "ipcluster list --profile=mpi\n"
                "ipcluster list --json",
    .choices = choices,
    .choice_count = 1,
    .classes = CLUSTER_CLASSES,
};

static const struct ipcl_option options[] = {
    {"json", IPCL_BOOL, "false", "json", "true", "Write JSON: a list of clusters."},
    {"output_format", IPCL_STRING, "text", "o", NULL, "text or json."},
};
static const struct ipcl_option_table table = {"IPClusterList", options,
                                               sizeof(options) / sizeof(*options)};

struct listing {
    struct cluster *cluster;
    char profile[PATH_BYTES]; /* the one that is being read, as a user names it */
    const char *dir;          /* its folder */
    json_t *clusters;
    int exit_code;
};

static json_t *sets_json(const struct state *state)
{
    json_t *sets = json_array();
    for (const struct state_set *set = state->sets; set; set = set->next)
        if (set->n > 0)
            json_array_append_new(sets, json_pack("{s:s s:i s:s s:s}", "set", set->name, "n",
                                                  (int)set->n, "launcher", set->job.class_name,
                                                  "status", set->job.status));
    return sets;
}

static int list_one(void *context, struct state *state)
{
    struct listing *listing = context;
    char path[PATH_BYTES];
    struct ipcl_error error;
    int engines = -1;
    if (state->pid < 0) {
        fprintf(stderr, "ipcluster: %s\n", state->error.text);
        listing->exit_code = EXIT_WRONG;
        return 0;
    }
    const char *word = supervisor_state_word(listing->cluster, state);
    if (strcmp(word, "stopped") != 0 &&
        connection_path(state->profile_dir, state->cluster_id, CONNECTION_CLIENT, path, &error) ==
            0 &&
        path_exists(path))
        engines = hub_count_engines(listing->cluster->early_registry, path, HUB_TIMEOUT_MS, &error);
    json_t *entry = json_pack(
        "{s:s s:s s:s s:s s:b s:I s:s s:o s:i s:s s:s s:o s:f}", "profile", listing->profile,
        "profile_dir", state->profile_dir, "cluster_id", state->cluster_id, "state", word,
        "engines_only", state->engines_only, "pid", (json_int_t)state->pid, "host", state->host,
        "engines", engines < 0 ? json_null() : json_integer(engines), "n",
        (int)state_engine_count(state), "controller_launcher", state->controller.class_name,
        "controller_status", state->controller.status, "sets", sets_json(state), "started",
        state->started);
    if (entry)
        json_array_append_new(listing->clusters, entry);
    return 0;
}

/* Whether the listing has the supervisor of this cluster. */
static bool is_listed(const struct listing *listing, const char *cluster_id)
{
    size_t position;
    json_t *entry;
    json_array_foreach (listing->clusters, position, entry) {
        const char *profile, *id, *word;
        int added;
        json_unpack(entry, "{s:s s:s s:s s:b}", "profile", &profile, "cluster_id", &id, "state",
                    &word, "engines_only", &added);
        if (!added && strcmp(profile, listing->profile) == 0 && strcmp(id, cluster_id) == 0 &&
            strcmp(word, "stopped") != 0)
            return true;
    }
    return false;
}

static void list_by_hand(void *context, const struct by_hand *found)
{
    struct listing *listing = context;
    if (is_listed(listing, found->cluster_id))
        return;
    json_t *entry =
        json_pack("{s:s s:s s:s s:s s:b s:o s:s s:o s:i s:s s:s s:[] s:n}", "profile",
                  listing->profile, "profile_dir", listing->dir, "cluster_id", found->cluster_id,
                  "state", found->elsewhere ? "elsewhere" : "by hand", "engines_only", 0, "pid",
                  found->pid ? json_integer(found->pid) : json_null(), "host", found->host,
                  "engines", found->engines < 0 ? json_null() : json_integer(found->engines), "n",
                  found->engines < 0 ? 0 : found->engines, "controller_launcher", "",
                  "controller_status", "", "sets", "started");
    if (entry)
        json_array_append_new(listing->clusters, entry);
}

static void list_profile(struct listing *listing, const char *name, const char *dir)
{
    char pid_dir[PATH_BYTES];
    struct ipcl_error error;
    snprintf(listing->profile, sizeof(listing->profile), "%s", name);
    listing->dir = dir;
    if (path_format(pid_dir, &error, "%s/pid", dir) == 0)
        state_each(pid_dir, list_one, listing);
    by_hand_each(listing->cluster->early_registry, dir, list_by_hand, listing);
}

static int is_profile(const struct dirent *entry)
{
    return strncmp(entry->d_name, "profile_", 8) == 0;
}

static int list_all(struct listing *listing, struct ipcl_error *error)
{
    const char *given =
        settings_string(listing->cluster->settings, "BaseParallelApplication", "ipython_dir");
    char parent[PATH_BYTES], dir[PATH_BYTES];
    struct dirent **entries;
    if (profile_ipython_dir(given, parent, error) < 0)
        return -1;
    int count = scandir(parent, &entries, is_profile, alphasort);
    for (int i = 0; i < count; i++) {
        if (path_format(dir, error, "%s/%s", parent, entries[i]->d_name) == 0)
            list_profile(listing, entries[i]->d_name + 8, dir);
        free(entries[i]);
    }
    if (count >= 0)
        free(entries);
    return 0;
}

/* The row of a cluster, or of a further set of it: both with what its launcher says. */
static json_t *row_of(json_t *entry, const char *count, const json_t *set)
{
    char number[32] = "?";
    const json_t *pid = json_object_get(entry, "pid");
    const char *id = status_text(entry, "cluster_id"), *launcher = status_text(set, "launcher"),
               *said = status_text(set, "status");
    if (json_is_integer(pid))
        snprintf(number, sizeof(number), "%" JSON_INTEGER_FORMAT, json_integer_value(pid));
    return json_pack("[ssssss++]", status_text(entry, "profile"), *id ? id : "-",
                     status_text(entry, "state"), number, count, *launcher ? launcher : "-",
                     *said ? ": " : "", said);
}

static void write_table(const json_t *clusters)
{
    size_t position, i;
    json_t *entry, *set;
    if (json_array_size(clusters) == 0) {
        printf("No clusters. Start one with ipcluster start\n");
        return;
    }
    json_t *rows =
        json_pack("[[ssssss]]", "PROFILE", "CLUSTER ID", "STATE", "PID", "ENGINES", "LAUNCHER");
    json_array_foreach (clusters, position, entry) {
        const json_t *engines = json_object_get(entry, "engines"),
                     *sets = json_object_get(entry, "sets");
        bool added = json_is_true(json_object_get(entry, "engines_only"));
        char count[32] = "?";
        if (json_is_integer(engines))
            snprintf(count, sizeof(count), "%" JSON_INTEGER_FORMAT, json_integer_value(engines));
        if (!added)
            json_array_append_new(rows, row_of(entry, count, json_array_get(sets, 0)));
        json_array_foreach (sets, i, set) {
            snprintf(count, sizeof(count), "+%" JSON_INTEGER_FORMAT,
                     json_integer_value(json_object_get(set, "n")));
            if (added || i > 0)
                json_array_append_new(rows, row_of(entry, count, set));
        }
    }
    columns_write(rows, stdout);
    json_decref(rows);
}

static int list(struct cluster *cluster, struct ipcl_error *error)
{
    const struct settings *settings = cluster->settings;
    struct listing listing = {.cluster = cluster, .clusters = json_array()};
    bool by_dir = settings_given(settings, "BaseParallelApplication", "profile_dir");
    int outcome = 0;
    if (by_dir || settings_given(settings, "BaseParallelApplication", "profile"))
        list_profile(&listing,
                     by_dir ? cluster->profile.dir
                            : settings_string(settings, "BaseParallelApplication", "profile"),
                     cluster->profile.dir);
    else
        outcome = list_all(&listing, error);
    if (outcome < 0) {
        listing.exit_code = EXIT_WRONG;
    } else if (settings_bool(settings, "IPClusterList", "json") ||
               !strcmp(settings_string(settings, "IPClusterList", "output_format"), "json")) {
        json_dumpf(listing.clusters, stdout, JSON_INDENT(2));
        putchar('\n');
    } else {
        write_table(listing.clusters);
    }
    json_decref(listing.clusters);
    return listing.exit_code;
}

const struct cluster_command command_list = {
    .name = "list",
    .summary = "show the clusters that exist",
    .program = &program,
    .table = &table,
    .need = NEED_ANY_PROFILE,
    .run = list,
};
