/* Fair sharing: whose turn it is among clients whose tasks wait.
 *
 * Each task has a turn, a number that its client's tasks get one after the other, beginning with
 * the turn of the task that was last started: the earliest turn runs first. So each client that
 * waits gets every n-th engine that becomes free, a client's tasks stay in order, and the first
 * task of a new client waits for one of each other client, however many of theirs wait. (Goyal,
 * Vin, Cheng: Start-time Fair Queuing, 1996, with tasks of equal length.) */
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "controller/balancer_internal.h"

struct share {
    struct heap_item item;   /* among the clients with tasks in these queues */
    struct task *common;     /* tasks that may run anywhere */
    struct task *released;   /* the same, of those that waited for other tasks first */
    unsigned long long last; /* the turn of its newest task */
    size_t tasks;
    UT_hash_handle hh;
    char client[];
};

static struct task *first_of(const struct share *share)
{
    if (share->common && share->released)
        return share->released->turn < share->common->turn ? share->released : share->common;
    return share->common ? share->common : share->released;
}

bool share_before(const struct heap_item *a, const struct heap_item *b)
{
    return first_of((const struct share *)a)->turn < first_of((const struct share *)b)->turn;
}

static struct share *create(struct balancer *balancer, const void *client, size_t size)
{
    struct share *share = calloc(1, sizeof(*share) + size);
    if (!share || heap_reserve(&balancer->waiting, HASH_COUNT(balancer->shares) + 1)) {
        free(share);
        return NULL;
    }
    share->item.index = HEAP_OUTSIDE;
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
        task->share = create(balancer, client, task->client_size);
    if (!task->share)
        return -1;
    task->share->tasks++;
    share_take_turn(balancer, task);
    return 0;
}

void share_take_turn(const struct balancer *balancer, struct task *task)
{
    struct share *share = task->share;
    task->turn = 1 + (share->last > balancer->turn ? share->last : balancer->turn);
    share->last = task->turn;
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
    else
        heap_update(&balancer->waiting, &task->share->item);
}

void share_unqueue(struct balancer *balancer, struct task *task)
{
    struct share *share = task->share;
    bool last = share->common == NULL ? share->released->next == NULL
                                      : !share->released && share->common->next == NULL;
    /* The heap looks at the first of the queues: there must be one until it has let go. */
    if (last)
        heap_remove(&balancer->waiting, &share->item);
    DL_DELETE(*queue_of(task), task);
    if (!last)
        heap_update(&balancer->waiting, &share->item);
}

struct task *share_first(const struct balancer *balancer)
{
    return balancer->waiting.count ? first_of((const struct share *)balancer->waiting.items[0])
                                   : NULL;
}
