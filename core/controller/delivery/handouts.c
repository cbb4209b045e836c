/* The file of hand-outs: a ring of entries. The task thread writes it; the records thread says how
 * many of them the store has. */
#include "controller/delivery/handouts.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/table.h"
#include "base/trust.h"

/* If the store is further behind than this, it is uncertain which tasks were given out. */
#define RING       131072
#define BOOT_BYTES 40
#define MAGIC      "ipclout2"

struct handout_entry {
    uint64_t task; /* its msg_id's hash */
    uint64_t engine;
    uint64_t counter;
    int32_t retries;
    int32_t deaths;
};

/* The file. Its numbers are this host's: another's boot identifier differs. */
struct ring {
    char magic[8];
    char boot[BOOT_BYTES];
    int64_t session;
    _Atomic uint64_t next;    /* how many there were in all */
    _Atomic uint64_t settled; /* how many of them the store has */
    _Atomic uint32_t doubtful;
    uint32_t unused;
    uint64_t first; /* earlier entries may not be the last ones of their tasks */
    struct handout_entry entries[RING];
};

/* What became of a task last, and as which of all. */
struct last {
    struct handout_entry entry;
    uint64_t number;
};

struct handouts {
    struct ring *ring;
    uint64_t base;      /* how many there were before us */
    struct last *lasts; /* of those, by their tasks; NULL: they are forgotten */
    size_t last_count;
    uint64_t *before; /* those tasks that were given out and not taken back */
    size_t before_count;
    bool uncertain; /* of what was before */
    atomic_bool doubted;
    bool begun;
};

/* The file is nobody else's, so that a fixed seed will do. */
uint64_t handouts_hash(const char *text, size_t size)
{
    static const struct table unseeded;
    return table_hash(&unseeded, text, size);
}

/* A task's hash stands first in all that is sorted by it. */
static int compare(const void *a, const void *b)
{
    uint64_t one = *(const uint64_t *)a, other = *(const uint64_t *)b;
    return one < other ? -1 : one > other;
}

static int compare_lasts(const void *a, const void *b)
{
    const struct last *one = a, *other = b;
    int order = compare(a, b);
    return order ? order : compare(&one->number, &other->number);
}

/* Linux's id of this boot of the host; "": it has none. */
static void read_boot(char boot[BOOT_BYTES])
{
    memset(boot, 0, BOOT_BYTES);
    FILE *file = fopen("/proc/sys/kernel/random/boot_id", "re");
    if (file && !fgets(boot, BOOT_BYTES, file))
        boot[0] = '\0';
    if (file)
        fclose(file);
}

