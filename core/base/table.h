/* A hash table for millions of items. An item contains its place in the table (16 bytes) and knows
 * its key; a bucket has 8 bytes. The table grows by a few buckets at a time, so that no single
 * insertion takes long. */
#ifndef BASE_TABLE_H
#define BASE_TABLE_H

#include <stddef.h>
#include <stdint.h>

struct table_item {
    struct table_item *next;
    uint64_t hash;
};

struct table {
    uint64_t seed[2]; /* keys are hashed with it, so that nobody can choose keys that collide */
    const void *(*key)(const struct table_item *item, size_t *size);
    struct table_item **buckets;
    size_t bucket_count;
    struct table_item **old; /* while it grows: the buckets from `moved` on are not in `buckets`
                                yet */
    size_t old_count;
    size_t moved;
    size_t count;
};

/* `key` gives an item's key. Returns 0 or -1 (memory is short). */
int table_init(struct table *table,
               const void *(*key)(const struct table_item *item, size_t *size));
/* Frees the table, which may be all zero; its items still belong to the caller. */
void table_release(struct table *table);
/* SipHash (Aumasson and Bernstein, 2012) of a key, with 1 and 3 rounds. */
uint64_t table_hash(const struct table *table, const void *key, size_t size);
/* Returns the item, or NULL if there is none. `hash` is the key's. */
struct table_item *table_find(const struct table *table, uint64_t hash, const void *key,
                              size_t size);
/* Adds an item. Its `hash` must be set, and its key must not be in the table. */
void table_add(struct table *table, struct table_item *item);
/* Removes an item, which must be in the table. */
void table_remove(struct table *table, struct table_item *item);
/* Removes any item, for code that frees them all; NULL if none is left. `*from` is 0 at first, and
 * notes how far the calls have come. */
struct table_item *table_take(struct table *table, size_t *from);

#endif
