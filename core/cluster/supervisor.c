/* The supervisor's loop: its handles, launchers, signals, and saving of the state. One thread. */
#include "cluster/supervisor_internal.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "wire/connection.h"

static const int signal_numbers[SIGNAL_COUNT] = {SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGUSR2};

void supervisor_phase(struct supervisor *supervisor, enum phase phase)
{
    supervisor->phase = phase;
    supervisor->phase_ms = clock_ms();
}

void supervisor_save(struct supervisor *supervisor, const char *phase)
{
    struct state *state = &supervisor->state;
    struct ipcl_error error;
    state_clear(state);
    snprintf(state->phase, sizeof(state->phase), "%s", phase);
    if (supervisor->controller.launcher) {
        snprintf(state->controller_class, sizeof(state->controller_class), "%s",
                 supervisor->controller.choice.class->name);
        state->controller = launcher_to_json(supervisor->controller.launcher);
    }
    if (supervisor->engines.launcher) {
        snprintf(state->engine_class, sizeof(state->engine_class), "%s",
                 supervisor->engines.choice.class->name);
        state->engines = launcher_to_json(supervisor->engines.launcher);
    }
    if (state_write(state, &error) < 0)
        log_warn("the cluster's state was not saved, ipcluster stop may not find it: %s",
                 error.text);
}

static void job_started(void *context)
{
    struct job *job = context;
    job->started = true;
    job->supervisor->phase_ms = clock_ms();
    if (job->supervisor->phase < PHASE_UP)
        supervisor_save(job->supervisor, "starting");
}

static void job_stopped(void *context, unsigned index, int status, const char *reason)
{
    struct job *job = context;
    struct supervisor *supervisor = job->supervisor;
    unsigned ended = index == IPCL_ALL_COPIES ? job->running : 1;
    job->running -= ended < job->running ? ended : job->running;
    if (job->status == 0)
        job->status = status;
    if (supervisor->adopting)
        return;
    if (supervisor->phase < PHASE_ASKING_ENGINES)
        supervisor_job_ended(supervisor, job, index, status, reason);
    else if (job->running == 0)
        supervisor_stopped_job(supervisor);
}

static void job_warned(void *context, const char *text)
{
    struct job *job = context;
    progress_fail(job->supervisor->progress, "%s: %s", job->choice.class->name, text);
}

int supervisor_make(struct supervisor *supervisor, struct job *job, struct ipcl_error *error)
{
    struct launcher_host_options options = {
        .loop = &supervisor->loop,
        .children = supervisor->children,
        .settings = supervisor->cluster->settings,
        .plugin = job->choice.plugin,
        .class = job->choice.class,
        .events = {.started = job_started,
                   .stopped = job_stopped,
                   .warned = job_warned,
                   .context = job},
    };
    job->launcher = launcher_host_create(&options, error);
    return job->launcher ? 0 : -1;
}

bool supervisor_file_is_new(const char *path, const struct stat *old)
{
    struct stat now;
    return stat(path, &now) == 0 && now.st_size > 0 &&
           (now.st_ino != old->st_ino || now.st_mtim.tv_sec != old->st_mtim.tv_sec ||
            now.st_mtim.tv_nsec != old->st_mtim.tv_nsec);
}

static void signal_came(uv_signal_t *handle, int signum)
{
    struct supervisor *supervisor = handle->data;
    struct ipcl_error error;
    if (signum == SIGUSR1 || signum == SIGUSR2) {
        if (supervisor->engines.launcher && supervisor->phase <= PHASE_UP &&
            launcher_signal(supervisor->engines.launcher, signum, &error) < 0)
            log_warn("signal %d did not reach all engines: %s", signum, error.text);
        return;
    }
    bool up = supervisor->phase >= PHASE_UP;
    if (supervisor->interrupts++ == 0 && supervisor->phase <= PHASE_UP)
        progress_say(supervisor->progress, "%s: stopping the cluster%s",
                     signum == SIGINT ? "Interrupted" : strsignal(signum),
                     signum == SIGINT ? " (once more to hurry)" : "");
    supervisor_stop(supervisor, up ? EXIT_FINE : EXIT_INTERRUPTED);
}

int supervisor_open(struct supervisor *supervisor, struct cluster *cluster,
                    struct progress *progress, struct ipcl_error *error)
{
    memset(supervisor, 0, sizeof(*supervisor));
    supervisor->cluster = cluster;
    supervisor->progress = progress;
    supervisor->controller.supervisor = supervisor->engines.supervisor = supervisor;
    supervisor->exit_code = EXIT_WRONG;
    if (uv_loop_init(&supervisor->loop) != 0)
        return ipcl_error_set(error, "the event loop cannot be made");
    uv_timer_init(&supervisor->loop, &supervisor->timer);
    supervisor->timer.data = supervisor;
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
    hub_watch_destroy(supervisor->hub);
    launcher_host_destroy(supervisor->engines.launcher);
    launcher_host_destroy(supervisor->controller.launcher);
    children_destroy(supervisor->children);
    uv_close((uv_handle_t *)&supervisor->timer, NULL);
    for (size_t i = 0; i < SIGNAL_COUNT; i++)
        uv_close((uv_handle_t *)&supervisor->signals[i], NULL);
    uv_run(&supervisor->loop, UV_RUN_DEFAULT);
    uv_loop_close(&supervisor->loop);
    state_clear(&supervisor->state);
}

bool supervisor_finds_jobs(struct cluster *cluster, const struct state *state)
{
    struct progress silent;
    struct supervisor supervisor;
    struct ipcl_error error;
    bool found = false;
    progress_init(&silent, stdout, stderr, false, true);
    if (state_is_here(state) && supervisor_open(&supervisor, cluster, &silent, &error) == 0) {
        struct job *jobs[] = {&supervisor.engines, &supervisor.controller};
        const char *names[] = {state->engine_class, state->controller_class};
        const char *texts[] = {state->engines, state->controller};
        supervisor.adopting = true;
        for (size_t i = 0; i < 2 && !found; i++)
            found = texts[i] &&
                    launchers_find(cluster->launchers,
                                   i == 0 ? IPCL_ROLE_ENGINES : IPCL_ROLE_CONTROLLER, names[i],
                                   &jobs[i]->choice, &error) == 0 &&
                    supervisor_make(&supervisor, jobs[i], &error) == 0 &&
                    launcher_from_json(jobs[i]->launcher, texts[i], &error) == 0;
        supervisor_close(&supervisor);
    }
    return found;
}
