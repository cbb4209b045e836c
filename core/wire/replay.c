/* Replay detection: a ring of the newest digests, and a chained table of where they stand. */
#include "wire/replay.h"

#include <stdlib.h>
#include <string.h>

#define NOWHERE UINT32_MAX

struct entry {
    unsigned char digest[REPLAY_DIGEST_BYTES];
    uint32_t next; /* in its bucket's chain */
};

struct replay {
    struct entry *ring;
    uint32_t *buckets;
    uint32_t allocated; /* entries that memory is there for; doubles up to `capacity` */
    uint32_t capacity;
    uint32_t used;
    uint32_t oldest; /* the entry to overwrite once all are used */
};

/* Digests are uniformly distributed: any of their bits do. */
static uint32_t bucket_of(const struct replay *replay, const unsigned char *digest)
{
    uint32_t bits;
    memcpy(&bits, digest, sizeof(bits));
    return bits & (replay->allocated - 1);
}

static void link_entry(struct replay *replay, uint32_t index)
{
    uint32_t bucket = bucket_of(replay, replay->ring[index].digest);
    replay->ring[index].next = replay->buckets[bucket];
    replay->buckets[bucket] = index;
}

static void unlink_entry(struct replay *replay, uint32_t index)
{
    uint32_t *at = &replay->buckets[bucket_of(replay, replay->ring[index].digest)];
    while (*at != index)
        at = &replay->ring[*at].next;
    *at = replay->ring[index].next;
}

static int grow(struct replay *replay)
{
    uint32_t allocated = replay->allocated * 2;
    struct entry *ring = realloc(replay->ring, allocated * sizeof(*ring));
    if (!ring)
        return -1;
    replay->ring = ring;
    uint32_t *buckets = malloc(allocated * sizeof(*buckets));
    if (!buckets)
        return -1;
    free(replay->buckets);
    replay->buckets = buckets;
    replay->allocated = allocated;
    memset(buckets, 0xff, allocated * sizeof(*buckets));
    for (uint32_t i = 0; i < replay->used; i++)
        link_entry(replay, i);
    return 0;
}

struct replay *replay_create(uint32_t capacity)
{
    struct replay *replay = calloc(1, sizeof(*replay));
    if (!replay)
        return NULL;
    replay->capacity = capacity;
    replay->allocated = capacity < 256 ? capacity : 256;
    replay->ring = malloc(replay->allocated * sizeof(*replay->ring));
    replay->buckets = malloc(replay->allocated * sizeof(*replay->buckets));
    if (!replay->ring || !replay->buckets) {
        replay_destroy(replay);
        return NULL;
    }
    memset(replay->buckets, 0xff, replay->allocated * sizeof(*replay->buckets));
    return replay;
}

void replay_destroy(struct replay *replay)
{
    if (!replay)
        return;
    free(replay->ring);
    free(replay->buckets);
    free(replay);
}

bool replay_seen(const struct replay *replay, const unsigned char digest[REPLAY_DIGEST_BYTES])
{
    uint32_t at = replay->buckets[bucket_of(replay, digest)];
    for (; at != NOWHERE; at = replay->ring[at].next)
        if (!memcmp(replay->ring[at].digest, digest, REPLAY_DIGEST_BYTES))
            return true;
    return false;
}

int replay_add(struct replay *replay, const unsigned char digest[REPLAY_DIGEST_BYTES])
{
    uint32_t index;
    if (replay->used < replay->capacity) {
        if (replay->used == replay->allocated && grow(replay))
            return -1;
        index = replay->used++;
    } else {
        index = replay->oldest;
        replay->oldest = (replay->oldest + 1) & (replay->capacity - 1);
        unlink_entry(replay, index);
    }
    memcpy(replay->ring[index].digest, digest, REPLAY_DIGEST_BYTES);
    link_entry(replay, index);
    return 0;
}
