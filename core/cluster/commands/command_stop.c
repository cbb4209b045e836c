/* ipcluster stop: through the supervisor where it runs, else from the state file that it left. */
#include <inttypes.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "cluster/watch/by_hand.h"
#include "cluster/state/cluster_file.h"
#include "cluster/commands/commands.h"
#include "cluster/commands/join.h"
#include "cluster/commands/named_engines.h"
#include "cluster/supervisor/supervisor.h"

#define STOP_TIMEOUT_MS 180000 /* longer than a supervisor takes, with all its escalation */
#define LOOK_MS         20

static const struct settings_program program = {
    .name = "ipcluster",
    .page = "ipcluster-stop",
    .usage = "ipcluster stop [options] [CLUSTER-ID...]",
    .description = "Stops a cluster: engines first, then the controller. Waits until all have "
                   "ended. If its ipcluster was killed, the cluster is stopped with the help of "
                   "its state file; if its controller was started by hand, the controller is "
                   "asked. Sets of engines that were added are stopped too. With --engine-set "
                   "only one set ends, with --engine only single engines, and the cluster "
                   "continues without them.",
    .exit_status = "0   It is stopped.\n"
                   "1   An option or setting is wrong.\n"
                   "6   Something could not be ended.\n"
                   "11  There is no cluster.\n"
                   "12  No controller runs, so there are no engines to end.\n",
    .examples = "ipcluster stop\n"
                "ipcluster stop --profile=mpi\n"
                "ipcluster stop --cluster-id=a\n"
                "ipcluster stop --all          every cluster of the profile\n"
                "ipcluster stop --engine=0,2-3  these engines; ipcluster status shows their ids\n"
                "ipcluster stop --engine-set=b  the engines of one set",
    .classes = CLUSTER_CLASSES,
};

static const struct ipcl_option options[] = {
    {"all_cluster_ids", IPCL_BOOL, "false", "all", "true",
     "Stop all clusters of the profile, not just one."},
    {"engine", IPCL_STRING, "", "engine", NULL,
     "Stop these engines alone, named by their ids (3 or 5-7 or 3,5-7). All ranks of an MPI "
     "world end together. --restart does not start them again."},
    {"engine_set", IPCL_STRING, "", "engine-set", NULL,
     "Stop this set of engines alone, as ipcluster status names it."},
    {"signal", IPCL_IGNORED, "", "signal", NULL,
     "processes are asked to end, and are killed if they do not"},
};
static const struct ipcl_option_table table = {"IPClusterStop", options,
                                               sizeof(options) / sizeof(*options)};

struct stopping {
    struct cluster *cluster;
    struct progress progress;
    const char *cluster_id; /* NULL for all */
    bool engines_only;
    unsigned found;
    int exit_code;
};

/* Waits until the process has gone. Returns whether it has. */
static bool wait_for_end(const struct state *state)
{
    long long end = clock_ms() + STOP_TIMEOUT_MS;
    while (process_runs(state->pid, state->born)) {
        if (clock_ms() > end)
            return false;
        usleep(LOOK_MS * 1000);
    }
    return true;
}

/* Ends a supervisor that runs. What it leaves is ours to clean up. */
static void stop_supervisor(struct stopping *stopping, const struct state *state)
{
    const char *what = state->engines_only ? "its engines" : "the cluster";
    bool already = strcmp(state->phase, "stopping") == 0;
    progress_say(&stopping->progress,
                 already ? "Process %lld is stopping %s already" : "Asking process %lld to stop %s",
                 (long long)state->pid, what);
    if (!already)
        kill((pid_t)state->pid, SIGTERM);
    if (wait_for_end(state))
        return;
    progress_say(&stopping->progress, "It does not stop: killing it");
    kill((pid_t)state->pid, SIGKILL);
    wait_for_end(state);
}

/* Cleans up what a supervisor has left. */
static int clean_up(struct stopping *stopping, const struct state *state)
{
    if (!state_is_here(state) && !state_outlives(state)) {
        state_remove(state); /* the machine was restarted */
        cluster_file_update(state->profile_dir, state->cluster_id);
        return EXIT_FINE;
    }
    /* The files of a cluster are named for its id. */
    const char *before = stopping->cluster->cluster_id;
    stopping->cluster->cluster_id = state->cluster_id;
    int exit_code = supervisor_clean_up(stopping->cluster, &stopping->progress, state);
    stopping->cluster->cluster_id = before;
    return exit_code;
}

