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
#include "wire/connection.h"

#define ASKED_MS    2000  /* for engines to end when they are asked over the wire */
#define STOPPING_MS 30000 /* for a launcher to end its copies; it escalates by itself */
#define KILLED_MS   5000  /* for copies to go after SIGKILL */

static void stop_engines(struct supervisor *supervisor);
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

/* A controller that ended well has removed these itself; one that was killed has not. */
static void remove_files(struct supervisor *supervisor)
{
    const struct cluster *cluster = supervisor->cluster;
    struct connection connection;
    struct ipcl_error error;
    char pid_file[PATH_BYTES];
    if (supervisor->own_controller) {
        if (supervisor_file_is_new(supervisor->client_file, &supervisor->old_client_file) &&
            connection_read(supervisor->client_file, CONNECTION_CLIENT, &connection, &error) == 0)
            remove_sockets(connection.interface);
        if (supervisor_file_is_new(supervisor->client_file, &supervisor->old_client_file))
            unlink(supervisor->client_file);
        if (supervisor_file_is_new(supervisor->engine_file, &supervisor->old_engine_file))
            unlink(supervisor->engine_file);
        if (path_format(pid_file, &error, "%s/ipcontroller%s%s.pid", cluster->profile.pid,
                        *cluster->cluster_id ? "-" : "", cluster->cluster_id) == 0)
            unlink(pid_file);
    }
    state_remove(&supervisor->state);
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

/* The job did not end in its time: kills it, and gives up when that did not help. Returns whether
 * to wait. */
static bool job_late(struct supervisor *supervisor, struct job *job, const char *what)
{
    struct ipcl_error error;
    long long waited = clock_ms() - supervisor->phase_ms;
    if (waited >= STOPPING_MS + KILLED_MS) {
        not_stopped(supervisor, what);
        return false;
    }
    progress_say(supervisor->progress, "The %s ha%s not ended: killing", what,
                 *what == 'e' ? "ve" : "s");
    launcher_signal(job->launcher, SIGKILL, &error);
    return true;
}

static void engines_late(uv_timer_t *timer)
{
    struct supervisor *supervisor = timer->data;
    if (!job_late(supervisor, &supervisor->engines, "engines"))
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
    uv_timer_start(&supervisor->timer, controller_late, STOPPING_MS, KILLED_MS);
    if (launcher_stop(job->launcher, &error) < 0)
        log_warn("stopping the controller: %s", error.text);
}

static void stop_engines(struct supervisor *supervisor)
{
    struct job *job = &supervisor->engines;
    struct ipcl_error error;
    supervisor_phase(supervisor, PHASE_STOPPING_ENGINES);
    uv_timer_start(&supervisor->timer, engines_late, STOPPING_MS, KILLED_MS);
    if (launcher_stop(job->launcher, &error) < 0)
        log_warn("stopping the engines: %s", error.text);
}

static void asked_long_enough(uv_timer_t *timer)
{
    stop_engines(timer->data);
}

/* Ended by the shutdown message, engines finalise MPI and leave by themselves; also those that run
 * user code, as their I/O thread hears it. */
static void ask_engines(struct supervisor *supervisor)
{
    if (supervisor->own_controller && supervisor->controller.running > 0 && supervisor->hub &&
        hub_watch_count(supervisor->hub) > 0) {
        supervisor_phase(supervisor, PHASE_ASKING_ENGINES);
        hub_watch_shut_engines(supervisor->hub);
        uv_timer_start(&supervisor->timer, asked_long_enough, ASKED_MS, 0);
        return;
    }
    stop_engines(supervisor);
}

/* A second interrupt ends engines at once, a third the controller too. */
static void hurry(struct supervisor *supervisor)
{
    struct ipcl_error error;
    bool last = supervisor->interrupts > 2;
    progress_say(supervisor->progress,
                 last ? "Killing all that is left" : "Hurrying: killing the engines");
    if (supervisor->phase == PHASE_ASKING_ENGINES)
        stop_engines(supervisor);
    if (supervisor->engines.launcher && supervisor->engines.running > 0)
        launcher_signal(supervisor->engines.launcher, SIGKILL, &error);
    if (supervisor->phase == PHASE_STOPPING_CONTROLLER || last) {
        if (supervisor->controller.launcher && supervisor->controller.running > 0)
            launcher_signal(supervisor->controller.launcher, SIGKILL, &error);
    }
}

void supervisor_stop(struct supervisor *supervisor, int exit_code)
{
    if (supervisor->phase >= PHASE_ASKING_ENGINES) {
        if (supervisor->interrupts > 1)
            hurry(supervisor);
        return;
    }
    supervisor->exit_code = exit_code;
    supervisor_save(supervisor, "stopping");
    if (!supervisor->engines.launcher || supervisor->engines.running == 0) {
        stop_controller(supervisor);
        return;
    }
    progress_say(supervisor->progress, "Stopping %u engine%s", supervisor->engines.running,
                 supervisor->engines.running == 1 ? "" : "s");
    ask_engines(supervisor);
}

void supervisor_stopped_job(struct supervisor *supervisor)
{
    if (supervisor->phase == PHASE_STOPPING_CONTROLLER && supervisor->controller.running == 0)
        finish(supervisor);
    else if (supervisor->phase != PHASE_STOPPING_CONTROLLER && supervisor->phase != PHASE_DONE &&
             supervisor->engines.running == 0)
        stop_controller(supervisor);
}

/* Adopts what a launcher of the state names. Whether there is anything left of it. */
static bool adopt(struct supervisor *supervisor, struct job *job, enum ipcl_role role,
                  const char *class_name, const char *json, unsigned count)
{
    struct ipcl_error error;
    if (!json || !*class_name)
        return false;
    if (launchers_find(supervisor->cluster->launchers, role, class_name, &job->choice, &error) <
            0 ||
        supervisor_make(supervisor, job, &error) < 0) {
        progress_fail(supervisor->progress, "What %s started cannot be stopped: %s", class_name,
                      error.text);
        supervisor->exit_code = EXIT_NOT_STOPPED;
        return false;
    }
    job->count = job->running = count;
    if (launcher_from_json(job->launcher, json, &error) < 0) {
        log_debug("%s: %s", class_name, error.text);
        job->running = 0;
        return false;
    }
    return true;
}

int supervisor_clean_up(struct cluster *cluster, struct progress *progress,
                        const struct state *state)
{
    struct supervisor supervisor;
    struct ipcl_error error;
    if (supervisor_open(&supervisor, cluster, progress, &error) < 0) {
        progress_fail(progress, "%s", error.text);
        supervisor_close(&supervisor);
        return EXIT_WRONG;
    }
    supervisor.state = *state; /* with its path; the texts are replaced below */
    supervisor.state.controller = supervisor.state.engines = NULL;
    supervisor.exit_code = EXIT_FINE;
    supervisor.own_controller = !state->engines_only;
    supervisor_phase(&supervisor, PHASE_UP);
    supervisor.adopting = true;
    adopt(&supervisor, &supervisor.engines, IPCL_ROLE_ENGINES, state->engine_class, state->engines,
          state->n);
    if (adopt(&supervisor, &supervisor.controller, IPCL_ROLE_CONTROLLER, state->controller_class,
              state->controller, 1))
        log_debug("the controller still runs");
    supervisor.adopting = false;
    if (supervisor.exit_code == EXIT_FINE) {
        supervisor_stop(&supervisor, EXIT_FINE);
        uv_run(&supervisor.loop, UV_RUN_DEFAULT);
    }
    int exit_code = supervisor.exit_code;
    supervisor_close(&supervisor);
    return exit_code;
}
