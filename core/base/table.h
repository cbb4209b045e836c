/* A hash table of things that carry their place in it and know their key, for tables of a million:
 * an item costs 16 bytes and a bucket 8, and the table grows a few buckets at a time, so that no
 * single insertion waits for all. */
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
    struct table_item **old; /* while it grows: those from `moved` on are not in `buckets` yet */
    size_t old_count;
    size_t moved;
    size_t count;
};

/* `key` gives an item's key. Returns 0 or -1 (memory is short). */
int table_init(struct table *table,
               const void *(*key)(const struct table_item *item, size_t *size));
/* Frees the table, which may have been zeroed only; the items are the caller's. */
void table_release(struct table *table);
/* SipHash (Aumasson and Bernstein, 2012) of a key, with 1 and 3 rounds. */
uint64_t table_hash(const struct table *table, const void *key, size_t size);
/* NULL where there is none. `hash` is the key's. */
struct table_item *table_find(const struct table *table, uint64_t hash, const void *key,
                              size_t size);
/* Puts in an item whose key is not there and whose `hash` is set. */
void table_add(struct table *table, struct table_item *item);
/* Takes out an item that is there. */
void table_remove(struct table *table, struct table_item *item);
/* Takes out any item, for whoever frees them all; NULL where none is left. `*from`, 0 at first,
 * notes how far this has come. */
struct table_item *table_take(struct table *table, size_t *from);

#endif
