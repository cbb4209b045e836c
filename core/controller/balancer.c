/* The load balancer's books. */
#include "controller/balancer.h"

#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "base/random.h"

/* One engine that a bound task may go to: it stands in that engine's queue while the task waits,
 * and among its claims while it runs, so that an engine that goes finds every task that names it.
 */
struct slot {
    struct task *task;
    struct worker *worker; /* NULL: the engine has gone */
    struct slot *prev, *next;
};

struct balancer {
    enum balancer_scheme scheme;
    size_t high_water; /* 0: no limit */
    struct worker *workers;
    struct heap takers; /* engines that take tasks */
    struct worker *ready;
    size_t suspended;
    struct task *tasks;
    struct task *common; /* the queue of tasks that may run anywhere */
    struct task *open;
    struct task *stranded;
    struct heap deadlines;
    unsigned long long clock;
    uint64_t random;
};

int balancer_scheme_of(const char *name, enum balancer_scheme *scheme)
{
    static const char *const names[] = {
        [BALANCER_LEASTLOAD] = "leastload",     [BALANCER_LRU] = "lru",
        [BALANCER_PLAINRANDOM] = "plainrandom", [BALANCER_TWOBIN] = "twobin",
        [BALANCER_WEIGHTED] = "weighted",
    };
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
        if (!strcmp(name, names[i])) {
            *scheme = (enum balancer_scheme)i;
            return 0;
        }
    }
    return -1;
}

static const struct worker *worker_of(const struct heap_item *item)
{
    return (const struct worker *)item;
}

static bool less_loaded(const struct heap_item *a, const struct heap_item *b)
{
    if (worker_of(a)->load != worker_of(b)->load)
        return worker_of(a)->load < worker_of(b)->load;
    return worker_of(a)->used < worker_of(b)->used;
}

static bool longer_unused(const struct heap_item *a, const struct heap_item *b)
{
    return worker_of(a)->used < worker_of(b)->used;
}

static bool earlier(const struct heap_item *a, const struct heap_item *b)
{
    return ((const struct task *)a)->deadline_ms < ((const struct task *)b)->deadline_ms;
}

struct balancer *balancer_create(enum balancer_scheme scheme, int high_water)
{
    struct balancer *balancer = calloc(1, sizeof(*balancer));
    if (!balancer)
        return NULL;
    balancer->scheme = scheme;
    balancer->high_water = (size_t)high_water;
    balancer->takers.before =
        scheme == BALANCER_LEASTLOAD || scheme == BALANCER_WEIGHTED ? less_loaded : longer_unused;
    balancer->deadlines.before = earlier;
    random_bytes(&balancer->random, sizeof(balancer->random));
    balancer->random |= 1;
    return balancer;
}

void balancer_destroy(struct balancer *balancer, void (*release)(struct task *task))
{
    if (!balancer)
        return;
    struct task *task, *next_task;
    HASH_ITER (hh, balancer->tasks, task, next_task) {
        HASH_DEL(balancer->tasks, task);
        free(task->slots);
        release(task);
    }
    struct worker *worker, *next_worker;
    HASH_ITER (hh, balancer->workers, worker, next_worker) {
        HASH_DEL(balancer->workers, worker);
        free(worker);
    }
    heap_release(&balancer->takers);
    heap_release(&balancer->deadlines);
    free(balancer);
}

/* Puts an engine where it belongs after its load, its suspension or its queue has changed. Returns
 * 0 or -1 (memory is short: then it takes no tasks until its next change). */
static int settle(struct balancer *balancer, struct worker *worker)
{
    bool takes =
        !worker->suspended && (!balancer->high_water || worker->load < balancer->high_water);
    int status = 0;
    if (!takes)
        heap_remove(&balancer->takers, &worker->item);
    else if (worker->item.index == HEAP_OUTSIDE)
        status = heap_push(&balancer->takers, &worker->item);
    else
        heap_update(&balancer->takers, &worker->item);
    bool ready = worker->item.index != HEAP_OUTSIDE && worker->bound;
    if (ready && !worker->ready)
        DL_APPEND2(balancer->ready, worker, ready_prev, ready_next);
    else if (!ready && worker->ready)
        DL_DELETE2(balancer->ready, worker, ready_prev, ready_next);
    worker->ready = ready;
    return status;
}

