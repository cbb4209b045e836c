/* How the supervisor starts a cluster: the controller, and when that has written its connection
 * files, the engines. */
#include "cluster/supervisor/supervisor_private.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "cluster/supervisor/logs.h"
#include "wire/connection.h"

#define LOOK_MS               10    /* how often the connection files are looked for */
#define CONTROLLER_TIMEOUT_MS 60000 /* for the controller to write them */
#define HUB_TIMEOUT_MS        10000 /* for the hub's first answer */

static void fail(struct supervisor *supervisor, int exit_code, const char *what,
                 const struct ipcl_error *error)
{
    progress_fail(supervisor->progress, "%s%s", what, error->text);
    supervisor_stop(supervisor, exit_code);
}

static void delay_over(uv_timer_t *timer)
{
    supervisor_start_engines(timer->data);
}

static void watch_hub(struct supervisor *supervisor);

/* For another's controller. The file may have been that of one that has gone: its successor's leads
 * to it. */
static void await_hub(uv_timer_t *timer)
{
    struct supervisor *supervisor = timer->data;
    struct ipcl_error error;
    if (path_is_new(supervisor->client_file, &supervisor->old_client_file)) {
        hub_watch_destroy(supervisor->hub);
        watch_hub(supervisor);
        return;
    }
    if (clock_ms() - supervisor->phase_ms < HUB_TIMEOUT_MS)
        return;
    uv_timer_stop(timer);
    ipcl_error_set(&error, "the controller of %s does not answer", supervisor->client_file);
    fail(supervisor, EXIT_NO_CONTROLLER, "No engines were added: ", &error);
}

/* The connection files are there. */
static void watch_hub(struct supervisor *supervisor)
{
    struct ipcl_error error;
    supervisor_phase(supervisor, PHASE_DELAY);
    if (!supervisor->own_controller)
        path_note(supervisor->client_file, &supervisor->old_client_file);
    if (supervisor_watch_hub(supervisor, &error) < 0) {
        fail(supervisor, supervisor->own_controller ? EXIT_CONTROLLER_FAILED : EXIT_NO_CONTROLLER,
             "The controller cannot be reached: ", &error);
        return;
    }
    double delay = settings_real(supervisor->cluster->settings, "Cluster", "delay");
    if (!supervisor->own_controller)
        uv_timer_start(&supervisor->timer, await_hub, LOOK_MS, LOOK_MS);
    else if (delay <= 0)
        supervisor_start_engines(supervisor);
    else
        uv_timer_start(&supervisor->timer, delay_over, (uint64_t)(delay * 1000), 0);
}

/* Whether the clients' file, which the controller writes last, is there as a whole. */
static bool has_connection(const struct supervisor *supervisor)
{
    struct connection connection;
    struct ipcl_error error;
    bool whole =
        path_is_new(supervisor->client_file, &supervisor->old_client_file) &&
        path_is_new(supervisor->engine_file, &supervisor->old_engine_file) &&
        connection_read(supervisor->client_file, CONNECTION_CLIENT, &connection, &error) == 0;
    explicit_bzero(&connection, sizeof(connection));
    return whole;
}

static void look_for_files(uv_timer_t *timer)
{
    struct supervisor *supervisor = timer->data;
    if (has_connection(supervisor)) {
        uv_timer_stop(timer);
        watch_hub(supervisor);
        return;
    }
    if (supervisor->controller.started &&
        clock_ms() - supervisor->phase_ms > CONTROLLER_TIMEOUT_MS) {
        uv_timer_stop(timer);
        progress_fail(supervisor->progress, "The controller has not written %s within %d seconds",
                      supervisor->client_file, CONTROLLER_TIMEOUT_MS / 1000);
        supervisor_show_tail(&supervisor->controller, 0, false);
        supervisor_stop(supervisor, EXIT_CONTROLLER_FAILED);
    }
}

static void start_controller(struct supervisor *supervisor)
{
    struct ipcl_error error;
    supervisor_phase(supervisor, PHASE_CONTROLLER);
    progress_say(supervisor->progress, "Starting the controller with %s",
                 supervisor->controller.choice.class->name);
    path_note(supervisor->client_file, &supervisor->old_client_file);
    path_note(supervisor->engine_file, &supervisor->old_engine_file);
    uv_timer_start(&supervisor->timer, look_for_files, LOOK_MS, LOOK_MS);
    if (supervisor_start_job(supervisor, &supervisor->controller, 1, "", &error) < 0)
        fail(supervisor, EXIT_CONTROLLER_FAILED, "The controller cannot be started: ", &error);
}

/* Makes the launcher only to ask it, well before the start. If it cannot be made, the start says
 * so. */
