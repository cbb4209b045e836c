/* Engines that come and go, and what becomes of the tasks that those had which have gone. The task
 * thread.
 *
 * What an engine had begun when it died is lost, and runs again where it may be tried again. What
 * it had not begun goes back to the queue, as if it had never been given out. Engines of ours say
 * which is which: of one that dies its watcher names the task that began last, and as an engine
 * runs tasks in the order in which they come, those behind it had not begun; one that leaves
 * answers all that it has, what it has interrupted with no more than that. Of the tasks of any
 * other engine nothing is certain: they may have run.
 *
 * What was interrupted or begun waits for the notice that the engine has gone, which says why: by
 * an order, or of what its batch system or its users did, no retry is used up. */
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "base/clock.h"
#include "controller/door/gate.h"
#include "controller/schedulers/task.h"

/* How long an engine that leaves may take to answer what it has. What runs there has two seconds to
 * end, and a large result may be on its way for a while. */
#define ANSWERS_MS 5000
/* How long it takes until a connection that the gate ends has gone. Later tasks go by the next
 * connection. */
#define CLOSING_MS 1000

/* An engine that leaves, and has not answered all yet. */
struct leaving {
    struct worker *worker;
    long long until_ms;
    struct leaving *prev, *next;
    char end[]; /* the sentence that says how it ended */
};

void scheduler_hear_engines(struct scheduler *scheduler)
{
    scheduler->draining = true;
    loop_drain(scheduler->loop, scheduler->engines);
    scheduler->draining = false;
}

void scheduler_lose(struct scheduler *scheduler, struct task *task, bool blameless,
                    const char *evalue)
{
    char text[NOTICE_TEXT_BYTES];
    bool harmful = scheduler->deaths_max && task->deaths >= scheduler->deaths_max;
    if (!harmful && scheduler_retry(scheduler, task, blameless))
        return;
    snprintf(text, sizeof(text),
             "the task is not tried again, as %d %s died while they ran it "
             "(TaskScheduler.deaths_max); the last: %.*s",
             scheduler->deaths_max, scheduler->deaths_max == 1 ? "engine" : "engines",
             NOTICE_TEXT_BYTES / 2, evalue);
    scheduler_fail(scheduler, task, "EngineError", harmful && task->retries ? text : evalue);
}

void scheduler_settle(struct scheduler *scheduler, struct task *task)
{
    static const char *const texts[] = {
        [FATE_ALONE] = "all engines that the task may run on have gone",
        [FATE_IMPOSSIBLE] = "a task that this one depends on did not end as it requires",
        [FATE_APART] = "the tasks that this one follows did not all run on one engine",
    };
    if (task->fate == FATE_UNWANTED) {
        scheduler_drop(scheduler, task);
        return;
    }
    if (task->fate != FATE_LOST) {
        scheduler_fail(scheduler, task, "ImpossibleDependency", texts[task->fate]);
        return;
    }
    /* A retry takes the last task from the engine, and then the engine is freed: so the sentence is
     * copied. */
    char end[NOTICE_TEXT_BYTES];
    snprintf(end, sizeof(end), "%s", task->worker->end ? task->worker->end : "the engine died");
    scheduler_lose(scheduler, task, task->worker->blameless, end);
}

/* The tasks behind the one that began last go back to the queue, in their order. */
static void return_unbegun(struct scheduler *scheduler, struct worker *worker, const char *begun)
{
    struct task *last = balancer_task(scheduler->balancer, begun, strlen(begun)), *task;
    if (last && (last->state != TASK_RUNNING || last->worker != worker))
        last = NULL; /* it has been answered */
    while (worker->running && (task = worker->running->prev) != last)
        scheduler_give_back(scheduler, task);
}

/* Counts an engine's death for what it may have died of. */
static void count_death(const struct worker *worker, enum notice_rest rest)
{
    struct task *task;
    if (rest == REST_BEGUN && worker->running)
        worker->running->prev->deaths++;
    else
        DL_FOREACH (worker->running, task)
            task->deaths++;
}

static void worker_forget(struct scheduler *scheduler, struct worker *worker, const char *end)
{
    char uuid[ENGINE_UUID_BYTES];
    memcpy(uuid, worker->uuid, sizeof(uuid));
    window_forget(scheduler, worker);
    balancer_remove_engine(scheduler->balancer, worker, end);
    routes_forget(&scheduler->routes, uuid);
    report_forgotten(&scheduler->report, uuid);
}

/* Whether an engine still has to answer tasks. It has answered what it has interrupted. */
static bool owes_answers(const struct worker *worker)
{
    const struct task *task = worker->running;
    while (task && task->cut)
        task = task->next;
    return task;
}

