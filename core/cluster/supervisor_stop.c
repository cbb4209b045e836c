/* How the supervisor ends a cluster: engines first, then the controller, each politely and then
 * not; and what is removed afterwards. */
#include "cluster/supervisor_internal.h"

#include <dirent.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "cluster/by_hand.h"
#include "cluster/cluster_file.h"
#include "cluster/strays.h"
#include "wire/connection.h"

/* The order, the same for all that is stopped by whomever: engines are asked over the wire, which
 * lets also those that run user code finish MPI and leave by themselves; those that have heard it
 * get the time that an engine may take (seven seconds, core/engine/io.h); what then remains is
 * signalled by its launcher, and killed. The controller follows when no engine is left. */
#define HEARD_MS  2000 /* for engines to leave the hub, which they do as soon as they hear it */
#define ENGINE_MS 8000 /* for those that have to end */
#define STOPPING_MS                                                                                \
    30000 /* for a launcher to end its copies, where it says no other; it escalates by itself */
#define KILLED_MS     5000 /* for copies to go after SIGKILL */
#define LOOK_AGAIN_MS 200  /* how often it is looked whether time is over */

static void stop_controller(struct supervisor *supervisor);

/* ipc sockets are files beside the connection files: STEM-NUMBER, and STEM as connection files
 * spell the interface. */
static void remove_sockets(const char *interface)
{
    char folder[PATH_BYTES];
    if (strncmp(interface, "ipc://", 6) != 0)
        return;
    snprintf(folder, sizeof(folder), "%s", interface + 6);
    char *slash = strrchr(folder, '/');
    if (!slash || slash == folder)
        return;
    *slash = '\0';
    const char *stem = slash + 1;
    size_t length = strlen(stem);
    DIR *entries = opendir(folder);
    struct dirent *entry;
    while (entries && (entry = readdir(entries))) {
        const char *rest = entry->d_name + length;
        if (strncmp(entry->d_name, stem, length) == 0 && (*rest == ':' || *rest == '-') &&
            strspn(rest + 1, "0123456789") == strlen(rest + 1))
            unlinkat(dirfd(entries), entry->d_name, 0);
    }
    if (entries)
        closedir(entries);
}

/* A controller that ended well has removed these itself; one that was killed has not, and somebody
 * may have started another since. */
static void remove_files(struct supervisor *supervisor)
{
    const struct cluster *cluster = supervisor->cluster;
    struct connection connection;
    struct ipcl_error error;
    char pid_file[PATH_BYTES];
    if (supervisor->own_controller && !by_hand_holds(cluster->profile.dir, cluster->cluster_id)) {
        if (path_is_new(supervisor->client_file, &supervisor->old_client_file) &&
            connection_read(supervisor->client_file, CONNECTION_CLIENT, &connection, &error) == 0)
            remove_sockets(connection.interface);
        explicit_bzero(&connection, sizeof(connection));
        if (path_is_new(supervisor->client_file, &supervisor->old_client_file))
            unlink(supervisor->client_file);
        if (path_is_new(supervisor->engine_file, &supervisor->old_engine_file))
            unlink(supervisor->engine_file);
        if (profile_pid_file(cluster->profile.dir, cluster->cluster_id, pid_file, &error) == 0)
            unlink(pid_file);
    }
    state_remove(&supervisor->state);
    cluster_file_update(supervisor->state.profile_dir, supervisor->state.cluster_id);
}

static void finish(struct supervisor *supervisor)
{
    supervisor_phase(supervisor, PHASE_DONE);
    uv_timer_stop(&supervisor->timer);
    if (supervisor->exit_code == EXIT_NOT_STOPPED)
        supervisor_save(supervisor, "stopping");
    else
        remove_files(supervisor);
    uv_stop(&supervisor->loop);
}

static void not_stopped(struct supervisor *supervisor, const char *what)
{
    progress_fail(supervisor->progress,
                  "The %s cannot be ended, not with SIGKILL either: see ipcluster list", what);
    supervisor->exit_code = EXIT_NOT_STOPPED;
}

static unsigned stopping_ms(const struct job *job)
{
    unsigned stop_ms = instances_stop_ms(job->launcher);
    return stop_ms ? stop_ms : STOPPING_MS;
}