/* Puts a bound task's slots in the queues of their engines, or takes them out and keeps them as
 * claims. */
static void queue_slots(struct balancer *balancer, struct task *task, bool first)
{
    for (size_t i = 0; i < task->slot_count; i++) {
        struct slot *slot = &task->slots[i];
        if (!slot->worker)
            continue;
        DL_DELETE(slot->worker->claims, slot);
        if (first)
            DL_PREPEND(slot->worker->bound, slot);
        else
            DL_APPEND(slot->worker->bound, slot);
        settle(balancer, slot->worker);
    }
}

static void claim_slots(struct balancer *balancer, struct task *task)
{
    for (size_t i = 0; i < task->slot_count; i++) {
        struct slot *slot = &task->slots[i];
        if (!slot->worker)
            continue;
        DL_DELETE(slot->worker->bound, slot);
        DL_APPEND(slot->worker->claims, slot);
        settle(balancer, slot->worker);
    }
}

/* Makes the claims of a task that is neither waiting nor has slots. Returns 0 or -1. */
static int make_slots(struct task *task, struct worker *const *targets, size_t count)
{
    task->slots = count ? calloc(count, sizeof(*task->slots)) : NULL;
    if (count && !task->slots)
        return -1;
    task->slot_count = count;
    for (size_t i = 0; i < count; i++) {
        task->slots[i] = (struct slot){.task = task, .worker = targets[i]};
        DL_APPEND(targets[i]->claims, &task->slots[i]);
    }
    return 0;
}

/* Drops the slots of a task that does not wait. */
static void drop_slots(struct task *task)
{
    for (size_t i = 0; i < task->slot_count; i++)
        if (task->slots[i].worker)
            DL_DELETE(task->slots[i].worker->claims, &task->slots[i]);
    free(task->slots);
    task->slots = NULL;
    task->slot_count = 0;
}

static bool bound(const struct task *task)
{
    return task->slot_count || task->open;
}

static void enqueue(struct balancer *balancer, struct task *task, bool first)
{
    task->state = TASK_WAITING;
    task->worker = NULL;
    task->lost = false;
    if (bound(task))
        queue_slots(balancer, task, first);
    else if (first)
        DL_PREPEND(balancer->common, task);
    else
        DL_APPEND(balancer->common, task);
    if (task->open)
        DL_APPEND2(balancer->open, task, open_prev, open_next);
    /* Without memory for its deadline a task waits for ever, which is better than not at all. */
    if (task->deadline_ms)
        heap_push(&balancer->deadlines, &task->deadline_item);
}

static void stop_waiting(struct balancer *balancer, struct task *task)
{
    if (bound(task))
        claim_slots(balancer, task);
    else
        DL_DELETE(balancer->common, task);
    if (task->open)
        DL_DELETE2(balancer->open, task, open_prev, open_next);
    heap_remove(&balancer->deadlines, &task->deadline_item);
}

static void start(struct balancer *balancer, struct task *task, struct worker *worker)
{
    stop_waiting(balancer, task);
    task->state = TASK_RUNNING;
    task->worker = worker;
    DL_APPEND(worker->running, task);
    worker->load++;
    worker->used = ++balancer->clock;
    settle(balancer, worker);
}

static void stop_running(struct balancer *balancer, struct task *task)
{
    DL_DELETE(task->worker->running, task);
    task->worker->load--;
    settle(balancer, task->worker);
    task->worker = NULL;
}

static void strand(struct balancer *balancer, struct task *task, bool lost)
{
    task->state = TASK_STRANDED;
    task->lost = lost;
    DL_APPEND(balancer->stranded, task);
}

/* Takes a task out of whatever it is in. */
static void detach(struct balancer *balancer, struct task *task)
{
    if (task->state == TASK_WAITING)
        stop_waiting(balancer, task);
    else if (task->state == TASK_RUNNING)
        stop_running(balancer, task);
    else if (task->state == TASK_STRANDED)
        DL_DELETE(balancer->stranded, task);
}