static bool starts_elsewhere(struct supervisor *supervisor, struct supervised_job *job)
{
    struct ipcl_error error;
    bool elsewhere =
        supervisor_make(supervisor, job, &error) == 0 && instances_start_elsewhere(job->launcher);
    instances_destroy(job->launcher);
    job->launcher = NULL;
    return elsewhere;
}

/* Finds the launchers and the number of engines. Returns 0 or -1 with `error` set. */
static int choose(struct supervisor *supervisor, struct ipcl_error *error)
{
    struct cluster *cluster = supervisor->cluster;
    struct state_set *saved = state_add_set(
        &supervisor->state, cluster_set_name(cluster, supervisor->state.label), error);
    struct engine_set *set = saved ? supervisor_add_set(supervisor, saved, error) : NULL;
    if (!set || supervisor_choose(set, error) < 0)
        return -1;
    cluster->engines_elsewhere = starts_elsewhere(supervisor, &set->job);
    return supervisor->own_controller
               ? launchers_find(cluster->launchers, IPCL_ROLE_CONTROLLER,
                                cluster_launcher_name(cluster, IPCL_ROLE_CONTROLLER),
                                &supervisor->controller.choice, error)
               : 0;
}

/* Writes what a job would start. Returns 0 or -1 with `error` set. */
static int show_job(struct supervisor *supervisor, struct supervised_job *job,
                    struct ipcl_error *error)
{
    const char *class_name = job->choice.class->name;
    struct ipcl_error reason;
    if (job->count == 0)
        return 0;
    if (job->set)
        progress_say(supervisor->progress, "# %u engine%s, with %s:", job->count,
                     job->count == 1 ? "" : "s", class_name);
    else
        progress_say(supervisor->progress, "# The controller, with %s:", class_name);
    return supervisor_start_job(supervisor, job, job->count, "", &reason) == 0
               ? 0
               : ipcl_error_set(error, "--dry-run cannot show what %s starts: %s", class_name,
                                reason.text);
}

/* Writes what would be started. Returns 0 or -1 with `error` set. */
static int dry_run(struct supervisor *supervisor, struct ipcl_error *error)
{
    if (supervisor->own_controller && show_job(supervisor, &supervisor->controller, error) < 0)
        return -1;
    for (struct engine_set *set = supervisor->sets; set; set = set->next)
        if (show_job(supervisor, &set->job, error) < 0)
            return -1;
    return 0;
}

static void begin(struct supervisor *supervisor)
{
    struct cluster *cluster = supervisor->cluster;
    supervisor_listen(supervisor);
    if (!supervisor->own_controller) {
        watch_hub(supervisor);
        return;
    }
    if (settings_bool(cluster->settings, "IPClusterStart", "clean_logs"))
        logs_clean(cluster->profile.log, cluster->profile.pid, cluster->cluster_id,
                   (size_t)settings_int(cluster->settings, "IPClusterStart", "logs_kept"));
    start_controller(supervisor);
}

int supervisor_run(struct cluster *cluster, struct progress *progress, struct daemon *daemon,
                   bool engines_only)
{
    struct supervisor supervisor;
    struct ipcl_error error;
    int exit_code = EXIT_WRONG;
    if (supervisor_open(&supervisor, cluster, progress, &error) < 0)
        goto failed;
    supervisor.daemon = daemon;
    supervisor.own_controller = !engines_only;
    supervisor.dry = settings_bool(cluster->settings, "Cluster", "dry_run");
    if (state_init(&supervisor.state, cluster->profile.dir, cluster->profile.pid,
                   cluster->cluster_id, engines_only, &error) < 0 ||
        choose(&supervisor, &error) < 0)
        goto failed;
    if (supervisor.dry) {
        if (dry_run(&supervisor, &error) < 0)
            goto failed;
        supervisor_close(&supervisor);
        return EXIT_FINE;
    }
    if (engines_only && !path_exists(supervisor.client_file)) {
        ipcl_error_set(&error,
                       "no controller runs here (there is no %s): start one with ipcluster start",
                       supervisor.client_file);
        exit_code = EXIT_NO_CONTROLLER;
        goto failed;
    }
    exit_code = supervisor_claim(&supervisor);
    if (exit_code == EXIT_FINE) {
        begin(&supervisor);
        uv_run(&supervisor.loop, UV_RUN_DEFAULT);
        exit_code = supervisor.exit_code;
    }
    supervisor_close(&supervisor);
    return exit_code;
failed:
    progress_fail(progress, "ipcluster: %s", error.text);
    supervisor_close(&supervisor);
    return exit_code;
}
