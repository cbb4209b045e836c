/* The load balancer's engines: which there are, and which of them take tasks. */
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "controller/balancer/balancer_private.h"

void balancer_settle(struct balancer *balancer, struct worker *worker)
{
    bool takes = !worker->suspended && !worker->retired &&
                 (!worker->window || worker->load < worker->window);
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

void balancer_retire(struct balancer *balancer, struct worker *worker)
{
    worker->retired = true;
    balancer_settle(balancer, worker);
}

void balancer_set_window(struct balancer *balancer, struct worker *worker, size_t window)
{
    if (worker->window == window)
        return;
    worker->window = window;
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
