/* How the supervisor starts a cluster: makes sure that there is none, starts the controller, waits
 * for its connection files, starts the engines and waits until all have registered; and what it
 * does when something ends by itself. */
#include "cluster/supervisor_internal.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/leftovers.h"
#include "base/log.h"
#include "cluster/by_hand.h"
#include "cluster/logs.h"
#include "wire/connection.h"

#define LOOK_MS               10    /* how often the connection files are looked for */
#define CONTROLLER_TIMEOUT_MS 60000 /* for the controller to write them */
#define HUB_TIMEOUT_MS        10000 /* for the hub's first answer */
#define TAIL_LINES            20

static void start_engines(struct supervisor *supervisor);

/* How a user names this cluster: "--profile=mpi --cluster-id=a". */
static void cluster_words(const struct cluster *cluster, char *text, size_t size)
{
    const struct settings *settings = cluster->settings;
    const char *name = settings_string(settings, "BaseParallelApplication", "profile");
    bool by_dir = *settings_string(settings, "BaseParallelApplication", "profile_dir") != '\0';
    bool by_default = !by_dir && strcmp(name, "default") == 0;
    int length = snprintf(text, size, "%s%s%s%s",
                          by_dir       ? " --profile-dir="
                          : by_default ? ""
                                       : " --profile=",
                          by_dir       ? cluster->profile.dir
                          : by_default ? ""
                                       : name,
                          *cluster->cluster_id ? " --cluster-id=" : "", cluster->cluster_id);
    if (length < 0 || (size_t)length >= size)
        *text = '\0'; /* half a command is worse than none */
}

static void show_tail(struct supervisor *supervisor, const struct job *job, unsigned index)
{
    char path[PATH_BYTES];
    if (!job->launcher || launcher_output(job->launcher, index, path, sizeof(path)) < 0)
        return;
    if (!logs_tail(path, TAIL_LINES, supervisor->progress->errors))
        progress_fail(supervisor->progress, "Its output file %s is empty.", path);
}

/* Says which copies ended, how, and what they said last. */
static void tell_end(struct supervisor *supervisor, const struct job *job, unsigned index,
                     int status, const char *reason, const char *when)
{
    char what[ENGINE_NAME_BYTES];
    if (job == &supervisor->controller)
        snprintf(what, sizeof(what), "The controller");
    else if (index != IPCL_ALL_COPIES && children_ending(supervisor->children))
        hub_watch_name(supervisor->hub, children_ending(supervisor->children), what);
    else
        snprintf(what, sizeof(what), index == IPCL_ALL_COPIES ? "The engines" : "An engine");
    progress_fail(supervisor->progress, "%s ended with status %d%s%s%s%s", what, status,
                  *when ? " " : "", when, reason ? ": " : "", reason ? reason : "");
    show_tail(supervisor, job, index == IPCL_ALL_COPIES ? 0 : index);
}

/* No engine is left, neither of this start nor of any other. Those that could not work end early,
 * and without having been asked anything; where they worked, the reason is what they were asked. */
static void cluster_emptied(struct supervisor *supervisor)
{
    long long seconds =
        settings_int(supervisor->cluster->settings, "IPClusterEngines", "early_shutdown");
    bool early = clock_ms() - supervisor->phase_ms < 1000 * seconds;
    char words[PATH_BYTES];
    cluster_words(supervisor->cluster, words, sizeof(words));
    if (early && supervisor->engines.status != 0 && !hub_watch_worked(supervisor->hub)) {
        progress_fail(supervisor->progress,
                      "All engines ended within %lld seconds of their registration, and nobody had "
                      "asked anything of them: the cluster is stopped "
                      "(--IPClusterEngines.early_shutdown=0 lets the controller run on)",
                      seconds);
        supervisor_stop(supervisor, EXIT_ENGINES_FAILED);
    } else {
        progress_say(
            supervisor->progress,
            "All engines have ended; the controller runs on. Add engines with: ipcluster engines%s",
            words);
    }
}

/* Engines have come or gone while the cluster is up. As long as any works the controller stays,
 * whoever started it. */
static void look_for_engines(struct supervisor *supervisor)
{
    bool was_empty = supervisor->empty;
    if (supervisor->engines.running > 0 || !supervisor->own_controller)
        return;
    supervisor->empty = hub_watch_count(supervisor->hub, NULL) == 0;
    if (supervisor->empty && !was_empty)
        cluster_emptied(supervisor);
}

/* The controller says that it ends, or has gone. One of our own that has gone is its launcher's to
 * tell. */
