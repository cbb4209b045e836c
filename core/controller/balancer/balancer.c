/* The load balancer's books: engines and tasks are entered, tasks are given out, and end. */
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

struct balancer *balancer_create(const struct balancer_scheme *scheme, int window,
                                 size_t finished_max)
{
    struct balancer *balancer = calloc(1, sizeof(*balancer));
    if (!balancer)
        return NULL;
    balancer->scheme = scheme;
    balancer->window = scheme->pure ? 0 : (size_t)window;
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

/* A serial that no other engine has now. The chance that an engine had it that has gone is 1 in
 * 2^31. */
static uint32_t serial_of(const struct balancer *balancer, const char *uuid)
{
    uint32_t serial = worker_usual_serial(balancer, uuid);
    while (!serial || balancer_engine_of_serial(balancer, serial))
        serial = (serial + 1) & INT32_MAX;
    return serial;
}

struct worker *balancer_add_engine(struct balancer *balancer, int id, const char *uuid)
{
    size_t length = strlen(uuid);
    struct worker *worker = calloc(1, sizeof(*worker));
    if (!worker || length >= sizeof(worker->uuid) || balancer_engine(balancer, uuid, length)) {
        free(worker);
        return NULL;
    }
    worker->id = id;
    worker->window = balancer->window;
    worker->serial = serial_of(balancer, uuid);
    memcpy(worker->uuid, uuid, length);
    worker->item.index = HEAP_OUTSIDE;
    worker->bound.before = binding_before;
    balancer_settle(balancer, worker);
    if (worker->item.index == HEAP_OUTSIDE) {
        free(worker);
        return NULL;
    }
    HASH_ADD_KEYPTR(hh, balancer->workers, worker->uuid, length, worker);
    HASH_ADD(hh_serial, balancer->by_serial, serial, sizeof(worker->serial), worker);
    binding_open_to(balancer, worker);
    return worker;
}

/* A task has one engine less that it may go to. */
static void lose_place(struct balancer *balancer, struct task *task)
{
    bool waits = task->state == TASK_WAITING && !binding_leads_somewhere(task);
    bool blocked = task->state == TASK_BLOCKED && !binding_hopes(task);
    if (!waits && !blocked)
        return;
    balancer_detach(balancer, task);
    if (blocked)
        balancer_strand(balancer, task, FATE_ALONE);
    else
        balancer_place(balancer, task, false);
}

void balancer_remove_engine(struct balancer *balancer, struct worker *worker, const char *end)
{
    if (worker->suspended)
        balancer->suspended--;
    balancer_retire(balancer, worker);
    worker->gone = true;
    worker->end = strdup(end);
    HASH_DELETE(hh_serial, balancer->by_serial, worker);
    HASH_DEL(balancer->workers, worker);
    while (worker->running) {
        struct task *lost = worker->running;
        DL_DELETE(worker->running, lost);
        balancer_strand(balancer, lost, FATE_LOST);
    }
    struct task *task;
    while ((task = binding_lose(balancer, worker)))
        lose_place(balancer, task);
    worker_release(worker);
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
        balancer_start(balancer, task, worker);
    return task;
}

/* A task that has failed becomes the newest of its client's: one that fails again and again keeps
 * no other from running. */
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

/* Tells the tasks that depend on a task how it ended. */
static void tell_dependents(struct balancer *balancer, struct task *task,
                            struct task_outcome outcome)
{
    struct task *waiter;
    enum task_fate fate;
    uint32_t ran_at;
    while ((waiter = needs_end(task, outcome, &ran_at))) {
        if (waiter->state == TASK_BLOCKED && needs_check(waiter, &fate) != NEEDS_OPEN) {
            balancer_detach(balancer, waiter);
            waiter->released = true;
            balancer_place(balancer, waiter, false);
        } else if (ran_at && (waiter->state == TASK_WAITING || waiter->state == TASK_RUNNING)) {
            /* It follows any of several tasks, and may go to one more engine now. */
            needs_allow_at(balancer, waiter, ran_at);
            if (waiter->state == TASK_WAITING)
                binding_queue(balancer, waiter);
        }
    }
}

void balancer_finish(struct balancer *balancer, struct task *task, bool success)
{
    struct task_outcome outcome = {.success = success,
                                   .ran_at = task->worker ? task->worker->serial : 0};
    forget_task(balancer, task);
    finished_add(balancer->finished, task->item.hash, outcome);
    tell_dependents(balancer, task, outcome);
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
    balancer_keep_away(balancer, task);
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
