/* Tasks that go back to the queue: they have not begun, have failed, or cannot run where they were.
 * The task thread. */
#include "base/clock.h"
#include "base/trace.h"
#include "controller/schedulers/task.h"

#define FREE_CUTS 5 /* how often an interruption uses up no retry of a task */

void scheduler_start_clock(struct task *task)
{
    task->since_ns = clock_ns();
    if (task->timeout > 0)
        task->deadline_ms = clock_ms() + (long long)((double)task->timeout * 1000) + 1;
}

/* Tells the hub, the records and the next controller that no engine has the task any more. */
static void note_return(struct scheduler *scheduler, const struct task *task)
{
    trace_step(TRACE_RETURN, task->msg_id, task->msg_id_size, -1);
    const struct handout taken_back = {.retries = task->retries, .deaths = task->deaths};
    handouts_add(scheduler->handouts, task->msg_id, task->msg_id_size, &taken_back);
    if (report_add(&scheduler->report, REPORT_ASSIGNED, REPORT_TASK, -1, task->msg_id,
                   task->msg_id_size, NULL))
        handouts_doubt(scheduler->handouts);
}

void scheduler_give_back(struct scheduler *scheduler, struct task *task)
{
    if (task->unwanted) {
        scheduler_answer(scheduler, task, json_pack("{s:s}", "status", "aborted"));
        return;
    }
    counter_add(&stats.tasks_returned, 1);
    scheduler_start_clock(task);
    note_return(scheduler, task);
    balancer_retry(scheduler->balancer, task, false, false);
}

/* A task that is interrupted because its engine ends has done nothing wrong. But there is a limit:
 * a task that takes longer than every batch job it runs in would be begun for ever. */
static void use_retry(struct task *task, bool blameless)
{
    task->unwanted = false; /* it had begun when its client asked */
    if (blameless && task->cuts < FREE_CUTS)
        task->cuts++;
    else
        task->retries--;
}

bool scheduler_retry(struct scheduler *scheduler, struct task *task, bool blameless)
{
    if (task->retries <= 0)
        return false;
    use_retry(task, blameless);
    trace_step(TRACE_RETURN, task->msg_id, task->msg_id_size, -1);
    scheduler_start_clock(task);
    return !balancer_retry(scheduler->balancer, task, false, false);
}

static void unmet(struct scheduler *scheduler, struct task *task)
{
    scheduler_start_clock(task);
    note_return(scheduler, task);
    if (balancer_retry(scheduler->balancer, task, true, false))
        scheduler_fail(scheduler, task, "ImpossibleDependency",
                       "no engine that the task may run on meets its dependencies");
}

/* A task that has failed runs again at another engine, or, if there is none, at this one. With a
 * time-out it waits that long for another one to come, as with ipyparallel's scheduler. */
static void retry(struct scheduler *scheduler, struct task *task)
{
    bool waits = task->timeout > 0 && balancer_is_open(task);
    scheduler_start_clock(task);
    note_return(scheduler, task);
    balancer_retry(scheduler->balancer, task,
                   waits || balancer_has_choice(scheduler->balancer, task), true);
}

bool scheduler_try_again(struct scheduler *scheduler, struct task *task, enum task_end end)
{
    bool elsewhere = end == END_UNMET && !scheduler->scheme->pure;
    bool unbegun = end == END_UNBEGUN || end == END_RETURNED;
    if (end == END_CUT && task->state == TASK_RUNNING) {
        task->cut = true; /* what becomes of it is decided when its engine has ended */
        return true;
    }
    if (!elsewhere && !unbegun && (end == END_SUCCESS || end == END_ABORTED || task->retries <= 0))
        return false;
    if (task->state == TASK_AWAY && !scheduler->hooks->adopt(scheduler, task))
        return false;
    if (unbegun) {
        if (task->worker && end == END_UNBEGUN)
            balancer_retire(scheduler->balancer, task->worker);
        scheduler_give_back(scheduler, task);
    } else if (elsewhere) {
        unmet(scheduler, task);
    } else {
        use_retry(task, end == END_CUT);
        retry(scheduler, task);
    }
    return true;
}