/* A task that waits for any engine but some may go to the new one. */
static void open_to(struct balancer *balancer, struct worker *worker)
{
    struct task *task, *next;
    DL_FOREACH_SAFE2 (balancer->open, task, next, open_next) {
        struct worker **targets = malloc((task->slot_count + 1) * sizeof(struct worker *));
        size_t count = 0;
        if (!targets)
            return;
        for (size_t i = 0; i < task->slot_count; i++)
            if (task->slots[i].worker)
                targets[count++] = task->slots[i].worker;
        targets[count++] = worker;
        claim_slots(balancer, task);
        drop_slots(task);
        if (!make_slots(task, targets, count))
            queue_slots(balancer, task, true);
        free(targets);
    }
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
    memcpy(worker->uuid, uuid, length);
    worker->item.index = HEAP_OUTSIDE;
    HASH_ADD_KEYPTR(hh, balancer->workers, worker->uuid, length, worker);
    if (settle(balancer, worker)) {
        HASH_DEL(balancer->workers, worker);
        free(worker);
        return NULL;
    }
    open_to(balancer, worker);
    return worker;
}

struct worker *balancer_engine(const struct balancer *balancer, const char *uuid, size_t size)
{
    struct worker *worker;
    HASH_FIND(hh, balancer->workers, uuid, size, worker);
    return worker;
}

static bool has_engines(const struct task *task)
{
    for (size_t i = 0; i < task->slot_count; i++)
        if (task->slots[i].worker)
            return true;
    return false;
}

void balancer_remove_engine(struct balancer *balancer, struct worker *worker)
{
    struct slot *slot, *next_slot;
    DL_FOREACH_SAFE (worker->claims, slot, next_slot)
        slot->worker = NULL;
    worker->claims = NULL;
    while (worker->running) {
        struct task *task = worker->running;
        stop_running(balancer, task);
        strand(balancer, task, true);
    }
    DL_FOREACH_SAFE (worker->bound, slot, next_slot) {
        DL_DELETE(worker->bound, slot);
        slot->worker = NULL;
        if (!has_engines(slot->task) && !slot->task->open) {
            stop_waiting(balancer, slot->task);
            strand(balancer, slot->task, false);
        }
    }
    if (worker->suspended)
        balancer->suspended--;
    worker->suspended = true; /* settles it out of the heap and the list */
    settle(balancer, worker);
    HASH_DEL(balancer->workers, worker);
    free(worker);
}

void balancer_suspend(struct balancer *balancer, struct worker *worker)
{
    if (!worker->suspended)
        balancer->suspended++;
    worker->suspended = true;
    settle(balancer, worker);
}

void balancer_resume(struct balancer *balancer)
{
    if (!balancer->suspended)
        return;
    for (struct worker *worker = balancer->workers; worker; worker = worker->hh.next) {
        worker->suspended = false;
        settle(balancer, worker);
    }
    balancer->suspended = 0;
}

bool balancer_suspended(const struct balancer *balancer)
{
    return balancer->suspended != 0;
}

struct task *balancer_task(const struct balancer *balancer, const char *msg_id, size_t size)
{
    struct task *task;
    HASH_FIND(hh, balancer->tasks, msg_id, size, task);
    return task;
}

int balancer_submit(struct balancer *balancer, struct task *task, struct worker *const *targets,
                    size_t target_count)
{
    task->deadline_item.index = HEAP_OUTSIDE;
    if (make_slots(task, targets, target_count))
        return -1;
    task->order = ++balancer->clock;
    HASH_ADD_KEYPTR(hh, balancer->tasks, task->msg_id, task->msg_id_size, task);
    enqueue(balancer, task, false);
    return 0;
}

static uint64_t draw(struct balancer *balancer)
{
    /* Marsaglia's xorshift64: any even spread will do here. */
    balancer->random ^= balancer->random << 13;
    balancer->random ^= balancer->random >> 7;
    balancer->random ^= balancer->random << 17;
    return balancer->random;
}

static struct worker *taker(const struct balancer *balancer, size_t index)
{
    return (struct worker *)balancer->takers.items[index];
}

static double weight_of(const struct worker *worker)
{
    return 1.0 / (1e-6 + (double)worker->load);
}

/* One engine, drawn with the inverse of its load as its weight. The one step here that looks at
 * every engine. */
