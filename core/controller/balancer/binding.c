/* Tasks that may go to some engines only: those that they name, those where the tasks ran that they
 * follow, or all but those that did not meet their dependencies. */
#include <stdlib.h>
#include <utlist.h>

#include "controller/balancer/balancer_private.h"

/* A client's tasks in an engine's queue. */
struct line {
    struct heap_item item;   /* in the engine's queue, while there are any */
    unsigned long long turn; /* the client's turn as the queue knows it; the true one is this or a
                              * later one */
    struct share *share;
    struct worker *worker;
    struct heap slots; /* of the tasks that wait, the oldest first */
    size_t count;      /* of all slots, also of tasks that do not wait */
    UT_hash_handle hh;
};

/* One place that a bound task may go to. It stands in that engine's queue while the task waits, and
 * among its claims otherwise, so that an engine that goes finds every task that names it. */
struct binding {
    struct heap_item item; /* in its line */
    struct task *task;
    struct worker *worker;       /* NULL: any engine that may still come */
    struct line *line;           /* the client's line at this engine */
    struct binding *prev, *next; /* among its claims */
    struct binding *sibling;     /* of the same task */
    bool allowed;                /* not held back by what the task follows */
    bool refused;                /* the task was there, and shall not go there again */
};

static bool is_older(const struct heap_item *a, const struct heap_item *b)
{
    return ((const struct binding *)a)->task->order < ((const struct binding *)b)->task->order;
}

static void line_leave(struct line *line)
{
    if (--line->count)
        return;
    HASH_DEL(line->share->lines, line);
    line->worker->lines--;
    heap_release(&line->slots);
    free(line);
}

/* Makes room in a client's line for one more. NULL if memory is short. */
static struct line *line_join(struct share *share, struct worker *worker)
{
    struct line *line;
    HASH_FIND_PTR(share->lines, &worker, line);
    if (!line && !heap_reserve(&worker->bound, worker->lines + 1) &&
        (line = calloc(1, sizeof(*line)))) {
        line->item.index = HEAP_OUTSIDE;
        line->share = share;
        line->worker = worker;
        line->slots.before = is_older;
        HASH_ADD_PTR(share->lines, worker, line);
        worker->lines++;
    }
    if (!line)
        return NULL;
    line->count++;
    if (!heap_reserve(&line->slots, line->count))
        return line;
    line_leave(line);
    return NULL;
}

static int slot_add(struct task *task, struct worker *worker, bool allowed, struct binding **head)
{
    struct binding *slot = calloc(1, sizeof(*slot));
    if (slot && worker && !(slot->line = line_join(task->share, worker))) {
        free(slot);
        slot = NULL;
    }
    if (!slot)
        return -1;
    slot->item.index = HEAP_OUTSIDE;
    slot->task = task;
    slot->worker = worker;
    slot->allowed = allowed;
    slot->sibling = task->slots;
    task->slots = slot;
    task->bound = true;
    DL_APPEND(*head, slot);
    return 0;
}

int binding_add(struct task *task, struct worker *worker, bool allowed)
{
    return slot_add(task, worker, allowed, &worker->claims);
}

/* `worker` NULL: engines that may still come. */
static struct binding *slot_find(const struct task *task, const struct worker *worker)
{
    struct binding *slot = task->slots;
    while (slot && slot->worker != worker)
        slot = slot->sibling;
    return slot;
}

void binding_allow(struct task *task, struct worker *worker)
{
    struct binding *slot = slot_find(task, worker);
    if (slot)
        slot->allowed = !slot->refused;
    else if (!task->targeted)
        binding_add(task, worker, true);
}

bool binding_before(const struct heap_item *a, const struct heap_item *b)
{
    return ((const struct line *)a)->turn < ((const struct line *)b)->turn;
}

static void claim(struct balancer *balancer, struct binding *slot)
{
    if (slot->item.index == HEAP_OUTSIDE)
        return;
    heap_remove(&slot->line->slots, &slot->item);
    if (!slot->line->slots.count)
        heap_remove(&slot->worker->bound, &slot->line->item);
    DL_APPEND(slot->worker->claims, slot);
    balancer_settle(balancer, slot->worker);
}

