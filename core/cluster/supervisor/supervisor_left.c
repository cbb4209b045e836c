/* What an earlier supervisor has left: whether any of it runs, and how it is stopped. */
#include "cluster/supervisor/supervisor_private.h"

#include <string.h>

#include "base/log.h"
#include "cluster/supervisor/strays.h"

#define ANSWER_MS 10000 /* for a batch system to say what has become of a job */

static int take_state(struct supervisor *supervisor, const struct state *state,
                      struct ipcl_error *error)
{
    int outcome = state_copy(&supervisor->state, state, error);
    for (struct state_set *set = supervisor->state.sets; set && outcome == 0; set = set->next)
        outcome = supervisor_add_set(supervisor, set, error) ? 0 : -1;
    supervisor->own_controller = !state->engines_only;
    return outcome;
}

static void stop_asking(uv_timer_t *timer)
{
    uv_stop(timer->loop);
}

/* Whether a job still runs. What is not on this host is asked for. */
static bool finds_job(struct supervisor *supervisor, struct supervised_job *job)
{
    struct ipcl_error error;
    if (supervisor_adopt(supervisor, job, &error) < 0)
        return true;
    supervisor->adopting = true;
    uv_timer_start(&supervisor->timer, stop_asking, ANSWER_MS, 0);
    while (job->running > 0 && job->saved->outlives && !job->answered &&
           uv_run(&supervisor->loop, UV_RUN_ONCE) &&
           uv_is_active((uv_handle_t *)&supervisor->timer))
        continue;
    uv_timer_stop(&supervisor->timer);
    supervisor->adopting = false;
    return job->running > 0;
}

static bool finds_jobs(struct cluster *cluster, const struct state *state)
{
    struct progress silent;
    struct supervisor supervisor;
    struct ipcl_error error;
    bool found = false;
    progress_init(&silent, stdout, stderr, false, true);
    if (!state_is_here(state) && !state_outlives(state))
        return false;
    if (supervisor_open(&supervisor, cluster, &silent, &error) == 0 &&
        take_state(&supervisor, state, &error) == 0) {
        for (struct engine_set *set = supervisor.sets; set && !found; set = set->next)
            found = finds_job(&supervisor, &set->job);
        found = found || finds_job(&supervisor, &supervisor.controller);
    }
    supervisor_close(&supervisor);
    return found;
}

const char *supervisor_state_word(struct cluster *cluster, const struct state *state)
{
    if (state_supervised(state))
        return state->phase;
    if (!state_is_here(state))
        return !state_is_of_host(state)     ? "elsewhere"
               : finds_jobs(cluster, state) ? "stale"
                                            : "stopped";
    return finds_jobs(cluster, state) ? "stale" : "stopped";
}

static void adopt_left(struct supervisor *supervisor, struct supervised_job *job)
{
    const struct state *state = &supervisor->state;
    struct ipcl_error error;
    char process[64] = "";
    if (supervisor_adopt(supervisor, job, &error) == 0)
        return;
    long long pid = state_process_left(job->saved);
    if (pid)
        snprintf(process, sizeof(process), " (process %lld of it runs)", pid);
    progress_fail(supervisor->progress,
                  "What %s started cannot be stopped with the help of %s%s: %s. End it by hand, "
                  "then remove the file",
                  job->saved->class_name, state->path, process, error.text);
    supervisor->exit_code = EXIT_NOT_STOPPED;
}

int supervisor_clean_up(struct cluster *cluster, struct progress *progress,
                        const struct state *state)
{
    struct supervisor supervisor;
    struct ipcl_error error;
    if (supervisor_open(&supervisor, cluster, progress, &error) < 0 ||
        take_state(&supervisor, state, &error) < 0) {
        progress_fail(progress, "%s", error.text);
        supervisor_close(&supervisor);
        return EXIT_WRONG;
    }
    supervisor.exit_code = EXIT_FINE;
    supervisor_phase(&supervisor, PHASE_UP);
    if (state_is_here(state))
        strays_end(&supervisor.loop, supervisor.children, progress, state);
    for (struct engine_set *set = supervisor.sets; set; set = set->next)
        adopt_left(&supervisor, &set->job);
    adopt_left(&supervisor, &supervisor.controller);
    if (!state_is_of_host(state) && state->controller.own && !state->controller.outlives) {
        progress_fail(progress, "The controller of %s runs on %s: stop it there", state->path,
                      state->host);
        supervisor.exit_code = EXIT_NOT_STOPPED;
    }
    bool controller = supervisor.controller.running > 0 || !supervisor.own_controller;
    if (controller && path_exists(supervisor.client_file) &&
        supervisor_watch_hub(&supervisor, &error) < 0)
        log_debug("the engines cannot be asked to end: %s", error.text);
    supervisor_stop(&supervisor, supervisor.exit_code);
    uv_run(&supervisor.loop, UV_RUN_DEFAULT);
    int exit_code = supervisor.exit_code;
    supervisor_close(&supervisor);
    return exit_code;
}
