/* The supervisor's loop: its handles, launchers, signals, and saving of the state. One thread. */
#include "cluster/supervisor/supervisor_private.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "cluster/state/cluster_file.h"
#include "cluster/launching/plugin_call.h"
#include "wire/connection.h"

/* Of the event loop, a connection to the hub (hub_watch.c), and a process that is being started. */
#define OWN_DESCRIPTORS 32
#define ANSWER_MS       10000 /* for a batch system to say what has become of a job */

static const int signal_numbers[SIGNAL_COUNT] = {SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGUSR2};

bool supervisor_queues(const struct job *job)
{
    return job->choice.class->properties & IPCL_OUTLIVES_MACHINE;
}

unsigned supervisor_at_work(const struct job *job)
{
    unsigned ended = job->count - job->running;
    return job->started > ended ? job->started - ended : 0;
}

void supervisor_phase(struct supervisor *supervisor, enum phase phase)
{
    supervisor->phase = phase;
    supervisor->phase_ms = clock_ms();
}

int supervisor_note(struct job *job, struct ipcl_error *error)
{
    struct state_job *saved = job->saved;
    json_t *own = instances_to_json(job->launcher, error);
    if (!own)
        return -1;
    json_decref(saved->own);
    json_decref(saved->processes);
    snprintf(saved->class_name, sizeof(saved->class_name), "%s", job->choice.class->name);
    saved->own = own;
    saved->outlives = job->choice.class->properties & IPCL_OUTLIVES_MACHINE;
    saved->processes = instances_processes(job->launcher);
    job->noted = true;
    return 0;
}

static void note_again(struct job *job)
{
    struct ipcl_error error;
    if (job->noted && supervisor_note(job, &error) < 0)
        log_warn("%s", error.text);
}

void supervisor_save(struct supervisor *supervisor, const char *phase)
{
    struct ipcl_error error;
    if (phase != supervisor->state.phase)
        snprintf(supervisor->state.phase, sizeof(supervisor->state.phase), "%s", phase);
    note_again(&supervisor->controller);
    for (struct engine_set *set = supervisor->sets; set; set = set->next)
        note_again(&set->job);
    if (state_write(&supervisor->state, &error) < 0)
        log_warn("the cluster's state was not saved, ipcluster stop may not find it: %s",
                 error.text);
    cluster_file_update(supervisor->state.profile_dir, supervisor->state.cluster_id);
}

bool supervisor_stops(const struct job *job)
{
    return job->set ? job->set->phase >= SET_ASKED : job->supervisor->phase > PHASE_UP;
}

/* Where it is told what becomes of a job. */
static struct progress *progress_of(const struct job *job)
{
    return job->set ? job->set->progress : job->supervisor->progress;
}

/* All copies of what is being stopped may have ended. */
static void go_on_stopping(struct job *job)
{
    if (job->set)
        supervisor_go_on_stopping_set(job->set);
    else
        supervisor_go_on_stopping(job->supervisor);
}

static void job_started(void *context, unsigned count)
{
    struct job *job = context;
    unsigned waiting = job->count - job->started;
    job->started += count < waiting ? count : waiting;
    if (job->set)
        job->set->phase_ms = clock_ms();
    else
        job->supervisor->phase_ms = clock_ms();
    job->answered = true;
    if (job->supervisor->adopting || job->supervisor->dry || supervisor_stops(job))
        return;
    supervisor_save(job->supervisor, job->supervisor->state.phase);
    if (job->set)
        supervisor_look_up(job->set);
}

/* An engine that was watched has told by itself how it ended, or its watcher has. */
static void tell_hub(const struct job *job, unsigned index, int status, const char *reason)
{
    char exited[48];
    snprintf(exited, sizeof(exited), "it exited with status %d", status);
    struct hub_end end = {.engine_set = job->set->saved->name,
                          .index = index == IPCL_ALL_COPIES || !job->launcher
                                       ? IPCL_ALL_COPIES
                                       : instances_number(job->launcher, index),
                          .pid = children_ending(job->supervisor->children),
                          .reason = reason ? reason : exited};
    if (reason || (end.pid && status))
        hub_watch_explain(job->supervisor->hub, &end);
}

