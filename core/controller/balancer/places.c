/* The load balancer's places: a task waits in queues or for other tasks, is at an engine or away,
 * or is stranded. */
#include <utlist.h>

#include "controller/balancer/balancer_private.h"

/* If memory is too short for its deadline, a task waits without one: that is better than not to
 * take it. */
static void watch_deadline(struct balancer *balancer, struct task *task)
{
    if (task->deadline_ms)
        heap_push(&balancer->deadlines, &task->deadline_item);
}

static void change_state(struct balancer *balancer, struct task *task, enum task_state state)
{
    balancer->in_state[task->state]--;
    balancer->in_state[state]++;
    task->state = (unsigned char)state;
}

static void enqueue_task(struct balancer *balancer, struct task *task, bool first)
{
    change_state(balancer, task, TASK_WAITING);
    task->worker = NULL;
    task->open = !task->bound || balancer_is_open(task);
    balancer->open += task->open;
    if (task->bound)
        binding_queue(balancer, task);
    else
        share_queue(balancer, task, first);
    watch_deadline(balancer, task);
}

static void block(struct balancer *balancer, struct task *task)
{
    change_state(balancer, task, TASK_BLOCKED);
    task->worker = NULL;
    watch_deadline(balancer, task);
}

void balancer_strand(struct balancer *balancer, struct task *task, enum task_fate fate)
{
    change_state(balancer, task, TASK_STRANDED);
    task->fate = (unsigned char)fate;
    DL_APPEND(balancer->stranded, task);
}

int balancer_place(struct balancer *balancer, struct task *task, bool first)
{
    enum task_fate fate = FATE_ALONE;
    enum needs_state state = task->needs ? needs_check(task, &fate) : NEEDS_MET;
    if (state == NEEDS_MET && task->needs)
        needs_allow(balancer, task);
    bool nowhere = state == NEEDS_MET && task->bound && !binding_leads_somewhere(task);
    if (nowhere)
        fate = FATE_ALONE;
    if (state == NEEDS_NEVER || (nowhere && !(needs_more_engines(task) && binding_hopes(task)))) {
        balancer_strand(balancer, task, fate);
        return -1;
    }
    if (state == NEEDS_OPEN || nowhere)
        block(balancer, task);
    else
        enqueue_task(balancer, task, first);
    return 0;
}

static void stop_waiting(struct balancer *balancer, struct task *task)
{
    balancer->open -= task->open;
    if (task->bound)
        binding_claim(balancer, task);
    else
        share_unqueue(balancer, task);
    heap_remove(&balancer->deadlines, &task->deadline_item);
}

void balancer_start(struct balancer *balancer, struct task *task, struct worker *worker)
{
    stop_waiting(balancer, task);
    change_state(balancer, task, TASK_RUNNING);
    task->worker = worker;
    DL_APPEND(worker->running, task);
    worker->load++;
    worker->used = ++balancer->clock;
    share_pass_on(balancer, task->share);
    balancer_settle(balancer, worker);
}

static void stop_running(struct balancer *balancer, struct task *task)
{
    DL_DELETE(task->worker->running, task);
    task->worker->load--;
    balancer_settle(balancer, task->worker);
    task->worker = NULL;
}

static void leave_stranded(struct balancer *balancer, struct task *task)
{
    DL_DELETE(balancer->stranded, task);
    if (task->worker) {
        task->worker->load--;
        worker_release(task->worker);
        task->worker = NULL;
    }
}

void balancer_detach(struct balancer *balancer, struct task *task)
{
    if (task->state == TASK_BLOCKED)
        heap_remove(&balancer->deadlines, &task->deadline_item);
    else if (task->state == TASK_WAITING)
        stop_waiting(balancer, task);
    else if (task->state == TASK_RUNNING)
        stop_running(balancer, task);
    else if (task->state == TASK_STRANDED)
        leave_stranded(balancer, task);
    else if (task->state == TASK_AWAY)
        DL_DELETE(balancer->away, task);
    change_state(balancer, task, TASK_NEW);
}

void balancer_keep_away(struct balancer *balancer, struct task *task)
{
    change_state(balancer, task, TASK_AWAY);
    DL_APPEND(balancer->away, task);
}

void balancer_put_back(struct balancer *balancer, struct task *task)
{
    balancer_suspend(balancer, task->worker);
    stop_running(balancer, task);
    share_take_back(balancer, task->share);
    enqueue_task(balancer, task, true);
}
