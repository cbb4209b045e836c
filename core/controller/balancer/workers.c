/* The load balancer's engines: which there are, and which of them take tasks. */
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "controller/balancer/balancer_private.h"

void balancer_settle(struct balancer *balancer, struct worker *worker)
{
    bool takes = !worker->suspended && !worker->retired &&
                 (!balancer->high_water || worker->load < balancer->high_water);
    if (!takes)
        heap_remove(&balancer->takers, &worker->item);
    else if (worker->item.index == HEAP_OUTSIDE)
        heap_push(&balancer->takers, &worker->item);
    else
        heap_update(&balancer->takers, &worker->item);
    bool ready = worker->item.index != HEAP_OUTSIDE && worker->bound.count;
    if (ready && !worker->ready)
        DL_APPEND2(balancer->ready, worker, ready_prev, ready_next);
    else if (!ready && worker->ready)
        DL_DELETE2(balancer->ready, worker, ready_prev, ready_next);
    worker->ready = ready;
}

struct worker *balancer_engine(const struct balancer *balancer, const char *uuid, size_t size)
{
    struct worker *worker;
    HASH_FIND(hh, balancer->workers, uuid, size, worker);
    return worker;
}

struct worker *balancer_engine_of_serial(const struct balancer *balancer, uint32_t serial)
{
    struct worker *worker;
    HASH_FIND(hh_serial, balancer->by_serial, &serial, sizeof(serial), worker);
    return worker;
}

struct worker *balancer_engines(const struct balancer *balancer)
{
    return balancer->workers;
}

uint32_t worker_usual_serial(const struct balancer *balancer, const char *uuid)
{
    return (uint32_t)table_hash(&balancer->tasks, uuid, strlen(uuid)) & INT32_MAX;
}

/* A serial that no other engine has now. An engine that is gone had it with a chance of 1 in
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

/* A task has one place less to go to. */
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

void balancer_retire(struct balancer *balancer, struct worker *worker)
{
    worker->retired = true;
    balancer_settle(balancer, worker);
}

void balancer_suspend(struct balancer *balancer, struct worker *worker)
{
    if (!worker->suspended)
        balancer->suspended++;
    worker->suspended = true;
    balancer_settle(balancer, worker);
}

void balancer_resume(struct balancer *balancer)
{
    if (!balancer->suspended)
        return;
    for (struct worker *worker = balancer->workers; worker; worker = worker->hh.next) {
        worker->suspended = false;
        balancer_settle(balancer, worker);
    }
    balancer->suspended = 0;
}

bool balancer_suspended(const struct balancer *balancer)
{
    return balancer->suspended != 0;
}

void worker_release(struct worker *worker)
{
    if (!worker->gone || worker->load)
        return;
    heap_release(&worker->bound);
    free(worker->end);
    free(worker);
}

void workers_release(struct balancer *balancer)
{
    struct worker *worker, *next;
    HASH_ITER (hh, balancer->workers, worker, next) {
        HASH_DELETE(hh_serial, balancer->by_serial, worker);
        HASH_DEL(balancer->workers, worker);
        heap_release(&worker->bound);
        free(worker);
    }
}