static void job_stopped(void *context, unsigned index, unsigned count, int status,
                        const char *reason)
{
    struct job *job = context;
    struct supervisor *supervisor = job->supervisor;
    job->running -= count < job->running ? count : job->running;
    if (job->status == 0)
        job->status = status;
    if (supervisor->adopting || supervisor->dry)
        return;
    if (job->set) {
        tell_hub(job, index, status, reason);
        supervisor_note_end(job->set, index, count, status);
    }
    if (!supervisor_stops(job))
        supervisor_job_ended(supervisor, job, index, status, reason);
    else if (job->running == 0)
        go_on_stopping(job);
}

static void job_explained(void *context, unsigned index, const char *reason, bool cut_short)
{
    struct job *job = context;
    if (job->set && !job->supervisor->adopting && !job->supervisor->dry)
        hub_watch_explain(job->supervisor->hub,
                          &(struct hub_end){.engine_set = job->set->saved->name,
                                            .index = index,
                                            .reason = reason,
                                            .cut_short = cut_short});
}

static void job_waiting(void *context, unsigned count)
{
    struct job *job = context;
    job->started -= count < job->started ? count : job->started;
    if (!job->set || job->supervisor->adopting || job->supervisor->dry)
        return;
    slots_wait(&job->set->slots, count, clock_ms());
    supervisor_heal(job->supervisor);
}

static void job_resized(void *context, int change, const char *why)
{
    struct job *job = context;
    unsigned fewer = change < 0 ? (unsigned)-change : 0, more = change > 0 ? (unsigned)change : 0;
    if (why)
        progress_fail(progress_of(job), "%s: %s", job->choice.class->name, why);
    job->running += more - (fewer < job->running ? fewer : job->running);
    job->count += more - (fewer < job->count ? fewer : job->count);
    if (job->started > job->count)
        job->started = job->count;
    if (job->supervisor->dry || job->supervisor->adopting)
        return;
    if (job->set && (slots_add(&job->set->slots, more) < 0))
        log_warn("no memory for the places of %u engines", more);
    if (job->set)
        slots_drop(&job->set->slots, fewer);
    if (supervisor_stops(job))
        go_on_stopping(job);
    else if (job->set)
        supervisor_set_resized(job->set);
}

/* Between start() and its note the launcher is not asked. */
static void job_status(void *context, const char *text)
{
    struct job *job = context;
    struct supervisor *supervisor = job->supervisor;
    char status[STATE_TEXT_BYTES];
    snprintf(status, sizeof(status), "%s", text);
    bool news = strcmp(job->saved->status, status) != 0;
    job->answered = true;
    strcpy(job->saved->status, status);
    if (!supervisor->adopting && job->noted)
        supervisor_save(supervisor, supervisor->state.phase);
    if (supervisor->adopting)
        return;
    if (news && *text && !supervisor_stops(job))
        progress_say(progress_of(job), "%s: %s", job->choice.class->name, text);
    if (job->set)
        supervisor_look_up(job->set);
}

static void job_warned(void *context, const char *text)
{
    struct job *job = context;
    progress_fail(progress_of(job), "%s: %s", job->choice.class->name, text);
}

int supervisor_make(struct supervisor *supervisor, struct job *job, struct ipcl_error *error)
{
    struct launcher_host_options options = {
        .loop = &supervisor->loop,
        .children = supervisor->children,
        .settings = (job->set ? job->set->cluster : supervisor->cluster)->settings,
        .plugin = job->choice.plugin,
        .class = job->choice.class,
        .system = job->choice.system,
        .system_settings = job->choice.system_settings,
        .place = job->set ? supervisor_workplace(job->set) : NULL,
        .dry = supervisor->dry ? supervisor->progress->stream : NULL,
    };
    const struct instances_events events = {.started = job_started,
                                            .status = job_status,
                                            .stopped = job_stopped,
                                            .explained = job_explained,
                                            .waiting = job_waiting,
                                            .resized = job_resized,
                                            .warned = job_warned,
                                            .context = job};
    job->launcher = instances_create(&options, &events, error);
    return job->launcher ? 0 : -1;
}

