/* The memory of finished tasks: a ring of entries, the oldest overwritten, chained from a table of
 * buckets. Both are allocated in full and zeroed by the system, which gives their pages as they are
 * touched. */
#include "controller/balancer/finished.h"

#include <stdlib.h>

struct finished_entry {
    uint64_t hash;
    uint32_t next; /* in its bucket: an index and 1; 0 ends it */
    uint32_t success : 1;
    uint32_t ran_at : 31;
};

struct finished {
    struct finished_entry *ring;
    size_t max;
    size_t count;
    size_t next;       /* where the next goes: the oldest, where the ring is full */
    uint32_t *buckets; /* an index and 1 */
    size_t bucket_count;
};

struct finished *finished_create(size_t max)
{
    struct finished *finished = calloc(1, sizeof(*finished));
    if (!finished)
        return NULL;
    finished->max = max;
    finished->bucket_count = 1;
    while (finished->bucket_count < max)
        finished->bucket_count *= 2;
    finished->ring = calloc(max ? max : 1, sizeof(*finished->ring));
    finished->buckets = calloc(finished->bucket_count, sizeof(*finished->buckets));
    if (finished->ring && finished->buckets)
        return finished;
    finished_destroy(finished);
    return NULL;
}

void finished_destroy(struct finished *finished)
{
    if (!finished)
        return;
    free(finished->ring);
    free(finished->buckets);
    free(finished);
}

static uint32_t *bucket_of(const struct finished *finished, uint64_t hash)
{
    return &finished->buckets[hash & (finished->bucket_count - 1)];
}

static struct finished_entry *finished_look_up(const struct finished *finished, uint64_t hash)
{
    uint32_t at = *bucket_of(finished, hash);
    while (at && finished->ring[at - 1].hash != hash)
        at = finished->ring[at - 1].next;
    return at ? &finished->ring[at - 1] : NULL;
}

static void finished_forget(struct finished *finished, size_t index)
{
    uint32_t *link = bucket_of(finished, finished->ring[index].hash);
    while (*link != index + 1)
        link = &finished->ring[*link - 1].next;
    *link = finished->ring[index].next;
}

void finished_add(struct finished *finished, uint64_t hash, struct task_outcome outcome)
{
    struct finished_entry *entry = finished_look_up(finished, hash);
    if (!entry && finished->max) {
        if (finished->count == finished->max)
            finished_forget(finished, finished->next);
        else
            finished->count++;
        uint32_t *bucket = bucket_of(finished, hash);
        entry = &finished->ring[finished->next];
        *entry = (struct finished_entry){.hash = hash, .next = *bucket};
        *bucket = (uint32_t)finished->next + 1;
        finished->next = (finished->next + 1) % finished->max;
    }
    if (entry) {
        entry->success = outcome.success;
        entry->ran_at = outcome.ran_at & INT32_MAX;
    }
}

bool finished_find(const struct finished *finished, uint64_t hash, struct task_outcome *outcome)
{
    const struct finished_entry *entry = finished_look_up(finished, hash);
    if (entry)
        *outcome = (struct task_outcome){.success = entry->success, .ran_at = entry->ran_at};
    return entry != NULL;
}
