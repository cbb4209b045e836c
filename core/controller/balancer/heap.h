/* A binary heap whose items know their place in it. */
#ifndef CONTROLLER_BALANCER_HEAP_H
#define CONTROLLER_BALANCER_HEAP_H

#include <stdbool.h>
#include <stddef.h>

#define HEAP_OUTSIDE ((size_t)-1)

/* The first member of a heap's items; `index` is HEAP_OUTSIDE for an item that is in no heap. */
struct heap_item {
    size_t index;
};

struct heap {
    struct heap_item **items;
    size_t count;
    size_t capacity;
    bool (*before)(const struct heap_item *a, const struct heap_item *b);
    double (*weight)(const struct heap_item *item); /* above 0; NULL: heap_draw() is not used */
    double *sums; /* for each item: its weight and those of the items below it */
};

/* Makes room for this many items in all. Returns 0 or -1 (memory is short). */
int heap_reserve(struct heap *heap, size_t count);
/* Returns 0, or -1 (memory is short), which cannot happen if there is room. */
int heap_push(struct heap *heap, struct heap_item *item);
/* Removes an item, wherever it is; does nothing if it is in no heap. */
void heap_remove(struct heap *heap, struct heap_item *item);
/* Moves an item to its place after its key has changed. */
void heap_update(struct heap *heap, struct heap_item *item);
/* Draws an item by weight; the heap must not be empty. The share `part`, from 0 to below 1, of all
 * weight lies before the item. */
struct heap_item *heap_draw(const struct heap *heap, double part);
void heap_release(struct heap *heap);

#endif