/* `*whole` says whether the file was there in full. */
static struct ring *map(const char *path, bool *whole, struct ipcl_error *error)
{
    struct stat status;
    int fd = trust_open(path, O_RDWR | O_CREAT, 0600, NULL, error);
    if (fd < 0)
        return NULL;
    *whole = !fstat(fd, &status) && status.st_size == sizeof(struct ring);
    /* Allocates it now: a write to a full disk would end the program. */
    int failed = posix_fallocate(fd, 0, sizeof(struct ring));
    void *ring = failed
                     ? MAP_FAILED
                     : mmap(NULL, sizeof(struct ring), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (!failed && ring == MAP_FAILED)
        failed = errno;
    close(fd);
    if (ring != MAP_FAILED)
        return ring;
    ipcl_error_set(error, "%s cannot be written: %s", path, strerror(failed));
    return NULL;
}

/* Takes over the entries of previous controllers. Returns 0, or -1 if memory is short. */
static int read_before(struct handouts *handouts)
{
    const struct ring *ring = handouts->ring;
    size_t count = handouts->base < RING ? handouts->base : RING;
    uint64_t oldest = handouts->base - count;
    handouts->lasts = malloc((count + 1) * sizeof(*handouts->lasts));
    handouts->before = malloc((count + 1) * sizeof(*handouts->before));
    if (!handouts->lasts || !handouts->before)
        return -1;
    for (size_t i = 0; i < count; i++)
        handouts->lasts[i] = (struct last){ring->entries[(oldest + i) % RING], oldest + i};
    qsort(handouts->lasts, count, sizeof(*handouts->lasts), compare_lasts);
    for (size_t i = 0; i < count; i++) {
        const struct last *last = &handouts->lasts[i];
        if (i + 1 < count && last[1].entry.task == last->entry.task)
            continue;
        if (last->entry.engine)
            handouts->before[handouts->before_count++] = last->entry.task;
        if (last->number >= ring->first)
            handouts->lasts[handouts->last_count++] = *last;
    }
    return 0;
}

struct handouts *handouts_open(const char *path, int64_t session, int64_t before,
                               struct ipcl_error *error)
{
    char boot[BOOT_BYTES];
    bool whole;
    struct handouts *handouts = calloc(1, sizeof(*handouts));
    if (!handouts) {
        ipcl_error_set(error, "out of memory");
        return NULL;
    }
    struct ring *ring = handouts->ring = map(path, &whole, error);
    if (!ring) {
        handouts_close(handouts);
        return NULL;
    }
    read_boot(boot);
    bool ours = whole && !memcmp(ring->magic, MAGIC, sizeof(ring->magic)) && *boot &&
                !memcmp(ring->boot, boot, BOOT_BYTES) && before && ring->session == before;
    if (!ours || atomic_load(&ring->next) - atomic_load(&ring->settled) > RING)
        atomic_store(&ring->doubtful, 1);
    handouts->uncertain = atomic_load(&ring->doubtful);
    handouts->base = atomic_load(&ring->next);
    if (!ours)
        ring->first = handouts->base;
    memcpy(ring->magic, MAGIC, sizeof(ring->magic));
    memcpy(ring->boot, boot, BOOT_BYTES);
    if (read_before(handouts)) {
        ipcl_error_set(error, "out of memory");
        handouts_close(handouts);
        return NULL;
    }
    ring->session = session;
    return handouts;
}

void handouts_close(struct handouts *handouts)
{
    if (!handouts)
        return;
    if (handouts->ring)
        munmap(handouts->ring, sizeof(*handouts->ring));
    handouts_forget(handouts);
    free(handouts->before);
    free(handouts);
}

void handouts_add(struct handouts *handouts, const char *msg_id, size_t size,
                  const struct handout *handout)
{
    if (!handouts)
        return;
    struct ring *ring = handouts->ring;
    uint64_t next = atomic_load_explicit(&ring->next, memory_order_relaxed);
    ring->entries[next % RING] =
        (struct handout_entry){handouts_hash(msg_id, size), handout->engine, handout->counter,
                               handout->retries, handout->deaths};
    atomic_store_explicit(&ring->next, next + 1, memory_order_release);
}

void handouts_undo(struct handouts *handouts)
{
    if (handouts)
        atomic_fetch_sub_explicit(&handouts->ring->next, 1, memory_order_relaxed);
}

void handouts_doubt(struct handouts *handouts)
{
    if (!handouts)
        return;
    atomic_store(&handouts->doubted, true);
    atomic_store(&handouts->ring->doubtful, 1);
}

bool handouts_may_have(const struct handouts *handouts, const char *msg_id)
{
    uint64_t hash = handouts_hash(msg_id, strlen(msg_id));
    return !handouts || handouts->uncertain ||
           (handouts->before_count &&
            bsearch(&hash, handouts->before, handouts->before_count, sizeof(hash), compare));
}

bool handouts_find(const struct handouts *handouts, const char *msg_id, struct handout *handout)
{
    uint64_t hash = handouts_hash(msg_id, strlen(msg_id));
    const struct last *last =
        handouts && handouts->last_count
            ? bsearch(&hash, handouts->lasts, handouts->last_count, sizeof(*last), compare)
            : NULL;
    if (last)
        *handout = (struct handout){last->entry.engine, last->entry.counter, last->entry.retries,
                                    last->entry.deaths};
    return last != NULL;
}

void handouts_forget(struct handouts *handouts)
{
    if (!handouts)
        return;
    free(handouts->lasts);
    handouts->lasts = NULL;
    handouts->last_count = 0;
}

void handouts_begin(struct handouts *handouts)
{
    if (!handouts)
        return;
    handouts->begun = true;
    atomic_store(&handouts->ring->doubtful, 0);
    if (atomic_load(&handouts->doubted))
        atomic_store(&handouts->ring->doubtful, 1);
    handouts_settle(handouts, 0);
}

void handouts_settle(struct handouts *handouts, uint64_t count)
{
    if (handouts && handouts->begun)
        atomic_store_explicit(&handouts->ring->settled, handouts->base + count,
                              memory_order_release);
}