/* Looks at the processes themselves, whatever was reported. */
static int check_process_left(struct stopping *stopping, const struct state_job *job)
{
    int64_t pid = state_process_left(job);
    if (!pid)
        return EXIT_FINE;
    progress_fail(&stopping->progress, "Process %" PRId64 ", which %s started, still runs", pid,
                  job->class_name);
    return EXIT_NOT_STOPPED;
}

/* Stops what a state file says, and returns an exit code. Another cluster may have taken its place
 * by then: that of a start which was cleaning up itself. */
static int stop_known(struct stopping *stopping, struct state *state)
{
    struct ipcl_error error;
    if (state_supervised(state))
        stop_supervisor(stopping, state);
    /* A start waits meanwhile, so that nothing of its cluster is taken for this one's. */
    int lock = state_lock(stopping->cluster->profile.pid, &error);
    int exit_code = lock < 0 ? EXIT_WRONG : EXIT_FINE;
    if (lock < 0)
        progress_fail(&stopping->progress, "%s", error.text);
    else if (state_refresh(state))
        exit_code = clean_up(stopping, state);
    for (const struct state_set *set = state->sets; set; set = set->next)
        if (exit_code == EXIT_FINE && state_is_here(state))
            exit_code = check_process_left(stopping, &set->job);
    if (exit_code == EXIT_FINE && state_is_here(state))
        exit_code = check_process_left(stopping, &state->controller);
    if (lock >= 0)
        close(lock);
    return exit_code;
}

static int stop_one(void *context, struct state *state)
{
    struct stopping *stopping = context;
    if (state->engines_only != stopping->engines_only ||
        (stopping->cluster_id && strcmp(state->cluster_id, stopping->cluster_id) != 0))
        return 0;
    stopping->found++;
    if (state->pid < 0) {
        progress_fail(&stopping->progress, "%s", state->error.text);
        stopping->exit_code = EXIT_NOT_STOPPED;
        return 0;
    }
    if (!state_is_of_host(state) && !state_outlives(state)) {
        progress_fail(&stopping->progress, "The cluster of %s runs on %s: stop it there",
                      state->path, state->host);
        stopping->exit_code = EXIT_NOT_STOPPED;
        return 0;
    }
    int exit_code;
    do
        exit_code = stop_known(stopping, state);
    while (exit_code == EXIT_FINE && state_reload(state));
    if (exit_code != EXIT_FINE)
        stopping->exit_code = exit_code;
    return 0;
}

/* Stops a controller without a state file. If a state file is left, its cluster could not be
 * stopped. */
static void stop_by_hand(void *context, const struct by_hand *found)
{
    struct stopping *stopping = context;
    char state[PATH_BYTES];
    if (path_format(state, NULL, "%s/ipcluster%s%s.json", stopping->cluster->profile.pid,
                    *found->cluster_id ? "-" : "", found->cluster_id) < 0 ||
        path_exists(state))
        return;
    stopping->found++;
    if (found->elsewhere)
        progress_fail(&stopping->progress,
                      "The controller of %s, which was started by hand, runs on %s: stop it there",
                      found->client_file, found->host);
    else if (by_hand_stop(stopping->cluster->early_registry, &stopping->progress, found))
        return;
    else
        progress_fail(&stopping->progress, "The controller of %s cannot be ended",
                      found->client_file);
    stopping->exit_code = EXIT_NOT_STOPPED;
}

/* Stops engine sets that were added first, then the cluster. A controller that still runs then was
 * started by hand. */
static void stop_cluster(struct stopping *stopping, const char *cluster_id)
{
    unsigned before = stopping->found;
    /* A start that is at work has written what it starts, once it lets go. */
    int lock = state_lock(stopping->cluster->profile.pid, NULL);
    if (lock >= 0)
        close(lock);
    stopping->cluster_id = cluster_id;
    stopping->engines_only = true;
    state_each(stopping->cluster->profile.pid, stop_one, stopping);
    stopping->engines_only = false;
    state_each(stopping->cluster->profile.pid, stop_one, stopping);
    const char *dir = stopping->cluster->profile.dir;
    struct by_hand found;
    if (!cluster_id)
        by_hand_each(stopping->cluster->early_registry, dir, stop_by_hand, stopping);
    else if (by_hand_find(stopping->cluster->early_registry, dir, cluster_id, &found))
        stop_by_hand(stopping, &found);
    if (stopping->found > before)
        return;
    if (!cluster_id)
        progress_fail(&stopping->progress, "No cluster of the profile %s runs",
                      stopping->cluster->profile.dir);
    else
        progress_fail(&stopping->progress,
                      "No cluster%s%s runs in the profile %s (ipcluster list shows all)",
                      *cluster_id ? " " : "", cluster_id, stopping->cluster->profile.dir);
    stopping->exit_code = EXIT_NOTHING_TO_STOP;
}