static void controller_ends(struct supervisor *supervisor, enum hub_presence presence)
{
    bool up = supervisor->phase == PHASE_UP;
    if (supervisor->own_controller && presence == HUB_LOST)
        return;
    if (presence == HUB_ENDING)
        progress_say(supervisor->progress, "The controller was told to end: so do the engines");
    else
        progress_fail(supervisor->progress, "The controller has gone: its engines are stopped");
    supervisor_stop(supervisor, up && presence == HUB_ENDING ? EXIT_FINE
                                : up                         ? EXIT_CLUSTER_DIED
                                : supervisor->own_controller ? EXIT_CONTROLLER_FAILED
                                                             : EXIT_NO_CONTROLLER);
}

void supervisor_job_ended(struct supervisor *supervisor, struct job *job, unsigned index,
                          int status, const char *reason)
{
    bool up = supervisor->phase == PHASE_UP;
    if (job == &supervisor->controller) {
        if (up && status == 0) {
            progress_say(supervisor->progress, "The controller has ended");
            supervisor_stop(supervisor, EXIT_FINE);
            return;
        }
        tell_end(supervisor, job, index, status, reason, up ? "" : "before the cluster was up");
        supervisor_stop(supervisor, up ? EXIT_CLUSTER_DIED : EXIT_CONTROLLER_FAILED);
    } else if (!up) {
        tell_end(supervisor, job, index, status, reason, "before all engines had registered");
        supervisor_stop(supervisor, EXIT_ENGINES_FAILED);
    } else {
        if (status != 0)
            tell_end(supervisor, job, index, status, reason, "");
        supervisor_save(supervisor, "running");
        look_for_engines(supervisor);
        if (job->running == 0 && !supervisor->own_controller) {
            progress_say(supervisor->progress, "All engines have ended");
            supervisor_stop(supervisor, job->status ? EXIT_CLUSTER_DIED : EXIT_FINE);
        }
    }
}

static void cluster_up(struct supervisor *supervisor)
{
    char words[PATH_BYTES];
    cluster_words(supervisor->cluster, words, sizeof(words));
    supervisor_phase(supervisor, PHASE_UP);
    supervisor->empty = supervisor->engines.count == 0;
    uv_timer_stop(&supervisor->timer);
    supervisor_save(supervisor, "running");
    if (supervisor->own_controller)
        progress_say(supervisor->progress, "The cluster is up. Stop it with %sipcluster stop%s",
                     supervisor->daemon->report ? "" : "Ctrl-C or ", words);
    else
        progress_say(supervisor->progress, "%u more engine%s up%s", supervisor->engines.count,
                     supervisor->engines.count == 1 ? " is" : "s are",
                     supervisor->daemon->report ? "" : ". Stop them with Ctrl-C");
    if (supervisor->daemon->report) {
        daemon_report(supervisor->daemon, EXIT_FINE);
        progress_init(supervisor->progress, stdout, stderr, false, supervisor->progress->quiet);
    }
}

/* The first of the engines whose output is not that of one that has registered. Where each has a
 * file of its own, it is named for the process. */
static unsigned find_missing(const struct supervisor *supervisor)
{
    const struct job *job = &supervisor->engines;
    char path[PATH_BYTES];
    for (unsigned i = 0; job->launcher && i < job->count; i++) {
        const char *dash =
            launcher_output(job->launcher, i, path, sizeof(path)) < 0 ? NULL : strrchr(path, '-');
        if (dash && !hub_watch_knows(supervisor->hub, atoll(dash + 1)))
            return i;
    }
    return 0;
}

/* Says once why the controller lets an engine not in. */
static void tell_refusal(struct supervisor *supervisor)
{
    const char *refusal = hub_watch_refusal(supervisor->hub);
    if (!*refusal || strcmp(refusal, supervisor->refusal) == 0)
        return;
    snprintf(supervisor->refusal, sizeof(supervisor->refusal), "%s", refusal);
    progress_fail(supervisor->progress, "The controller refuses an engine: %s", refusal);
}

/* Once a second while engines are awaited. */
static void registration_tick(uv_timer_t *timer)
{
    struct supervisor *supervisor = timer->data;
    int64_t seconds = settings_int(supervisor->cluster->settings, "Cluster", "engine_timeout");
    tell_refusal(supervisor);
    /* A launcher that starts engines one after the other knows more of them now. */
    if (supervisor->engines.started < supervisor->engines.count)
        supervisor_save(supervisor, "starting");
    if (supervisor->progress->shown >= supervisor->engines.started ||
        clock_ms() - supervisor->phase_ms < 1000 * seconds)
        return;
    progress_fail(supervisor->progress,
                  "No further engine has registered for %lld seconds; the cluster is given up "
                  "(Cluster.engine_timeout)",
                  (long long)seconds);
    show_tail(supervisor, &supervisor->engines, find_missing(supervisor));
    supervisor_stop(supervisor, EXIT_ENGINES_FAILED);
}

