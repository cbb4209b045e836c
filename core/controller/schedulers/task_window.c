/* The window: how many tasks an engine has at a time, where no setting says it. The task thread.
 *
 * While tasks are short an engine has the next ones at hand when it ends one: as many as it does in
 * AHEAD_NS. While they are long it has one. Tasks may turn out longer than those before them: then
 * the engine is asked to give back what it has not begun, which goes to any engine that is free. It
 * is asked when it answers a long task, and when it has answered nothing for STUCK_NS. */
#include <string.h>
#include <utlist.h>

#include "base/clock.h"
#include "controller/schedulers/task.h"

#define AHEAD_NS 5000000LL
#define STUCK_NS 20000000LL
/* Behind a task with more bytes an engine has no other. */
#define LARGE_BYTES 65536
/* The request comes from no client. */
#define SENDER "scheduler"

static bool follows(const struct scheduler *scheduler, const struct worker *worker)
{
    return scheduler->window_follows && worker->sealed;
}

void window_forget(struct scheduler *scheduler, struct worker *worker)
{
    if (worker->pace.listed)
        DL_DELETE2(scheduler->ahead, worker, pace.prev, pace.next);
    worker->pace.listed = false;
}

/* Each has the same time to make progress: so the first of the list is the first to be asked. */
static void watch(struct scheduler *scheduler, struct worker *worker, long long now_ns)
{
    window_forget(scheduler, worker);
    worker->pace.listed_ns = now_ns;
    worker->pace.listed = worker->load > 1 && !worker->pace.asked;
    if (worker->pace.listed)
        DL_APPEND2(scheduler->ahead, worker, pace.prev, pace.next);
}

void window_sent(struct scheduler *scheduler, struct worker *worker, size_t bytes)
{
    if (!follows(scheduler, worker))
        return;
    if (bytes > LARGE_BYTES)
        balancer_set_window(scheduler->balancer, worker, 1);
    if (worker->load > 2)
        return;
    long long now_ns = clock_ns();
    if (worker->load == 1)
        worker->pace.answered_ns = now_ns;
    else
        watch(scheduler, worker, now_ns);
}

/* It opens by one with each task, so that a few short ones among long ones do not open it. */
static size_t next_window(struct worker *worker, long long took_ns)
{
    if (took_ns > AHEAD_NS)
        return 1;
    if (!worker->pace.task_ns)
        worker->pace.task_ns = took_ns;
    worker->pace.task_ns += (took_ns - worker->pace.task_ns) / 8;
    size_t most = 1 + (size_t)(AHEAD_NS / (worker->pace.task_ns + 1));
    most = most < SESSION_TASKS_AT_HAND ? most : SESSION_TASKS_AT_HAND;
    return worker->window < most ? worker->window + 1 : most;
}

/* Whether tasks have turned out longer than when the engine was given what it has at hand. */
static bool has_too_many(const struct worker *worker, long long took_ns)
{
    return took_ns > AHEAD_NS || (long long)worker->load * worker->pace.task_ns > STUCK_NS;
}

/* Asks for what the engine has not begun. If that cannot be sent now, the next tick does it. */
static void ask_back(struct scheduler *scheduler, struct worker *worker, long long now_ns)
{
    struct session_parts parts = {.msg_type = "return_request"};
    struct message message;
    if (worker->load < 2 || worker->suspended)
        return;
    message_init(&message);
    worker->pace.asked =
        !message_append(&message, SENDER, strlen(SENDER)) &&
        !session_build(scheduler->sessions.engines, &message, &parts, NULL, NULL) &&
        !scheduler_send_to(scheduler, worker, &message, NULL);
    message_close(&message);
    balancer_set_window(scheduler->balancer, worker, 1);
    watch(scheduler, worker, now_ns);
}

void window_answered(struct scheduler *scheduler, struct worker *worker, bool ran)
{
    if (!follows(scheduler, worker))
        return;
    long long now_ns = clock_ns(), took_ns = now_ns - worker->pace.answered_ns;
    /* What was asked back has come before the answer of what runs, or is lost with a connection. */
    if (ran || worker->load < 2)
        worker->pace.asked = false;
    if (ran) {
        worker->pace.answered_ns = now_ns;
        balancer_set_window(scheduler->balancer, worker, next_window(worker, took_ns));
    }
    watch(scheduler, worker, now_ns);
    if (ran && has_too_many(worker, took_ns))
        ask_back(scheduler, worker, now_ns);
}

long long window_tick(struct scheduler *scheduler, long long now_ms)
{
    struct worker *worker;
    long long now_ns = scheduler->ahead ? clock_ns() : 0;
    while ((worker = scheduler->ahead)) {
        long long left_ns = worker->pace.listed_ns + STUCK_NS - now_ns;
        if (worker->load > 1 && left_ns > 0)
            return now_ms + left_ns / 1000000 + 1;
        watch(scheduler, worker, now_ns);
        ask_back(scheduler, worker, now_ns);
    }
    return CLOCK_NEVER;
}