int binding_avoid(struct balancer *balancer, struct task *task, const struct worker *avoided)
{
    if (task->bound) {
        struct binding *slot = slot_find(task, avoided);
        if (slot) {
            slot->allowed = false;
            slot->refused = true;
        }
        return 0;
    }
    for (struct worker *worker = balancer->workers; worker; worker = worker->hh.next)
        if (worker != avoided && binding_add(task, worker, true))
            return -1;
    return slot_add(task, NULL, true, &balancer->coming);
}

void binding_open_to(struct balancer *balancer, struct worker *worker)
{
    struct binding *slot;
    DL_FOREACH (balancer->coming, slot)
        if (!binding_add(slot->task, worker, true) && slot->task->state == TASK_WAITING)
            binding_queue(balancer, slot->task);
}

static void slot_drop(struct balancer *balancer, struct binding *slot)
{
    struct binding **link = &slot->task->slots;
    while (*link != slot)
        link = &(*link)->sibling;
    *link = slot->sibling;
    claim(balancer, slot);
    if (slot->worker) {
        DL_DELETE(slot->worker->claims, slot);
        line_leave(slot->line);
    } else {
        DL_DELETE(balancer->coming, slot);
    }
    free(slot);
}

static struct binding *first_slot(const struct line *line)
{
    return (struct binding *)line->slots.items[0];
}

struct task *binding_lose(struct balancer *balancer, struct worker *worker)
{
    struct binding *slot = worker->claims;
    if (!slot && worker->bound.count)
        slot = first_slot((const struct line *)worker->bound.items[0]);
    struct task *task = slot ? slot->task : NULL;
    if (slot)
        slot_drop(balancer, slot);
    return task;
}

void binding_drop_all(struct balancer *balancer, struct task *task)
{
    while (task->slots)
        slot_drop(balancer, task->slots);
}

/* A client's turn changes with each of its tasks that starts, at any engine. The queue takes this
 * into account here, when a line would be the next. */
struct task *binding_first(struct worker *worker)
{
    struct line *line = (struct line *)worker->bound.items[0];
    for (; line->turn != line->share->turn; line = (struct line *)worker->bound.items[0]) {
        line->turn = line->share->turn;
        heap_update(&worker->bound, &line->item);
    }
    return first_slot(line)->task;
}

static void queue(struct binding *slot)
{
    struct line *line = slot->line;
    DL_DELETE(slot->worker->claims, slot);
    heap_push(&line->slots, &slot->item); /* there is room for every slot, and for every line */
    if (line->item.index != HEAP_OUTSIDE)
        return;
    line->turn = line->share->turn;
    heap_push(&slot->worker->bound, &line->item);
}

void binding_queue(struct balancer *balancer, struct task *task)
{
    for (struct binding *slot = task->slots; slot; slot = slot->sibling) {
        if (!slot->worker || !slot->allowed || slot->item.index != HEAP_OUTSIDE)
            continue;
        queue(slot);
        balancer_settle(balancer, slot->worker);
    }
}

void binding_claim(struct balancer *balancer, struct task *task)
{
    for (struct binding *slot = task->slots; slot; slot = slot->sibling)
        claim(balancer, slot);
}

bool binding_leads_somewhere(const struct task *task)
{
    const struct binding *slot = task->slots;
    while (slot && !slot->allowed)
        slot = slot->sibling;
    return slot != NULL;
}

bool binding_hopes(const struct task *task)
{
    const struct binding *slot = task->slots;
    while (slot && slot->refused)
        slot = slot->sibling;
    return slot || !task->targeted;
}

struct worker *binding_choose(const struct balancer *balancer, const struct task *task)
{
    struct worker *best = NULL;
    for (struct binding *slot = task->slots; slot; slot = slot->sibling) {
        struct worker *worker = slot->worker;
        if (worker && slot->allowed && worker->item.index != HEAP_OUTSIDE &&
            (!best || balancer->takers.before(&worker->item, &best->item)))
            best = worker;
    }
    return best;
}

bool balancer_has_choice(const struct balancer *balancer, const struct task *task)
{
    size_t count = 0;
    const struct worker *worker = task->bound ? NULL : balancer->workers;
    for (; worker && count < 2; worker = worker->hh.next)
        count += !worker->retired;
    for (const struct binding *slot = task->slots; slot && count < 2; slot = slot->sibling)
        count += slot->worker && slot->allowed;
    return count > 1;
}

bool balancer_is_open(const struct task *task)
{
    return !task->bound || slot_find(task, NULL);
}
