/* The load balancer's books: where each task stands. */
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "base/clock.h"
#include "base/container.h"
#include "base/random.h"
#include "controller/balancer/balancer_private.h"

static struct task *task_of(struct table_item *item)
{
    return container_of(item, struct task, item);
}

static const void *key_of(const struct table_item *item, size_t *size)
{
    const struct task *task = container_of_const(item, struct task, item);
    *size = task->msg_id_size;
    return task->msg_id;
}

static bool earlier(const struct heap_item *a, const struct heap_item *b)
{
    return ((const struct task *)a)->deadline_ms < ((const struct task *)b)->deadline_ms;
}

struct balancer *balancer_create(const struct balancer_scheme *scheme, int high_water,
                                 size_t finished_max)
{
    struct balancer *balancer = calloc(1, sizeof(*balancer));
    if (!balancer)
        return NULL;
    balancer->scheme = scheme;
    balancer->high_water = scheme->pure ? 0 : (size_t)high_water;
    balancer->takers.before = scheme->before;
    balancer->takers.weight = scheme->weight;
    balancer->deadlines.before = earlier;
    balancer->waiting.before = share_before;
    random_bytes(&balancer->random, sizeof(balancer->random));
    balancer->random |= 1;
    balancer->finished = finished_create(finished_max);
    if (table_init(&balancer->tasks, key_of) || !balancer->finished) {
        balancer_destroy(balancer, NULL);
        return NULL;
    }
    return balancer;
}

void balancer_destroy(struct balancer *balancer, void (*release)(struct task *task))
{
    if (!balancer)
        return;
    struct table_item *item;
    size_t from = 0;
    while (balancer->tasks.count && (item = table_take(&balancer->tasks, &from))) {
        struct task *task = task_of(item);
        balancer_detach(balancer, task);
        binding_drop_all(balancer, task);
        needs_destroy(task);
        needs_forget(task);
        share_leave(balancer, task);
        release(task);
    }
    workers_release(balancer);
    heap_release(&balancer->waiting);
    heap_release(&balancer->takers);
    heap_release(&balancer->deadlines);
    table_release(&balancer->tasks);
    finished_destroy(balancer->finished);
    free(balancer);
}

/* Without memory for its deadline a task waits for ever, which is better than not at all. */
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

static void start_task(struct balancer *balancer, struct task *task, struct worker *worker)
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

size_t balancer_count(const struct balancer *balancer)
{
    return balancer->tasks.count;
}

size_t balancer_in_state(const struct balancer *balancer, enum task_state state)
{
    return balancer->in_state[state];
}

size_t balancer_waiting(const struct balancer *balancer)
{
    return balancer->open;
}

struct task *balancer_task(const struct balancer *balancer, const char *msg_id, size_t size)
{
    uint64_t hash = table_hash(&balancer->tasks, msg_id, size);
    struct table_item *item = table_find(&balancer->tasks, hash, msg_id, size);
    return item ? task_of(item) : NULL;
}

/* Takes a task out of all that it is entered in. */
static void forget_task(struct balancer *balancer, struct task *task)
{
    balancer_detach(balancer, task);
    binding_drop_all(balancer, task);
    needs_destroy(task);
    share_leave(balancer, task);
    table_remove(&balancer->tasks, &task->item);
}

static int enter_task(struct balancer *balancer, struct task *task)
{
    if (share_join(balancer, task))
        return -1;
    task->deadline_item.index = HEAP_OUTSIDE;
    task->item.hash = table_hash(&balancer->tasks, task->msg_id, task->msg_id_size);
    table_add(&balancer->tasks, &task->item);
    return 0;
}

enum submission balancer_submit(struct balancer *balancer, struct task *task,
                                struct worker *const *targets, size_t target_count,
                                const struct dependency *after, const struct dependency *follow,
                                const char **unknown)
{
    enum submission status = SUBMISSION_DONE;
    if (enter_task(balancer, task))
        return SUBMISSION_NO_MEMORY;
    bool follows = follow && follow->count;
    for (size_t i = 0; i < target_count && status == SUBMISSION_DONE; i++)
        if (binding_add(task, targets[i], !follows))
            status = SUBMISSION_NO_MEMORY;
    task->targeted = target_count > 0;
    if (status == SUBMISSION_DONE && (follows || (after && after->count)))
        status = needs_create(balancer, task, after, follow, unknown);
    if (status == SUBMISSION_DONE)
        balancer_place(balancer, task, false);
    else
        forget_task(balancer, task);
    return status;
}