static void hub_changed(void *context, struct hub_watch *hub)
{
    struct supervisor *supervisor = context;
    unsigned ours =
        hub_watch_count(hub, supervisor->own_controller ? NULL : supervisor->state.engine_set);
    if (ours > supervisor->registered)
        supervisor->registered = ours;
    if (supervisor->phase > PHASE_UP) {
        supervisor_go_on_stopping(supervisor);
    } else if (hub_watch_presence(hub) != HUB_THERE) {
        controller_ends(supervisor, hub_watch_presence(hub));
    } else if (supervisor->phase == PHASE_DELAY && !supervisor->own_controller) {
        start_engines(supervisor);
    } else if (supervisor->phase == PHASE_REGISTRATION) {
        unsigned count = supervisor->own_controller ? ours : hub_watch_arrived(hub);
        if (count > supervisor->progress->shown)
            supervisor->phase_ms = clock_ms();
        progress_engines(supervisor->progress, count, supervisor->engines.count);
        if (count >= supervisor->engines.count)
            cluster_up(supervisor);
    } else if (supervisor->phase == PHASE_UP) {
        look_for_engines(supervisor);
    }
}

void supervisor_job_resized(struct supervisor *supervisor, struct job *job)
{
    if (job != &supervisor->engines)
        return;
    supervisor->state.n = job->count;
    if (supervisor->phase != PHASE_REGISTRATION)
        return;
    if (job->count > 0) {
        hub_changed(supervisor, supervisor->hub);
        return;
    }
    progress_fail(supervisor->progress, "No engine can be started");
    supervisor_stop(supervisor, EXIT_ENGINES_FAILED);
}

int supervisor_watch_hub(struct supervisor *supervisor, struct ipcl_error *error)
{
    struct hub_watch_events events = {hub_changed, supervisor};
    supervisor->hub = hub_watch_create(&supervisor->loop, supervisor->cluster->registry,
                                       supervisor->client_file, &events, error);
    return supervisor->hub ? 0 : -1;
}

static void fail(struct supervisor *supervisor, int exit_code, const char *what,
                 const struct ipcl_error *error)
{
    progress_fail(supervisor->progress, "%s%s", what, error->text);
    supervisor_stop(supervisor, exit_code);
}

/* Starts one job: its log files are named for the cluster, the time and this process. Returns 0 or
 * -1 with `error` set. */
static int start_job(struct supervisor *supervisor, struct job *job, struct ipcl_error *error)
{
    const struct cluster *cluster = supervisor->cluster;
    enum ipcl_role role = job->choice.class->role;
    char label[STATE_TEXT_BYTES + 64], work_dir[PATH_BYTES];
    if (!getcwd(work_dir, sizeof(work_dir)))
        return ipcl_error_set(error, "the folder that ipcluster was started in has gone");
    snprintf(label, sizeof(label), "%s%s%s-%s",
             role == IPCL_ROLE_ENGINES ? "ipengine" : "ipcontroller",
             *cluster->cluster_id ? "-" : "", cluster->cluster_id, supervisor->state.engine_set);
    char **argv = cluster_argv(cluster, &job->choice, supervisor->state.engine_set, error);
    if (!argv || supervisor_make(supervisor, job, error) < 0) {
        cluster_free_argv(argv);
        return -1;
    }
    struct ipcl_launch launch = {
        .count = job->count,
        .argv = (const char *const *)argv,
        .work_dir = work_dir,
        .log_dir = cluster->profile.log,
        .label = label,
        .profile_dir = cluster->profile.dir,
        .cluster_id = cluster->cluster_id,
        .any_count =
            role == IPCL_ROLE_ENGINES && !settings_given(cluster->settings, "Cluster", "n"),
    };
    job->running = job->count;
    int outcome = launcher_start(job->launcher, &launch, error);
    if (supervisor->dry) {
        cluster_free_argv(argv);
        return outcome;
    }
    if (outcome < 0)
        job->running = 0;
    else if (supervisor_note(job, error) < 0)
        outcome = -1;                      /* what runs is stopped */
    else if (supervisor->phase < PHASE_UP) /* it may all have ended already */
        supervisor_save(supervisor, "starting");
    cluster_free_argv(argv);
    return outcome;
}

