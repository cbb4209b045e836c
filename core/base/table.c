/* Hash tables that grow a step at a time. */
#include "base/table.h"

#include <stdlib.h>
#include <string.h>

#include "base/random.h"

#define BUCKETS_LEAST 64
/* How many buckets are moved with each insertion. One would be enough: a table that begins to grow
 * has as many items as old buckets, and it grows again only when the items have doubled. */
#define MOVED_AT_ONCE 2

int table_init(struct table *table, const void *(*key)(const struct table_item *item, size_t *size))
{
    *table = (struct table){.key = key, .bucket_count = BUCKETS_LEAST};
    random_bytes(table->seed, sizeof(table->seed));
    table->buckets = calloc(BUCKETS_LEAST, sizeof(*table->buckets));
    return table->buckets ? 0 : -1;
}

void table_release(struct table *table)
{
    free(table->buckets);
    free(table->old);
    table->buckets = table->old = NULL;
}

#define ROTATED(x, bits) (((x) << (bits)) | ((x) >> (64 - (bits))))

/* A call would cost more than what is in it. */
__attribute__((always_inline)) static inline void sip_round(uint64_t v[4])
{
    v[0] += v[1];
    v[1] = ROTATED(v[1], 13) ^ v[0];
    v[0] = ROTATED(v[0], 32);
    v[2] += v[3];
    v[3] = ROTATED(v[3], 16) ^ v[2];
    v[0] += v[3];
    v[3] = ROTATED(v[3], 21) ^ v[0];
    v[2] += v[1];
    v[1] = ROTATED(v[1], 17) ^ v[2];
    v[2] = ROTATED(v[2], 32);
}

uint64_t table_hash(const struct table *table, const void *key, size_t size)
{
    const unsigned char *bytes = key;
    uint64_t v[4] = {table->seed[0] ^ 0x736f6d6570736575ULL, table->seed[1] ^ 0x646f72616e646f6dULL,
                     table->seed[0] ^ 0x6c7967656e657261ULL,
                     table->seed[1] ^ 0x7465646279746573ULL};
    uint64_t word, last = (uint64_t)size << 56;
    size_t left = size;
    for (; left >= 8; left -= 8, bytes += 8) {
        memcpy(&word, bytes, 8);
        v[3] ^= word;
        sip_round(v);
        v[0] ^= word;
    }
    for (size_t i = 0; i < left; i++)
        last |= (uint64_t)bytes[i] << (8 * i);
    v[3] ^= last;
    sip_round(v);
    v[0] ^= last;
    v[2] ^= 0xff;
    sip_round(v);
    sip_round(v);
    sip_round(v);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

/* The bucket of items with this hash. The number of buckets is a power of two. */
static struct table_item **bucket_of(const struct table *table, uint64_t hash)
{
    size_t old = table->old ? hash & (table->old_count - 1) : 0;
    return table->old && old >= table->moved ? &table->old[old]
                                             : &table->buckets[hash & (table->bucket_count - 1)];
}

static void move_some(struct table *table)
{
    for (int i = 0; i < MOVED_AT_ONCE && table->old; i++) {
        struct table_item *item = table->old[table->moved];
        table->old[table->moved++] = NULL;
        while (item) {
            struct table_item *next = item->next,
                              **bucket = &table->buckets[item->hash & (table->bucket_count - 1)];
            item->next = *bucket;
            *bucket = item;
            item = next;
        }
        if (table->moved == table->old_count) {
            free(table->old);
            table->old = NULL;
        }
    }
}

/* If memory is short, the table stays as it is, and becomes slower. */
static void grow(struct table *table)
{
    struct table_item **buckets = calloc(2 * table->bucket_count, sizeof(*buckets));
    if (!buckets)
        return;
    table->old = table->buckets;
    table->old_count = table->bucket_count;
    table->moved = 0;
    table->buckets = buckets;
    table->bucket_count *= 2;
}

/* A table that has become empty frees the room that it had for many items. */
static void shrink(struct table *table)
{
    struct table_item **buckets = calloc(BUCKETS_LEAST, sizeof(*buckets));
    if (!buckets)
        return;
    table_release(table);
    table->buckets = buckets;
    table->bucket_count = BUCKETS_LEAST;
}

struct table_item *table_find(const struct table *table, uint64_t hash, const void *key,
                              size_t size)
{
    for (struct table_item *item = *bucket_of(table, hash); item; item = item->next) {
        size_t item_size;
        if (item->hash == hash) {
            const void *item_key = table->key(item, &item_size);
            if (item_size == size && !memcmp(item_key, key, size))
                return item;
        }
    }
    return NULL;
}

void table_add(struct table *table, struct table_item *item)
{
    if (table->old)
        move_some(table);
    else if (table->count >= table->bucket_count)
        grow(table);
    struct table_item **bucket = bucket_of(table, item->hash);
    item->next = *bucket;
    *bucket = item;
    table->count++;
}

void table_remove(struct table *table, struct table_item *item)
{
    struct table_item **link = bucket_of(table, item->hash);
    while (*link != item)
        link = &(*link)->next;
    *link = item->next;
    if (--table->count == 0 && table->bucket_count > 1024)
        shrink(table);
}

struct table_item *table_take(struct table *table, size_t *from)
{
    for (size_t *at = from; *at < table->bucket_count + (table->old ? table->old_count : 0);
         ++*at) {
        struct table_item **bucket = *at < table->bucket_count
                                         ? &table->buckets[*at]
                                         : &table->old[*at - table->bucket_count];
        struct table_item *item = *bucket;
        if (!item)
            continue;
        *bucket = item->next;
        table->count--;
        return item;
    }
    return NULL;
}
