/* A binary heap. */
#include "controller/heap.h"

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

int heap_push(struct heap *heap, struct heap_item *item)
{
    if (heap->count == heap->capacity) {
        size_t capacity = heap->capacity ? 2 * heap->capacity : 64;
        struct heap_item **items = realloc(heap->items, capacity * sizeof(*items));
        if (!items)
            return -1;
        heap->items = items;
        heap->capacity = capacity;
    }
    place(heap, heap->count++, item);
    rise(heap, item);
    return 0;
}

void heap_remove(struct heap *heap, struct heap_item *item)
{
    if (item->index == HEAP_OUTSIDE)
        return;
    struct heap_item *last = heap->items[--heap->count];
    if (last != item) {
        place(heap, item->index, last);
        heap_update(heap, last);
    }
    item->index = HEAP_OUTSIDE;
}

void heap_update(struct heap *heap, struct heap_item *item)
{
    rise(heap, item);
    sink(heap, item);
}

void heap_release(struct heap *heap)
{
    free(heap->items);
    heap->items = NULL;
    heap->count = heap->capacity = 0;
}
