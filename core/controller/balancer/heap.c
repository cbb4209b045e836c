/* A binary heap. */
#include "controller/balancer/heap.h"

#include <stdlib.h>

static void place(struct heap *heap, size_t index, struct heap_item *item)
{
    heap->items[index] = item;
    item->index = index;
}

static void rise(struct heap *heap, struct heap_item *item)
{
    size_t index = item->index;
    while (index && heap->before(item, heap->items[(index - 1) / 2])) {
        place(heap, index, heap->items[(index - 1) / 2]);
        index = (index - 1) / 2;
    }
    place(heap, index, item);
}

static void sink(struct heap *heap, struct heap_item *item)
{
    size_t index = item->index;
    for (;;) {
        size_t child = 2 * index + 1;
        if (child >= heap->count)
            break;
        if (child + 1 < heap->count && heap->before(heap->items[child + 1], heap->items[child]))
            child++;
        if (!heap->before(heap->items[child], item))
            break;
        place(heap, index, heap->items[child]);
        index = child;
    }
    place(heap, index, item);
}

static double sum_at(const struct heap *heap, size_t index)
{
    return index < heap->count ? heap->sums[index] : 0;
}

/* Computes the sums at an index and above it again. Nothing is added to an old sum, so rounding
 * errors do not add up. */
static void sum_up(struct heap *heap, size_t index)
{
    for (; heap->weight; index = (index - 1) / 2) {
        if (index < heap->count)
            heap->sums[index] = heap->weight(heap->items[index]) + sum_at(heap, 2 * index + 1) +
                                sum_at(heap, 2 * index + 2);
        if (!index)
            return;
    }
}

static int grow(struct heap *heap)
{
    size_t capacity = heap->capacity ? 2 * heap->capacity : 64;
    struct heap_item **items = realloc(heap->items, capacity * sizeof(*items));
    if (!items)
        return -1;
    heap->items = items;
    double *sums = heap->weight ? realloc(heap->sums, capacity * sizeof(*sums)) : NULL;
    if (heap->weight && !sums)
        return -1;
    heap->sums = sums;
    heap->capacity = capacity;
    return 0;
}

int heap_reserve(struct heap *heap, size_t count)
{
    while (heap->capacity < count)
        if (grow(heap))
            return -1;
    return 0;
}

int heap_push(struct heap *heap, struct heap_item *item)
{
    if (heap_reserve(heap, heap->count + 1))
        return -1;
    place(heap, heap->count++, item);
    rise(heap, item);
    sum_up(heap, heap->count - 1);
    return 0;
}

void heap_remove(struct heap *heap, struct heap_item *item)
{
    if (item->index == HEAP_OUTSIDE)
        return;
    struct heap_item *last = heap->items[--heap->count];
    sum_up(heap, heap->count);
    if (last != item) {
        place(heap, item->index, last);
        heap_update(heap, last);
    }
    item->index = HEAP_OUTSIDE;
}

void heap_update(struct heap *heap, struct heap_item *item)
{
    size_t index = item->index;
    rise(heap, item);
    sink(heap, item);
    sum_up(heap, index > item->index ? index : item->index);
}

struct heap_item *heap_draw(const struct heap *heap, double part)
{
    double left = part * heap->sums[0];
    size_t index = 0;
    for (;;) {
        size_t child = 2 * index + 1;
        left -= heap->weight(heap->items[index]);
        if (left < 0 || child >= heap->count)
            return heap->items[index];
        if (child + 1 < heap->count && left >= heap->sums[child])
            left -= heap->sums[child++];
        index = child;
    }
}

void heap_release(struct heap *heap)
{
    free(heap->items);
    free(heap->sums);
    heap->items = NULL;
    heap->sums = NULL;
    heap->count = heap->capacity = 0;
}