static int stop_engines(const struct cluster *cluster, const char *word, struct ipcl_error *error)
{
    int exit_code;
    char *words[] = {(char *)(uintptr_t)word};
    json_t *engines = named_engines_find(cluster, words, 1, &exit_code, error);
    if (engines)
        exit_code = named_engines_stop(cluster, engines, error);
    if (exit_code == EXIT_FINE && !cluster->quiet)
        printf("Stopped\n");
    json_decref(engines);
    return exit_code;
}

/* Stops the set that the settings name, if this cluster has it. */
static int stop_set(void *context, struct state *state)
{
    struct stopping *stopping = context;
    const char *name = settings_string(stopping->cluster->settings, "IPClusterStop", "engine_set");
    const struct state_set *set = state->sets;
    while (set && (set->n == 0 || strcmp(set->name, name) != 0))
        set = set->next;
    if (!set || strcmp(state->cluster_id, stopping->cluster_id) != 0)
        return 0;
    stopping->engines_only = state->engines_only;
    if (state->engines_only)
        return stop_one(stopping, state);
    stopping->found++;
    if (state_supervised(state) && *state->socket) {
        stopping->exit_code = join_stop(state->socket, &stopping->progress, name);
    } else {
        progress_fail(&stopping->progress,
                      "The supervisor of the engines of %s was killed, or is on another host: "
                      "ipcluster stop ends them with their cluster",
                      name);
        stopping->exit_code = EXIT_NOT_STOPPED;
    }
    return 0;
}

static void stop_named_set(struct stopping *stopping, const char *cluster_id)
{
    unsigned before = stopping->found;
    stopping->cluster_id = cluster_id;
    state_each(stopping->cluster->profile.pid, stop_set, stopping);
    if (stopping->found > before)
        return;
    progress_fail(&stopping->progress,
                  "There is no such set of engines (ipcluster status lists the sets)");
    stopping->exit_code = EXIT_NOTHING_TO_STOP;
}

static void stop_asked(struct stopping *stopping)
{
    const struct cluster *cluster = stopping->cluster;
    bool set = *settings_string(cluster->settings, "IPClusterStop", "engine_set");
    bool all = settings_bool(cluster->settings, "IPClusterStop", "all_cluster_ids");
    if (set && all) {
        progress_fail(
            &stopping->progress,
            "ipcluster: --all and --engine-set cannot be used together: --engine-set names a "
            "set of one cluster");
        stopping->exit_code = EXIT_WRONG;
        return;
    }
    if (all)
        stop_cluster(stopping, NULL);
    else if (cluster->word_count == 0)
        (set ? stop_named_set : stop_cluster)(stopping, cluster->cluster_id);
    for (int i = 0; i < cluster->word_count; i++)
        (set ? stop_named_set : stop_cluster)(stopping, cluster->words[i]);
}

static int stop(struct cluster *cluster, struct ipcl_error *error)
{
    const char *engines = settings_string(cluster->settings, "IPClusterStop", "engine");
    if (*engines)
        return stop_engines(cluster, engines, error);
    struct stopping stopping = {.cluster = cluster, .exit_code = EXIT_FINE};
    progress_init(&stopping.progress, stdout, stderr, isatty(STDOUT_FILENO), cluster->quiet);
    stop_asked(&stopping);
    if (stopping.exit_code == EXIT_FINE)
        progress_say(&stopping.progress, "Stopped");
    return stopping.exit_code;
}

const struct cluster_command command_stop = {
    .name = "stop",
    .summary = "stop a cluster, also one whose ipcluster was killed, or single engines",
    .program = &program,
    .table = &table,
    .need = NEED_PROFILE,
    .run = stop,
};
