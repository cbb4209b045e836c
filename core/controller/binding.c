/* Tasks that may go to some engines only: those that they name, those where the tasks ran that they
 * follow, or all but those that did not meet their dependencies. */
#include <stdlib.h>
#include <utlist.h>

#include "controller/balancer_internal.h"

static int add(struct task *task, struct worker *worker, bool allowed, struct slot **head)
{
    struct slot *slot = calloc(1, sizeof(*slot));
    if (!slot)
        return -1;
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
    return add(task, worker, allowed, &worker->claims);
}

int binding_add_coming(struct balancer *balancer, struct task *task)
{
    return add(task, NULL, true, &balancer->coming);
}

struct slot *binding_find(const struct task *task, const struct worker *worker)
{
    struct slot *slot = task->slots;
    while (slot && slot->worker != worker)
        slot = slot->sibling;
    return slot;
}

static void claim(struct balancer *balancer, struct slot *slot)
{
    if (!slot->queued)
        return;
    slot->queued = false;
    DL_DELETE(slot->worker->bound, slot);
    DL_APPEND(slot->worker->claims, slot);
    balancer_settle(balancer, slot->worker);
}

void binding_drop(struct balancer *balancer, struct slot *slot)
{
    struct slot **link = &slot->task->slots;
    while (*link != slot)
        link = &(*link)->sibling;
    *link = slot->sibling;
    claim(balancer, slot);
    if (slot->worker)
        DL_DELETE(slot->worker->claims, slot);
    else
        DL_DELETE(balancer->coming, slot);
    free(slot);
}

void binding_drop_all(struct balancer *balancer, struct task *task)
{
    while (task->slots)
        binding_drop(balancer, task->slots);
}

void binding_refuse(struct balancer *balancer, struct slot *slot)
{
    claim(balancer, slot);
    slot->allowed = false;
    slot->refused = true;
}

void binding_queue(struct balancer *balancer, struct task *task, bool first)
{
    for (struct slot *slot = task->slots; slot; slot = slot->sibling) {
        if (!slot->worker || !slot->allowed || slot->queued)
            continue;
        slot->queued = true;
        DL_DELETE(slot->worker->claims, slot);
        if (first)
            DL_PREPEND(slot->worker->bound, slot);
        else
            DL_APPEND(slot->worker->bound, slot);
        balancer_settle(balancer, slot->worker);
    }
}

void binding_claim(struct balancer *balancer, struct task *task)
{
    for (struct slot *slot = task->slots; slot; slot = slot->sibling)
        claim(balancer, slot);
}

bool binding_leads_somewhere(const struct task *task)
{
    const struct slot *slot = task->slots;
    while (slot && !slot->allowed)
        slot = slot->sibling;
    return slot != NULL;
}

bool binding_hopes(const struct task *task)
{
    const struct slot *slot = task->slots;
    while (slot && slot->refused)
        slot = slot->sibling;
    return slot || !task->targeted;
}

struct worker *binding_choose(const struct balancer *balancer, const struct task *task)
{
    struct worker *best = NULL;
    for (struct slot *slot = task->slots; slot; slot = slot->sibling) {
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
    if (!task->bound)
        return HASH_COUNT(balancer->workers) > 1;
    for (const struct slot *slot = task->slots; slot && count < 2; slot = slot->sibling)
        count += slot->worker && slot->allowed;
    return count > 1;
}

bool balancer_is_open(const struct task *task)
{
    return !task->bound || binding_find(task, NULL);
}
