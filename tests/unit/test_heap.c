/* The heap: the first is the least, whatever changes, and items are drawn as often as they
 * weigh. */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "controller/balancer/heap.h"

enum { THINGS = 50 };

struct thing {
    struct heap_item item;
    int key;
};

static bool before(const struct heap_item *a, const struct heap_item *b)
{
    return ((const struct thing *)a)->key < ((const struct thing *)b)->key;
}

static double weight(const struct heap_item *item)
{
    return 1.0 / ((const struct thing *)item)->key;
}

static void check(const struct heap *heap, const struct thing *things)
{
    int least = 1000;
    double sum = 0;
    size_t count = 0;
    for (int i = 0; i < THINGS; i++) {
        if (things[i].item.index == HEAP_OUTSIDE)
            continue;
        count++;
        sum += weight(&things[i].item);
        if (things[i].key < least)
            least = things[i].key;
    }
    cr_assert_eq(heap->count, count);
    if (!count)
        return;
    cr_assert_eq(((struct thing *)heap->items[0])->key, least);
    cr_assert_float_eq(heap->sums[0], sum, 1e-12);
}

static void play(struct heap *heap, struct thing *things)
{
    srand(3);
    for (int i = 0; i < THINGS; i++)
        things[i].item.index = HEAP_OUTSIDE;
    for (int step = 0; step < 5000; step++) {
        struct thing *thing = &things[rand() % THINGS];
        if (thing->item.index == HEAP_OUTSIDE) {
            thing->key = 1 + rand() % 100;
            cr_assert_eq(heap_push(heap, &thing->item), 0);
        } else if (rand() % 3) {
            thing->key = 1 + rand() % 100;
            heap_update(heap, &thing->item);
        } else {
            heap_remove(heap, &thing->item);
        }
        check(heap, things);
    }
}

Test(heap, has_the_least_first_and_the_sum_of_all)
{
    struct heap heap = {.before = before, .weight = weight};
    struct thing things[THINGS];
    play(&heap, things);
    heap_release(&heap);
}

Test(heap, draws_each_as_often_as_it_weighs)
{
    enum { DRAWS = 100000 };
    struct heap heap = {.before = before, .weight = weight};
    struct thing things[THINGS];
    int drawn[THINGS] = {0};
    play(&heap, things);
    for (int i = 0; i < DRAWS; i++)
        drawn[(struct thing *)heap_draw(&heap, (double)i / DRAWS) - things]++;
    for (int i = 0; i < THINGS; i++) {
        bool inside = things[i].item.index != HEAP_OUTSIDE;
        double share = inside ? weight(&things[i].item) / heap.sums[0] : 0;
        cr_assert_float_eq(drawn[i], share * DRAWS, 1.01);
    }
    heap_release(&heap);
}