static void start_engines(struct supervisor *supervisor)
{
    struct job *job = &supervisor->engines;
    struct ipcl_error error;
    supervisor_phase(supervisor, PHASE_REGISTRATION);
    if (job->count == 0) {
        cluster_up(supervisor);
        return;
    }
    progress_say(supervisor->progress, "Starting %u engine%s with %s", job->count,
                 job->count == 1 ? "" : "s", job->choice.class->name);
    progress_engines(supervisor->progress, 0, job->count);
    uv_timer_start(&supervisor->timer, registration_tick, 1000, 1000);
    if (start_job(supervisor, job, &error) < 0)
        fail(supervisor, EXIT_ENGINES_FAILED, "The engines cannot be started: ", &error);
}

static void delay_over(uv_timer_t *timer)
{
    start_engines(timer->data);
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
        start_engines(supervisor);
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
        show_tail(supervisor, &supervisor->controller, 0);
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
    if (start_job(supervisor, &supervisor->controller, &error) < 0)
        fail(supervisor, EXIT_CONTROLLER_FAILED, "The controller cannot be started: ", &error);
}

/* Looks at one state file: refuses where its cluster has our name and lives, cleans up where its
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
        progress_fail(
            progress, "This cluster runs on %s: stop it there%s (when it does not, remove %s)",
            state->host, state_outlives(state) ? ", or here with ipcluster stop" : "", state->path);
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

/* A controller that somebody started by hand has no state file. One of another machine counts where
 * it answers: its file may be old. */
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

/* Under the lock: nobody runs this cluster, and from now on we do. Returns an exit code, EXIT_FINE
 * to go on. */
static int claim(struct supervisor *supervisor)
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
        int outcome = state_init(state, cluster->profile.dir, cluster->profile.pid,
                                 cluster->cluster_id, !supervisor->own_controller, &error);
        state->n = supervisor->engines.count;
        snprintf(state->phase, sizeof(state->phase), "starting");
        if (outcome < 0 || state_write(state, &error) < 0) {
            progress_fail(supervisor->progress, "%s", error.text);
            exit_code = EXIT_WRONG;
        }
    }
    close(lock);
    return exit_code;
}

/* Finds the launchers and the number of engines. Returns 0 or -1 with `error` set. */
static int choose(struct supervisor *supervisor, struct ipcl_error *error)
{
    struct cluster *cluster = supervisor->cluster;
    if (cluster_engine_count(cluster, &supervisor->engines.count, error) < 0 ||
        launchers_find(cluster->launchers, IPCL_ROLE_ENGINES,
                       cluster_launcher_name(cluster, IPCL_ROLE_ENGINES),
                       &supervisor->engines.choice, error) < 0)
        return -1;
    supervisor->controller.count = 1;
    cluster->engines_elsewhere =
        supervisor->engines.choice.class->properties & IPCL_STARTS_ELSEWHERE;
    return supervisor->own_controller
               ? launchers_find(cluster->launchers, IPCL_ROLE_CONTROLLER,
                                cluster_launcher_name(cluster, IPCL_ROLE_CONTROLLER),
                                &supervisor->controller.choice, error)
               : 0;
}

/* Writes what would be started. Returns 0 or -1 with `error` set. */
static int dry_run(struct supervisor *supervisor, struct ipcl_error *error)
{
    const struct cluster *cluster = supervisor->cluster;
    struct job *jobs[] = {&supervisor->controller, &supervisor->engines};
    supervisor->dry = true;
    if (state_init(&supervisor->state, cluster->profile.dir, cluster->profile.pid,
                   cluster->cluster_id, !supervisor->own_controller, error) < 0)
        return -1;
    for (size_t i = supervisor->own_controller ? 0 : 1; i < 2; i++) {
        struct job *job = jobs[i];
        if (job->count == 0)
            continue;
        if (i == 0)
            progress_say(supervisor->progress,
                         "# The controller, with %s:", job->choice.class->name);
        else
            progress_say(supervisor->progress, "# %u engine%s, with %s:", job->count,
                         job->count == 1 ? "" : "s", job->choice.class->name);
        struct ipcl_error reason;
        if (start_job(supervisor, job, &reason) < 0)
            return ipcl_error_set(error, "--dry-run cannot show what %s would do: %s",
                                  job->choice.class->name, reason.text);
    }
    return 0;
}

static void begin(struct supervisor *supervisor)
{
    struct cluster *cluster = supervisor->cluster;
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
    if (choose(&supervisor, &error) < 0)
        goto failed;
    if (settings_bool(cluster->settings, "Cluster", "dry_run")) {
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
    exit_code = claim(&supervisor);
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