/* The job did not end in its time: kills it, and gives up when that did not help. Returns whether
 * to wait. */
static bool job_late(struct supervisor *supervisor, struct job *job, const char *what)
{
    struct ipcl_error error;
    long long waited = clock_ms() - supervisor->phase_ms;
    if (waited >= stopping_ms(job) + KILLED_MS) {
        not_stopped(supervisor, what);
        return false;
    }
    progress_say(supervisor->progress, "The %s ha%s not ended: killing", what,
                 *what == 'e' ? "ve" : "s");
    instances_signal(job->launcher, SIGKILL, &error);
    return true;
}

static void engines_late(uv_timer_t *timer)
{
    struct supervisor *supervisor = timer->data;
    bool waits = false;
    for (struct engine_set *set = supervisor->sets; set; set = set->next)
        if (set->job.running > 0)
            waits = job_late(supervisor, &set->job, "engines") || waits;
    if (!waits)
        stop_controller(supervisor);
}

static void controller_late(uv_timer_t *timer)
{
    struct supervisor *supervisor = timer->data;
    if (!job_late(supervisor, &supervisor->controller, "controller"))
        finish(supervisor);
}

static void stop_controller(struct supervisor *supervisor)
{
    struct job *job = &supervisor->controller;
    struct ipcl_error error;
    hub_watch_destroy(supervisor->hub);
    supervisor->hub = NULL;
    if (!job->launcher || job->running == 0) {
        finish(supervisor);
        return;
    }
    supervisor_phase(supervisor, PHASE_STOPPING_CONTROLLER);
    progress_say(supervisor->progress, "Stopping the controller");
    uv_timer_start(&supervisor->timer, controller_late, stopping_ms(job), KILLED_MS);
    if (instances_stop(job->launcher, &error) < 0)
        log_warn("stopping the controller: %s", error.text);
}

static void stop_engines(struct supervisor *supervisor)
{
    struct ipcl_error error;
    unsigned stop_ms = 0;
    supervisor_phase(supervisor, PHASE_STOPPING_ENGINES);
    for (struct engine_set *set = supervisor->sets; set; set = set->next)
        if (set->job.running > 0 && stopping_ms(&set->job) > stop_ms)
            stop_ms = stopping_ms(&set->job);
    uv_timer_start(&supervisor->timer, engines_late, stop_ms, KILLED_MS);
    for (struct engine_set *set = supervisor->sets; set; set = set->next)
        if (set->job.running > 0 && instances_stop(set->job.launcher, &error) < 0)
            log_warn("stopping the engines: %s", error.text);
}

/* How long engines that are asked may take: their time where all that run have left the hub, less
 * where one may not have heard, and none where nobody can be asked. */
static long long time_to_end(const struct supervisor *supervisor, unsigned left, bool reachable)
{
    unsigned running = supervisor_running(supervisor), registered = 0;
    for (const struct engine_set *set = supervisor->sets; set; set = set->next)
        registered += set->registered;
    if (running > 0 && left == 0 && registered >= running)
        return ENGINE_MS;
    bool some = registered > 0 || !hub_watch_answered(supervisor->hub);
    return reachable && some ? HEARD_MS : 0;
}

/* Asks the engines that are registered, which with the controller are all there are, and goes on
 * when they have ended, or there is nothing to wait for. */
static void ask_engines(struct supervisor *supervisor)
{
    const char *set =
        supervisor->own_controller || !supervisor->sets ? NULL : supervisor->sets->saved->name;
    bool reachable = supervisor->own_controller
                         ? supervisor->hub && supervisor->controller.running > 0
                         : hub_watch_presence(supervisor->hub) != HUB_LOST;
    if (reachable)
        hub_watch_end_engines(supervisor->hub, set);
    unsigned left = hub_watch_count(supervisor->hub, set);
    bool late = clock_ms() - supervisor->phase_ms >= time_to_end(supervisor, left, reachable);
    if (supervisor_running(supervisor) == 0 && (left == 0 || late))
        stop_controller(supervisor);
    else if (late)
        stop_engines(supervisor);
}