void balancer_note_failure(struct balancer *balancer, const char *msg_id, size_t size)
{
    finished_add(balancer->finished, table_hash(&balancer->tasks, msg_id, size),
                 (struct task_outcome){.success = false});
}

struct task *balancer_next(struct balancer *balancer)
{
    struct task *task = balancer->takers.count ? share_first(balancer) : NULL;
    struct worker *worker = task ? balancer->scheme->choose(balancer) : balancer->ready;
    struct task *bound = worker && worker->ready ? binding_first(worker) : NULL;
    if (bound && (!task || share_is_earlier(bound, task))) {
        task = bound;
        worker = binding_choose(balancer, task);
    }
    if (task)
        start_task(balancer, task, worker);
    return task;
}

void balancer_put_back(struct balancer *balancer, struct task *task)
{
    balancer_suspend(balancer, task->worker);
    stop_running(balancer, task);
    share_take_back(balancer, task->share);
    enqueue_task(balancer, task, true);
}

/* What failed is the newest then: a task that fails again and again keeps none of its client's from
 * running. */
int balancer_retry(struct balancer *balancer, struct task *task, bool elsewhere, bool failed)
{
    const struct worker *avoided = task->worker;
    balancer_detach(balancer, task);
    task->worker = NULL;
    if (elsewhere && binding_avoid(balancer, task, avoided)) {
        balancer_strand(balancer, task, FATE_ALONE);
        return -1;
    }
    if (failed)
        share_fall_behind(balancer, task);
    return balancer_place(balancer, task, !failed);
}

void balancer_give_up(struct balancer *balancer, struct task *task)
{
    balancer_detach(balancer, task);
    balancer_strand(balancer, task, FATE_UNWANTED);
}

struct task *balancer_stranded(const struct balancer *balancer)
{
    return balancer->stranded;
}

void balancer_finish(struct balancer *balancer, struct task *task, bool success)
{
    struct task_outcome outcome = {.success = success,
                                   .ran_at = task->worker ? task->worker->serial : 0};
    forget_task(balancer, task);
    finished_add(balancer->finished, task->item.hash, outcome);
    needs_tell(balancer, task, outcome);
}

bool balancer_finish_foreign(struct balancer *balancer, const char *msg_id, size_t size,
                             const char *engine, bool success)
{
    const struct worker *worker = balancer_engine(balancer, engine, strlen(engine));
    uint64_t hash = table_hash(&balancer->tasks, msg_id, size);
    struct task_outcome outcome = {.success = success};
    bool known;
    if (balancer_task(balancer, msg_id, size) || balancer_has_ended(balancer, msg_id, size, &known))
        return false;
    if (*engine)
        outcome.ran_at = worker ? worker->serial : worker_usual_serial(balancer, engine);
    finished_add(balancer->finished, hash, outcome);
    return true;
}

bool balancer_has_ended(const struct balancer *balancer, const char *msg_id, size_t size,
                        bool *success)
{
    struct task_outcome outcome = {.success = false};
    bool ended =
        finished_find(balancer->finished, table_hash(&balancer->tasks, msg_id, size), &outcome);
    *success = outcome.success;
    return ended;
}

int balancer_expect(struct balancer *balancer, struct task *task)
{
    if (enter_task(balancer, task))
        return -1;
    change_state(balancer, task, TASK_AWAY);
    DL_APPEND(balancer->away, task);
    return 0;
}

int balancer_adopt(struct balancer *balancer, struct task *task, struct worker *const *targets,
                   size_t target_count)
{
    for (size_t i = 0; i < target_count; i++) {
        if (!binding_add(task, targets[i], true))
            continue;
        binding_drop_all(balancer, task);
        return -1;
    }
    task->targeted = target_count > 0;
    balancer_detach(balancer, task);
    return 0;
}

struct task *balancer_away(const struct balancer *balancer)
{
    return balancer->away;
}

struct task *balancer_late(const struct balancer *balancer, long long now_ms)
{
    struct task *task =
        balancer->deadlines.count ? (struct task *)balancer->deadlines.items[0] : NULL;
    return task && task->deadline_ms <= now_ms ? task : NULL;
}

long long balancer_deadline(const struct balancer *balancer)
{
    return balancer->deadlines.count ? ((struct task *)balancer->deadlines.items[0])->deadline_ms
                                     : CLOCK_NEVER;
}
