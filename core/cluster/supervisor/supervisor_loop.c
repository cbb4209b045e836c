/* The supervisor's event loop: its handles, and the signals that come. One thread. */
#include "cluster/supervisor/supervisor_private.h"

#include <signal.h>
#include <string.h>

#include "base/limits.h"
#include "base/log.h"
#include "cluster/launching/plugin_call.h"
#include "wire/connection.h"

/* For the event loop, a connection to the hub (hub_link.c), and a process that is being started. */
#define OWN_DESCRIPTORS 32

static const int signal_numbers[SIGNAL_COUNT] = {SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGUSR2};

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
    /* Only Ctrl-C typed twice asks for that: ipcluster stop may come while it is stopping. */
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

int supervisor_open(struct supervisor *supervisor, struct cluster *cluster,
                    struct progress *progress, struct ipcl_error *error)
{
    memset(supervisor, 0, sizeof(*supervisor));
    supervisor->cluster = cluster;
    supervisor->progress = progress;
    supervisor->hooks = &supervisor_hooks;
    supervisor->controller.supervisor = supervisor;
    supervisor->controller.saved = &supervisor->state.controller;
    supervisor->controller.count = 1;
    supervisor->exit_code = EXIT_WRONG;
    /* libuv ends the process if it cannot get its first descriptors. */
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