void supervisor_go_on_stopping(struct supervisor *supervisor)
{
    if (supervisor->phase == PHASE_ASKING_ENGINES)
        ask_engines(supervisor);
    else if (supervisor->phase == PHASE_STOPPING_ENGINES && supervisor_running(supervisor) == 0)
        stop_controller(supervisor);
    else if (supervisor->phase == PHASE_STOPPING_CONTROLLER && supervisor->controller.running == 0)
        finish(supervisor);
}

static void look_again(uv_timer_t *timer)
{
    supervisor_go_on_stopping(timer->data);
}

void supervisor_stop(struct supervisor *supervisor, int exit_code)
{
    if (supervisor->phase >= PHASE_ASKING_ENGINES)
        return;
    supervisor->exit_code = exit_code;
    supervisor_save(supervisor, "stopping");
    unsigned running = supervisor_running(supervisor);
    if (running > 0)
        progress_say(supervisor->progress, "Stopping %u engine%s", running,
                     running == 1 ? "" : "s");
    supervisor_phase(supervisor, PHASE_ASKING_ENGINES);
    for (struct engine_set *set = supervisor->sets; set; set = set->next)
        if (set->job.launcher)
            instances_look(set->job.launcher);
    uv_timer_start(&supervisor->timer, look_again, LOOK_AGAIN_MS, LOOK_AGAIN_MS);
    ask_engines(supervisor);
}

void supervisor_hurry(struct supervisor *supervisor)
{
    struct job *controller = &supervisor->controller;
    struct ipcl_error error;
    bool last = supervisor->interrupts > 2 || supervisor->phase == PHASE_STOPPING_CONTROLLER;
    progress_say(supervisor->progress,
                 last ? "Killing all that is left" : "Hurrying: killing the engines");
    if (supervisor->phase == PHASE_ASKING_ENGINES && supervisor_running(supervisor) > 0)
        stop_engines(supervisor);
    for (struct engine_set *set = supervisor->sets; set; set = set->next)
        if (set->job.launcher && set->job.running > 0)
            instances_signal(set->job.launcher, SIGKILL, &error);
    if (last && controller->launcher && controller->running > 0)
        instances_signal(controller->launcher, SIGKILL, &error);
}

static void adopt(struct supervisor *supervisor, struct job *job)
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
                  "What %s started cannot be stopped by what %s says%s: %s. End it by hand, then "
                  "remove the file",
                  job->saved->class_name, state->path, process, error.text);
    supervisor->exit_code = EXIT_NOT_STOPPED;
}

int supervisor_clean_up(struct cluster *cluster, struct progress *progress,
                        const struct state *state)
{
    struct supervisor supervisor;
    struct ipcl_error error;
    if (supervisor_open(&supervisor, cluster, progress, &error) < 0 ||
        supervisor_take_state(&supervisor, state, &error) < 0) {
        progress_fail(progress, "%s", error.text);
        supervisor_close(&supervisor);
        return EXIT_WRONG;
    }
    supervisor.exit_code = EXIT_FINE;
    supervisor_phase(&supervisor, PHASE_UP);
    if (state_is_here(state))
        strays_end(&supervisor.loop, supervisor.children, progress, state);
    for (struct engine_set *set = supervisor.sets; set; set = set->next)
        adopt(&supervisor, &set->job);
    adopt(&supervisor, &supervisor.controller);
    if (!state_is_of_host(state) && state->controller.own && !state->controller.outlives) {
        progress_fail(progress, "The controller of %s runs on %s: stop it there", state->path,
                      state->host);
        supervisor.exit_code = EXIT_NOT_STOPPED;
    }
    bool controller = supervisor.controller.running > 0 || !supervisor.own_controller;
    if (controller && path_exists(supervisor.client_file) &&
        supervisor_watch_hub(&supervisor, &error) < 0)
        log_debug("engines are not asked to end: %s", error.text);
    supervisor_stop(&supervisor, supervisor.exit_code);
    uv_run(&supervisor.loop, UV_RUN_DEFAULT);
    int exit_code = supervisor.exit_code;
    supervisor_close(&supervisor);
    return exit_code;
}
