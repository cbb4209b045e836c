/* Fair sharing: whose turn it is among clients whose tasks wait.
 *
 * An engine that takes a task gets one of the client that was given an engine longest ago, of those
 * with tasks that may run there. So each client that waits for an engine gets every n-th task of
 * it, and a new client waits for one of each other client, however many of theirs wait. Whoever
 * had nothing to run for an hour, or nothing but tasks for an engine that was busy, gets one task
 * first for it, and no more. A client's tasks stay in order. */
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "controller/balancer/balancer_private.h"

static struct task *share_first_task(const struct share *share)
{
    if (share->common && share->released)
        return share->released->order < share->common->order ? share->released : share->common;
    return share->common ? share->common : share->released;
}

bool share_before(const struct heap_item *a, const struct heap_item *b)
{
    return ((const struct share *)a)->turn < ((const struct share *)b)->turn;
}

static struct share *share_create(struct balancer *balancer, const void *client, size_t size)
{
    struct share *share = calloc(1, sizeof(*share) + size);
    if (!share || heap_reserve(&balancer->waiting, HASH_COUNT(balancer->shares) + 1)) {
        free(share);
        return NULL;
    }
    share->item.index = HEAP_OUTSIDE;
    share->turn = ++balancer->turn;
    if (size)
        memcpy(share->client, client, size);
    HASH_ADD_KEYPTR(hh, balancer->shares, share->client, size, share);
    return share;
}

int share_join(struct balancer *balancer, struct task *task)
{
    const void *client = task->client ? task->client : "";
    HASH_FIND(hh, balancer->shares, client, task->client_size, task->share);
    if (!task->share)
        task->share = share_create(balancer, client, task->client_size);
    if (!task->share)
        return -1;
    task->share->tasks++;
    share_fall_behind(balancer, task);
    return 0;
}

void share_fall_behind(struct balancer *balancer, struct task *task)
{
    task->order = ++balancer->order;
}

static void set_turn(struct balancer *balancer, struct share *share, unsigned long long turn)
{
    share->turn = turn;
    if (share->item.index != HEAP_OUTSIDE)
        heap_update(&balancer->waiting, &share->item);
}

void share_pass_on(struct balancer *balancer, struct share *share)
{
    share->previous = share->turn;
    set_turn(balancer, share, ++balancer->turn);
}

void share_take_back(struct balancer *balancer, struct share *share)
{
    set_turn(balancer, share, share->previous);
}

bool share_is_earlier(const struct task *task, const struct task *other)
{
    return task->share == other->share ? task->order < other->order
                                       : task->share->turn < other->share->turn;
}

void share_leave(struct balancer *balancer, struct task *task)
{
    struct share *share = task->share;
    task->share = NULL;
    if (--share->tasks)
        return;
    HASH_DEL(balancer->shares, share);
    free(share);
}

static struct task **queue_of(const struct task *task)
{
    return task->released ? &task->share->released : &task->share->common;
}

void share_queue(struct balancer *balancer, struct task *task, bool first)
{
    struct task **queue = queue_of(task);
    if (first)
        DL_PREPEND(*queue, task);
    else
        DL_APPEND(*queue, task);
    if (task->share->item.index == HEAP_OUTSIDE)
        heap_push(&balancer->waiting, &task->share->item); /* there is room for every share */
}

void share_unqueue(struct balancer *balancer, struct task *task)
{
    DL_DELETE(*queue_of(task), task);
    if (!share_first_task(task->share))
        heap_remove(&balancer->waiting, &task->share->item);
}

struct task *share_first(const struct balancer *balancer)
{
    return balancer->waiting.count
               ? share_first_task((const struct share *)balancer->waiting.items[0])
               : NULL;
}
