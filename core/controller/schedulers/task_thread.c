/* The task thread: its sockets, to clients and engines (ROUTER), from the hub (PULL) and to it
 * (PUSH), and what it does by the clock. What happens to a task is in task.c. */
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "controller/door/gate.h"
#include "controller/schedulers/task.h"

/* The hub is told how many tasks wait at most this often. */
#define WAITING_MS 100
/* The most that is answered in an engine's place before the sockets get their turn. */
#define BATCH 256

/* Answers tasks that waited too long, and those that can run nowhere. Returns whether there may be
 * more. */
static bool task_settle(struct scheduler *scheduler, long long now_ms)
{
    struct task *task;
    size_t count = 0;
    while (count++ < BATCH && (task = balancer_late(scheduler->balancer, now_ms)))
        scheduler_fail(scheduler, task, "TaskTimeout",
                       "the task waited longer than its timeout allows");
    while (count++ < BATCH && (task = balancer_stranded(scheduler->balancer)))
        scheduler_settle(scheduler, task);
    return count > BATCH;
}

/* Tells the hub how many tasks wait, after a change and not too often. Returns when to be called
 * again, or CLOCK_NEVER. */
static long long tell_waiting(struct scheduler *scheduler, long long now_ms)
{
    size_t waiting = balancer_waiting(scheduler->balancer);
    if (waiting == scheduler->waiting_told)
        return CLOCK_NEVER;
    if (now_ms < scheduler->waiting_ms)
        return scheduler->waiting_ms;
    report_waiting(&scheduler->report, waiting);
    scheduler->waiting_told = waiting;
    scheduler->waiting_ms = now_ms + WAITING_MS;
    return CLOCK_NEVER;
}

static void count_tasks(const struct scheduler *scheduler)
{
    counter_set(&stats.tasks_waiting, balancer_in_state(scheduler->balancer, TASK_WAITING));
    counter_set(&stats.tasks_blocked, balancer_in_state(scheduler->balancer, TASK_BLOCKED));
    counter_set(&stats.tasks_running, balancer_in_state(scheduler->balancer, TASK_RUNNING));
    counter_set(&stats.tasks_held_bytes, held_bytes());
}

static long long task_on_tick(void *self, long long now_ms)
{
    struct scheduler *scheduler = self;
    const struct task_hooks *hooks = scheduler->hooks;
    long long due = leaving_tick(scheduler, now_ms);
    due = clock_sooner(due, guests_tick(scheduler, now_ms));
    bool more = task_settle(scheduler, now_ms);
    if (hooks)
        due = clock_sooner(due, hooks->tick(scheduler, now_ms));
    envelopes_close(&scheduler->to_engines); /* before anything is sent to an engine alone again */
    if (balancer_suspended(scheduler->balancer) && now_ms >= scheduler->next_try_ms)
        balancer_resume(scheduler->balancer);
    scheduler_dispatch(scheduler);
    due = clock_sooner(due, window_tick(scheduler, now_ms));
    envelopes_close(&scheduler->to_engines);
    due = clock_sooner(due, tell_waiting(scheduler, now_ms));
    count_tasks(scheduler);
    report_flush(&scheduler->report);
    due = clock_sooner(due, replies_tick(&scheduler->replies, now_ms));
    if (more || scheduler->more)
        return now_ms;
    due = clock_sooner(due, balancer_deadline(scheduler->balancer));
    due =
        clock_sooner(due, trim_tick(&scheduler->trim, balancer_count(scheduler->balancer), now_ms));
    return balancer_suspended(scheduler->balancer) ? clock_sooner(due, scheduler->next_try_ms)
                                                   : due;
}

static struct loop *task_loop(void *self)
{
    return ((struct scheduler *)self)->loop;
}

static void task_destroy(void *self)
{
    struct scheduler *scheduler = self;
    if (!scheduler)
        return;
    refusal_summary(&scheduler->bad_task);
    refusal_summary(&scheduler->bad_reply);
    replies_release(&scheduler->replies);
    if (scheduler->hooks)
        scheduler->hooks->release(scheduler);
    leaving_release(scheduler);
    loop_destroy(scheduler->loop);
    if (scheduler->losses > 0)
        close(scheduler->losses);
    balancer_destroy(scheduler->balancer, scheduler_free);
    guests_release(scheduler);
    routes_release(&scheduler->routes);
    held_pool_destroy(scheduler->pool);
    task_metadata_release(&scheduler->reader);
    sessions_destroy(&scheduler->sessions);
    report_release(&scheduler->report);
    message_close(&scheduler->outgoing);
    envelopes_release(&scheduler->to_engines);
    free(scheduler);
}