static void signal_came(uv_signal_t *handle, int signum)
{
    struct supervisor *supervisor = handle->data;
    struct ipcl_error error;
    if (signum == SIGUSR1 || signum == SIGUSR2) {
        for (struct engine_set *set = supervisor->sets; set; set = set->next)
            if (set->job.launcher && supervisor->phase <= PHASE_UP &&
                instances_signal(set->job.launcher, signum, &error) < 0)
                log_warn("signal %d did not reach all engines: %s", signum, error.text);
        return;
    }
    /* Only who types Ctrl-C twice wants that: ipcluster stop may come while it is stopping. */
    supervisor->interrupts += signum == SIGINT;
    if (supervisor->phase > PHASE_UP) {
        if (signum == SIGINT && supervisor->interrupts > 1)
            supervisor_hurry(supervisor);
        return;
    }
    progress_say(supervisor->progress, "%s: stopping the cluster%s",
                 signum == SIGINT ? "Interrupted" : strsignal(signum),
                 signum == SIGINT ? " (once more to hurry)" : "");
    supervisor_stop(supervisor, supervisor->phase == PHASE_UP ? EXIT_FINE : EXIT_INTERRUPTED);
}

unsigned supervisor_running(const struct supervisor *supervisor)
{
    unsigned running = 0;
    for (const struct engine_set *set = supervisor->sets; set; set = set->next)
        running += set->job.running;
    return running;
}

unsigned supervisor_asked(const struct supervisor *supervisor)
{
    unsigned asked = 0;
    for (const struct engine_set *set = supervisor->sets; set; set = set->next)
        asked += set->job.count;
    return asked;
}

int supervisor_open(struct supervisor *supervisor, struct cluster *cluster,
                    struct progress *progress, struct ipcl_error *error)
{
    memset(supervisor, 0, sizeof(*supervisor));
    supervisor->cluster = cluster;
    supervisor->progress = progress;
    supervisor->controller.supervisor = supervisor;
    supervisor->controller.saved = &supervisor->state.controller;
    supervisor->controller.count = 1;
    supervisor->exit_code = EXIT_WRONG;
    /* libuv, too, ends the process where its first descriptors are not to be had. */
    const struct limits_need need = {"ipcluster", OWN_DESCRIPTORS, 0};
    if (limits_check(&need, error) < 0)
        return -1;
    if (uv_loop_init(&supervisor->loop) != 0)
        return ipcl_error_set(error, "the event loop cannot be made");
    supervisor->loop.data = supervisor;
    uv_timer_init(&supervisor->loop, &supervisor->timer);
    supervisor->timer.data = supervisor;
    uv_timer_init(&supervisor->loop, &supervisor->heal);
    supervisor->heal.data = supervisor;
    struct sigaction before;
    for (size_t i = 0; i < SIGNAL_COUNT; i++) {
        uv_signal_init(&supervisor->loop, &supervisor->signals[i]);
        supervisor->signals[i].data = supervisor;
        /* nohup(1) ignores SIGHUP for us. */
        if (signal_numbers[i] == SIGHUP && sigaction(SIGHUP, NULL, &before) == 0 &&
            before.sa_handler == SIG_IGN)
            continue;
        uv_signal_start(&supervisor->signals[i], signal_came, signal_numbers[i]);
    }
    plugin_calls_watch();
    supervisor->children = children_create(&supervisor->loop, error);
    if (!supervisor->children)
        return -1;
    const char *dir = cluster->profile.dir;
    if (connection_path(dir, cluster->cluster_id, CONNECTION_CLIENT, supervisor->client_file,
                        error) < 0)
        return -1;
    return connection_path(dir, cluster->cluster_id, CONNECTION_ENGINE, supervisor->engine_file,
                           error);
}