/* Lets an engine that leaves answer what it has. Returns whether it has to be awaited. */
static bool await_answers(struct scheduler *scheduler, struct worker *worker, const char *end)
{
    struct leaving *leaving =
        owes_answers(worker) ? calloc(1, sizeof(*leaving) + strlen(end) + 1) : NULL;
    if (!leaving)
        return false;
    leaving->worker = worker;
    leaving->until_ms = clock_ms() + ANSWERS_MS;
    strcpy(leaving->end, end);
    DL_APPEND(scheduler->leaving, leaving);
    return true;
}

/* Takes in what an engine has answered that ends or has gone, and gives back what it has not begun.
 * NULL: the balancer does not know it. */
static struct worker *end_work(struct scheduler *scheduler, const struct notice *notice)
{
    struct worker *worker =
        balancer_engine(scheduler->balancer, notice->uuid, strlen(notice->uuid));
    if (!worker)
        return NULL;
    scheduler_hear_engines(scheduler);
    balancer_retire(scheduler->balancer, worker);
    if (notice->rest == REST_BEGUN)
        return_unbegun(scheduler, worker, notice->begun);
    return worker;
}

static void on_gone(struct scheduler *scheduler, const struct notice *notice)
{
    struct worker *worker = end_work(scheduler, notice);
    /* The engine was the previous controller's. Its answers may be on their way: it keeps its
     * route. */
    if (!worker) {
        report_forgotten(&scheduler->report, notice->uuid);
        return;
    }
    worker->blameless = notice->blameless;
    if (notice->rest == REST_ANSWERED && await_answers(scheduler, worker, notice->text))
        return;
    if (notice->rest != REST_ANSWERED && !notice->blameless)
        count_death(worker, notice->rest);
    worker_forget(scheduler, worker, notice->text);
}

static void add_engine(struct scheduler *scheduler, const struct notice *notice)
{
    struct worker *added = balancer_add_engine(scheduler->balancer, notice->id, notice->uuid);
    if (added)
        added->sealed = notice->sealed;
    if (scheduler->hooks)
        scheduler->hooks->meet(scheduler);
}

void scheduler_read_notices(void *self)
{
    struct scheduler *scheduler = self;
    struct notice notice;
    while (notice_recv(scheduler->notices, &notice)) {
        if (notice.kind == NOTICE_KNOWN || notice.kind == NOTICE_ADDED)
            routes_add(&scheduler->routes, notice.uuid, notice.route);
        if (notice.kind == NOTICE_ADDED)
            add_engine(scheduler, &notice);
        else if (notice.kind == NOTICE_ENDING)
            end_work(scheduler, &notice);
        else if (notice.kind == NOTICE_GONE)
            on_gone(scheduler, &notice);
        scheduler_dispatch(scheduler);
    }
}

/* The oldest of the tasks that an engine has. */
static struct task *oldest_at(const struct scheduler *scheduler, const struct worker *worker)
{
    struct task *task = scheduler->hooks ? scheduler->hooks->oldest_at(scheduler, worker) : NULL;
    return task ? task : worker->running;
}

/* Engines run tasks in the order in which they come. So when all earlier answers are taken in, the
 * lost answer was that to the oldest task. Its connection is being closed: what would be sent by it
 * now would be lost, too. */
void scheduler_hear_losses(void *self)
{
    struct scheduler *scheduler = self;
    struct gate_loss loss;
    while (gate_read_loss(scheduler->losses, &loss)) {
        scheduler_hear_engines(scheduler);
        const char *uuid = routes_owner(&scheduler->routes, loss.name);
        struct worker *worker =
            uuid ? balancer_engine(scheduler->balancer, uuid, strlen(uuid)) : NULL;
        struct task *task = worker ? oldest_at(scheduler, worker) : NULL;
        if (worker) {
            scheduler_rest(scheduler, CLOSING_MS);
            balancer_suspend(scheduler->balancer, worker);
        }
        if (task)
            scheduler_fail(scheduler, task, "ValueError", loss.text);
        scheduler_dispatch(scheduler);
    }
}

long long leaving_tick(struct scheduler *scheduler, long long now_ms)
{
    struct leaving *leaving, *next;
    long long due = CLOCK_NEVER;
    DL_FOREACH_SAFE (scheduler->leaving, leaving, next) {
        if (owes_answers(leaving->worker) && now_ms < leaving->until_ms) {
            due = clock_sooner(leaving->until_ms, due);
            continue;
        }
        worker_forget(scheduler, leaving->worker, leaving->end);
        DL_DELETE(scheduler->leaving, leaving);
        free(leaving);
    }
    return due;
}

void leaving_release(struct scheduler *scheduler)
{
    struct leaving *leaving, *next;
    DL_FOREACH_SAFE (scheduler->leaving, leaving, next)
        free(leaving);
}