static int task_open_sockets(struct scheduler *scheduler, struct controller *controller,
                             struct ipcl_error *error)
{
    scheduler->notices = channel_bind(controller, CHANNEL_TASK, error);
    if (loop_add_ready(scheduler->loop, scheduler->notices, scheduler_read_notices, scheduler))
        return -1;
    scheduler->losses = gate_watch_losses(error);
    if (loop_add_fd(scheduler->loop, scheduler->losses, scheduler_hear_losses, scheduler))
        return -1;
    scheduler->engines =
        controller_listen_mandatory(controller, "task_out", &controller->engines.task, error);
    if (loop_add_open(scheduler->loop, scheduler->engines, scheduler_from_engine, scheduler))
        return -1;
    stats_watch(STATS_TASK_ENGINES, scheduler->loop, scheduler->engines,
                &scheduler->sessions.engine_seal);
    scheduler->clients = controller_listen(controller, CONNECTION_CLIENT, ZMQ_ROUTER, "task_in",
                                           &controller->clients.task, error);
    /* The hub is a client, too: it submits tasks again. */
    char url[CHANNEL_URL_BYTES];
    channel_url(CHANNEL_TASKS, url);
    if (scheduler->clients && socket_bind(scheduler->clients, url, error)) {
        zmq_close(scheduler->clients);
        return -1;
    }
    if (loop_add_open(scheduler->loop, scheduler->clients, scheduler_from_client, scheduler))
        return -1;
    stats_watch(STATS_TASK_CLIENTS, scheduler->loop, scheduler->clients,
                &scheduler->sessions.client_seal);
    if (scheduler->hooks && scheduler->hooks->open(scheduler, controller, error))
        return -1;
    if (replies_prepare(&scheduler->replies, controller, &scheduler->sessions.client_seal,
                        scheduler->clients, STATS_TASK_CLIENTS, error))
        return -1;
    replies_await_clients(&scheduler->replies, controller);
    replies_collect(&scheduler->replies);
    scheduler->report.socket = channel_connect(controller, CHANNEL_HUB, error);
    return loop_keep(scheduler->loop, scheduler->report.socket);
}

static void *task_create(struct controller *controller, struct ipcl_error *error)
{
    struct scheduler *scheduler = controller_allocate(sizeof(*scheduler), error);
    if (!scheduler)
        return NULL;
    message_init(&scheduler->outgoing);
    scheduler->bad_task.socket = STATS_TASK_CLIENTS;
    scheduler->bad_reply.socket = STATS_TASK_ENGINES;
    scheduler->report.recording = controller->store != NULL;
    scheduler->hooks = controller->task_hooks;
    scheduler->handouts = controller->handouts;
    scheduler->scheme = controller->scheme;
    scheduler->deaths_max = controller->deaths_max;
    scheduler->guests.grace_ms = controller->client_grace_ms;
    scheduler->window_follows = controller->window < 0 && !controller->scheme->pure;
    scheduler->balancer =
        balancer_create(controller->scheme, controller->window < 0 ? 1 : controller->window,
                        controller->finished_max);
    scheduler->pool = held_pool_create();
    scheduler->loop = loop_create("task", error);
    if (!scheduler->balancer || !scheduler->pool)
        ipcl_error_set(error, "out of memory: TaskScheduler.finished_max may be too large");
    if (!scheduler->balancer || !scheduler->pool || !scheduler->loop ||
        controller_sessions(controller, SEAL_TASK, &scheduler->sessions, error) ||
        task_metadata_prepare(&scheduler->reader, controller->serial, error) ||
        task_open_sockets(scheduler, controller, error)) {
        task_destroy(scheduler);
        return NULL;
    }
    scheduler_prepare_sending(scheduler, controller->frame_bytes_max);
    loop_set_tick(scheduler->loop, task_on_tick, scheduler);
    return scheduler;
}

const struct module task_module = {"task", task_create, task_loop, task_destroy};
