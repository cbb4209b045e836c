/* How the supervisor ends a cluster: engines first, then the controller, each politely at first and
 * then by a kill; and what is removed afterwards. */
#include "cluster/supervisor/supervisor_private.h"

#include <dirent.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "cluster/watch/by_hand.h"
#include "cluster/state/cluster_file.h"
#include "wire/connection.h"

#define LOOK_AGAIN_MS 200 /* how often it is looked whether time is over */

/* ipc sockets are files next to the connection files: STEM-NUMBER. STEM is the interface in the
 * connection files. */
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

static void finish_stopping(struct supervisor *supervisor)
{
    supervisor_phase(supervisor, PHASE_DONE);
    uv_timer_stop(&supervisor->timer);
    if (supervisor_running(supervisor) > 0)
        supervisor->exit_code = EXIT_NOT_STOPPED;
    if (supervisor->exit_code == EXIT_NOT_STOPPED)
        supervisor_save(supervisor, "stopping");
    else
        remove_files(supervisor);
    uv_stop(&supervisor->loop);
}

static void controller_late(uv_timer_t *timer)
{
    struct supervisor *supervisor = timer->data;
    if (supervisor_job_late(&supervisor->controller, supervisor->phase_ms))
        return;
    supervisor->exit_code = EXIT_NOT_STOPPED;
    finish_stopping(supervisor);
}

static void stop_controller(struct supervisor *supervisor)
{
    struct supervised_job *job = &supervisor->controller;
    struct ipcl_error error;
    hub_watch_destroy(supervisor->hub);
    supervisor->hub = NULL;
    if (!job->launcher || job->running == 0) {
        finish_stopping(supervisor);
        return;
    }
    supervisor_phase(supervisor, PHASE_STOPPING_CONTROLLER);
    progress_say(supervisor->progress, "Stopping the controller");
    uv_timer_start(&supervisor->timer, controller_late, supervisor_stopping_ms(job), KILLED_MS);
    if (instances_stop(job->launcher, &error) < 0)
        log_warn("stopping the controller: %s", error.text);
}

/* Engines that are of no set are asked, too, and have the time to hear it. Returns whether any is
 * left. */
static bool others_left(struct supervisor *supervisor)
{
    if (!supervisor->own_controller || !supervisor->hub || supervisor->controller.running == 0)
        return false;
    hub_watch_end_engines(supervisor->hub, NULL);
    return hub_watch_count(supervisor->hub, NULL, 0) > 0 &&
           clock_ms() - supervisor->phase_ms < HEARD_MS;
}

static bool sets_ended(const struct supervisor *supervisor)
{
    const struct engine_set *set = supervisor->sets;
    while (set && set->phase == SET_ENDED)
        set = set->next;
    return !set;
}

void supervisor_go_on_stopping(struct supervisor *supervisor)
{
    if (supervisor->phase == PHASE_STOPPING_ENGINES) {
        bool others = others_left(supervisor);
        if (!others && sets_ended(supervisor))
            stop_controller(supervisor);
    } else if (supervisor->phase == PHASE_STOPPING_CONTROLLER &&
               supervisor->controller.running == 0) {
        finish_stopping(supervisor);
    }
}

static void look_again(uv_timer_t *timer)
{
    supervisor_go_on_stopping(timer->data);
}

/* A set that has joined hears why it ends. */
static void end_joined(struct engine_set *set, int exit_code)
{
    bool orderly = exit_code == EXIT_FINE || exit_code == EXIT_INTERRUPTED;
    if (set->phase == SET_ENDED)
        supervisor_tell_end(set->joined, set->exit_code);
    if (set->phase >= SET_ASKED)
        return;
    if (orderly)
        progress_say(set->progress, "The cluster is being stopped, and these engines with it");
    else
        progress_fail(set->progress, "The controller has ended: its engines are stopped");
    supervisor_stop_set(set, set->phase != SET_UP ? EXIT_NO_CONTROLLER
                             : orderly            ? EXIT_FINE
                                                  : EXIT_CLUSTER_DIED);
}

void supervisor_stop(struct supervisor *supervisor, int exit_code)
{
    unsigned running = supervisor_running(supervisor);
    if (supervisor->phase > PHASE_UP)
        return;
    supervisor->exit_code = exit_code;
    supervisor_save(supervisor, "stopping");
    if (running > 0)
        progress_say(supervisor->progress, "Stopping %u engine%s", running,
                     running == 1 ? "" : "s");
    supervisor_phase(supervisor, PHASE_STOPPING_ENGINES);
    uv_timer_start(&supervisor->timer, look_again, LOOK_AGAIN_MS, LOOK_AGAIN_MS);
    for (struct engine_set *set = supervisor->sets; set; set = set->next) {
        if (set->joined)
            end_joined(set, exit_code);
        else
            supervisor_stop_set(set, exit_code);
    }
    supervisor_go_on_stopping(supervisor);
}

void supervisor_hurry(struct supervisor *supervisor)
{
    struct supervised_job *controller = &supervisor->controller;
    struct ipcl_error error;
    bool last = supervisor->interrupts > 2 || supervisor->phase == PHASE_STOPPING_CONTROLLER;
    progress_say(supervisor->progress,
                 last ? "Killing what is left" : "Hurrying: killing the engines");
    for (struct engine_set *set = supervisor->sets; set; set = set->next)
        supervisor_hurry_set(set);
    if (last && controller->launcher && controller->running > 0)
        instances_signal(controller->launcher, SIGKILL, &error);
}
