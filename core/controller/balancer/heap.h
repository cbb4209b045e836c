/* A binary heap of things that know where they stand in it. */
#ifndef CONTROLLER_BALANCER_HEAP_H
#define CONTROLLER_BALANCER_HEAP_H

#include <stdbool.h>
#include <stddef.h>

#define HEAP_OUTSIDE ((size_t)-1)

/* The first member of what a heap holds; `index` is HEAP_OUTSIDE for what no heap holds. */
struct heap_item {
    size_t index;
};

struct heap {
    struct heap_item **items;
    size_t count;
    size_t capacity;
    bool (*before)(const struct heap_item *a, const struct heap_item *b);
    double (*weight)(const struct heap_item *item); /* above 0; NULL: nothing is drawn */
    double *sums; /* of the weights of each item and those below it */
};

/* Makes room for so many items in all. Returns 0 or -1 (memory is short). */
int heap_reserve(struct heap *heap, size_t count);
/* Returns 0, or -1 (memory is short), which cannot be where there is room. */
int heap_push(struct heap *heap, struct heap_item *item);
/* Takes an item out, wherever it stands; does nothing for one that is outside. */
void heap_remove(struct heap *heap, struct heap_item *item);
/* Finds an item's place again after its key has changed. */
void heap_update(struct heap *heap, struct heap_item *item);
/* An item of a heap that is not empty, drawn by weight: `part`, from 0 to below 1, is how much of
 * all weight lies before it. */
struct heap_item *heap_draw(const struct heap *heap, double part);
void heap_release(struct heap *heap);

#endif