static struct worker *draw_weighted(struct balancer *balancer)
{
    double sum = 0;
    for (size_t i = 0; i < balancer->takers.count; i++)
        sum += weight_of(taker(balancer, i));
    double left = sum * ((double)(draw(balancer) >> 11) / (double)(1ULL << 53));
    size_t index = 0;
    while (index + 1 < balancer->takers.count && (left -= weight_of(taker(balancer, index))) > 0)
        index++;
    return taker(balancer, index);
}

static struct worker *choose(struct balancer *balancer)
{
    struct worker *one, *other;
    switch (balancer->scheme) {
    case BALANCER_PLAINRANDOM:
        return taker(balancer, draw(balancer) % balancer->takers.count);
    case BALANCER_TWOBIN:
        one = taker(balancer, draw(balancer) % balancer->takers.count);
        other = taker(balancer, draw(balancer) % balancer->takers.count);
        return longer_unused(&one->item, &other->item) ? one : other;
    case BALANCER_WEIGHTED:
        one = draw_weighted(balancer);
        other = draw_weighted(balancer);
        return less_loaded(&one->item, &other->item) ? one : other;
    default:
        return taker(balancer, 0);
    }
}

/* Of the engines that a bound task may go to, the best that takes tasks now. */
static struct worker *choose_bound(const struct balancer *balancer, const struct task *task)
{
    struct worker *best = NULL;
    for (size_t i = 0; i < task->slot_count; i++) {
        struct worker *worker = task->slots[i].worker;
        if (worker && worker->item.index != HEAP_OUTSIDE &&
            (!best || balancer->takers.before(&worker->item, &best->item)))
            best = worker;
    }
    return best;
}

struct task *balancer_next(struct balancer *balancer)
{
    struct task *common = balancer->takers.count ? balancer->common : NULL;
    struct task *task = balancer->ready ? balancer->ready->bound->task : NULL;
    if (common && (!task || common->order < task->order)) {
        start(balancer, common, choose(balancer));
        return common;
    }
    if (task)
        start(balancer, task, choose_bound(balancer, task));
    return task;
}

void balancer_put_back(struct balancer *balancer, struct task *task)
{
    struct worker *worker = task->worker;
    stop_running(balancer, task);
    balancer_suspend(balancer, worker);
    enqueue(balancer, task, true);
}

/* Binds a task that is not waiting to all engines that it may go to but `avoided`. Returns 0 or -1.
 */
static int bind_elsewhere(struct balancer *balancer, struct task *task,
                          const struct worker *avoided)
{
    bool was_bound = bound(task);
    size_t room = was_bound ? task->slot_count : HASH_COUNT(balancer->workers), count = 0;
    struct worker **targets = calloc(room + 1, sizeof(struct worker *));
    if (!targets)
        return -1;
    if (was_bound) {
        for (size_t i = 0; i < task->slot_count; i++)
            if (task->slots[i].worker && task->slots[i].worker != avoided)
                targets[count++] = task->slots[i].worker;
    } else {
        for (struct worker *worker = balancer->workers; worker; worker = worker->hh.next)
            if (worker != avoided)
                targets[count++] = worker;
        task->open = true;
    }
    drop_slots(task);
    int status = make_slots(task, targets, count);
    free(targets);
    return status || (!count && !task->open) ? -1 : 0;
}

int balancer_retry(struct balancer *balancer, struct task *task, bool elsewhere)
{
    const struct worker *avoided = task->worker;
    detach(balancer, task);
    if ((elsewhere && bind_elsewhere(balancer, task, avoided)) ||
        (task->slot_count && !task->open && !has_engines(task))) {
        strand(balancer, task, false);
        return -1;
    }
    enqueue(balancer, task, true);
    return 0;
}

struct task *balancer_stranded(const struct balancer *balancer)
{
    return balancer->stranded;
}

void balancer_remove(struct balancer *balancer, struct task *task)
{
    detach(balancer, task);
    drop_slots(task);
    HASH_DEL(balancer->tasks, task);
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
                                     : -1;
}

bool balancer_has_choice(const struct balancer *balancer, const struct task *task)
{
    if (!bound(task))
        return HASH_COUNT(balancer->workers) > 1;
    size_t count = 0;
    for (size_t i = 0; i < task->slot_count; i++)
        count += task->slots[i].worker != NULL;
    return count > 1;
}