void supervisor_close(struct supervisor *supervisor)
{
    if (!supervisor->loop.data)
        return; /* it was never made */
    control_destroy(supervisor->control);
    hub_watch_destroy(supervisor->hub);
    while (supervisor->sets)
        supervisor_forget_set(supervisor->sets);
    instances_destroy(supervisor->controller.launcher);
    children_destroy(supervisor->children);
    uv_close((uv_handle_t *)&supervisor->timer, NULL);
    uv_close((uv_handle_t *)&supervisor->heal, NULL);
    for (size_t i = 0; i < SIGNAL_COUNT; i++)
        uv_close((uv_handle_t *)&supervisor->signals[i], NULL);
    uv_run(&supervisor->loop, UV_RUN_DEFAULT);
    uv_loop_close(&supervisor->loop);
    state_clear(&supervisor->state);
}

int supervisor_take_state(struct supervisor *supervisor, const struct state *state,
                          struct ipcl_error *error)
{
    int outcome = state_copy(&supervisor->state, state, error);
    for (struct state_set *set = supervisor->state.sets; set && outcome == 0; set = set->next)
        outcome = supervisor_add_set(supervisor, set, error) ? 0 : -1;
    supervisor->own_controller = !state->engines_only;
    return outcome;
}

int supervisor_adopt(struct supervisor *supervisor, struct job *job, struct ipcl_error *error)
{
    const struct state_job *saved = job->saved;
    enum ipcl_role role = job->set ? IPCL_ROLE_ENGINES : IPCL_ROLE_CONTROLLER;
    if (!saved->own || (!saved->outlives && !state_is_here(&supervisor->state)))
        return 0;
    supervisor->adopting = true;
    int outcome = launchers_find(supervisor->cluster->launchers, role, saved->class_name,
                                 &job->choice, error);
    if (outcome == 0)
        outcome = supervisor_make(supervisor, job, error);
    if (outcome == 0) {
        job->running = job->count = 0; /* it says how many there are */
        job->noted = instances_from_json(job->launcher, saved->own, error) == 0;
        if (!job->noted) {
            job->running = 0;
            outcome = state_process_left(saved) ? -1 : 0;
            log_debug("%s: %s", saved->class_name, error->text);
        }
    }
    supervisor->adopting = false;
    return outcome;
}

static void give_up(uv_timer_t *timer)
{
    uv_stop(timer->loop);
}

/* Whether a job still runs. What is not on this machine is asked for. */
static bool finds_job(struct supervisor *supervisor, struct job *job)
{
    struct ipcl_error error;
    if (supervisor_adopt(supervisor, job, &error) < 0)
        return true;
    supervisor->adopting = true;
    uv_timer_start(&supervisor->timer, give_up, ANSWER_MS, 0);
    while (job->running > 0 && job->saved->outlives && !job->answered &&
           uv_run(&supervisor->loop, UV_RUN_ONCE) &&
           uv_is_active((uv_handle_t *)&supervisor->timer))
        continue;
    uv_timer_stop(&supervisor->timer);
    supervisor->adopting = false;
    return job->running > 0;
}

bool supervisor_finds_jobs(struct cluster *cluster, const struct state *state)
{
    struct progress silent;
    struct supervisor supervisor;
    struct ipcl_error error;
    bool found = false;
    progress_init(&silent, stdout, stderr, false, true);
    if (!state_is_here(state) && !state_outlives(state))
        return false;
    if (supervisor_open(&supervisor, cluster, &silent, &error) == 0 &&
        supervisor_take_state(&supervisor, state, &error) == 0) {
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
        return !state_is_of_host(state)                ? "elsewhere"
               : supervisor_finds_jobs(cluster, state) ? "stale"
                                                       : "stopped";
    return supervisor_finds_jobs(cluster, state) ? "stale" : "stopped";
}
