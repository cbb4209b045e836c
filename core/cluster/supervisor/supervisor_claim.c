/* How the supervisor makes sure that nobody else runs its cluster. */
#include "cluster/supervisor/supervisor_private.h"

#include <string.h>
#include <unistd.h>

#include "base/leftovers.h"
#include "cluster/watch/by_hand.h"

/* Looks at one state file: refuses if its cluster has our name and runs; cleans up if its
 * supervisor has gone. */
static int check_state(void *context, struct state *state)
{
    struct supervisor *supervisor = context;
    struct progress *progress = supervisor->progress;
    char words[PATH_BYTES];
    if (strcmp(state->cluster_id, supervisor->cluster->cluster_id) != 0)
        return 0;
    if (state->pid < 0) {
        progress_fail(progress, "%s", state->error.text);
        return EXIT_WRONG;
    }
    cluster_words(supervisor->cluster, words, sizeof(words));
    if (!state_is_of_host(state)) {
        progress_fail(progress,
                      "This cluster runs on %s: stop it there%s (if it does not run any more, "
                      "remove %s)",
                      state->host, state_outlives(state) ? ", or here with ipcluster stop" : "",
                      state->path);
        return EXIT_ALREADY_RUNS;
    }
    if (state_supervised(state)) {
        if (state->engines_only)
            return 0;
        if (strcmp(state->phase, "stopping") == 0)
            progress_fail(progress,
                          "This cluster is being stopped by process %lld: wait until it "
                          "has ended",
                          (long long)state->pid);
        else
            progress_fail(
                progress,
                "This cluster runs already, under process %lld. Stop it with ipcluster stop%s, add "
                "engines with ipcluster engines%s, or start another with --cluster-id=NAME",
                (long long)state->pid, words, words);
        return EXIT_ALREADY_RUNS;
    }
    if (!state_is_here(state) && !state_outlives(state)) {
        state_remove(state);
        return 0;
    }
    progress_say(progress, "Cleaning up after a cluster whose ipcluster was killed");
    return supervisor_clean_up(supervisor->cluster, progress, state);
}

/* A controller that somebody started by hand has no state file. A controller of another host counts
 * only if it answers: its file may be old. */
static int check_controller(struct supervisor *supervisor)
{
    const struct cluster *cluster = supervisor->cluster;
    struct by_hand found;
    char words[PATH_BYTES], process[STATE_TEXT_BYTES + 48] = "";
    if (!by_hand_find(cluster->registry, cluster->profile.dir, cluster->cluster_id, &found) ||
        (found.elsewhere && found.engines < 0))
        return EXIT_FINE;
    cluster_words(cluster, words, sizeof(words));
    if (found.pid)
        snprintf(process, sizeof(process), " (process %lld%s%s)", (long long)found.pid,
                 *found.host ? " on " : "", found.host);
    progress_fail(
        supervisor->progress,
        "A controller that was started by hand%s runs with the connection file %s: stop it "
        "with ipcluster stop%s, add engines to it with ipcluster engines%s, or start "
        "another cluster with --cluster-id=NAME",
        process, supervisor->client_file, words, words);
    return EXIT_ALREADY_RUNS;
}

int supervisor_claim(struct supervisor *supervisor)
{
    const struct cluster *cluster = supervisor->cluster;
    struct ipcl_error error;
    int exit_code = EXIT_FINE;
    int lock = state_lock(cluster->profile.pid, &error);
    if (lock < 0) {
        progress_fail(supervisor->progress, "%s", error.text);
        return EXIT_WRONG;
    }
    leftovers_remove(cluster->profile.pid);
    if (supervisor->own_controller) {
        exit_code = state_each(cluster->profile.pid, check_state, supervisor);
        if (exit_code == EXIT_FINE)
            exit_code = check_controller(supervisor);
    }
    if (exit_code == EXIT_FINE) {
        struct state *state = &supervisor->state;
        snprintf(state->phase, sizeof(state->phase), "starting");
        if (state_write(state, &error) < 0) {
            progress_fail(supervisor->progress, "%s", error.text);
            exit_code = EXIT_WRONG;
        }
    }
    close(lock);
    return exit_code;
}
