/* The schemes: which engine gets a task that may go anywhere. To add one, write what chooses an
 * engine, and its row in the table at the end: the setting, its help, what shells complete and the
 * tests follow the row, and the first is the default. */
#include <string.h>

#include "controller/balancer/balancer_private.h"

static const struct worker *worker_of(const struct heap_item *item)
{
    return (const struct worker *)item;
}

static bool less_loaded(const struct heap_item *a, const struct heap_item *b)
{
    if (worker_of(a)->load != worker_of(b)->load)
        return worker_of(a)->load < worker_of(b)->load;
    return worker_of(a)->used < worker_of(b)->used;
}

static bool longer_unused(const struct heap_item *a, const struct heap_item *b)
{
    return worker_of(a)->used < worker_of(b)->used;
}

static uint64_t draw(struct balancer *balancer)
{
    /* Marsaglia's xorshift64: any even distribution is good enough here. */
    balancer->random ^= balancer->random << 13;
    balancer->random ^= balancer->random >> 7;
    balancer->random ^= balancer->random << 17;
    return balancer->random;
}

static struct worker *taker(const struct balancer *balancer, size_t index)
{
    return (struct worker *)balancer->takers.items[index];
}

static double inverse_load(const struct heap_item *item)
{
    return 1.0 / (1e-6 + (double)worker_of(item)->load);
}

static struct worker *draw_by_weight(struct balancer *balancer)
{
    double part = (double)(draw(balancer) >> 11) / (double)(1ULL << 53);
    return (struct worker *)heap_draw(&balancer->takers, part);
}

static struct worker *draw_any(struct balancer *balancer)
{
    return taker(balancer, draw(balancer) % balancer->takers.count);
}

static struct worker *first(struct balancer *balancer)
{
    return taker(balancer, 0);
}

static struct worker *first_of_two(struct balancer *balancer)
{
    struct worker *one = draw_any(balancer), *other = draw_any(balancer);
    return balancer->takers.before(&one->item, &other->item) ? one : other;
}

static struct worker *first_of_two_by_weight(struct balancer *balancer)
{
    struct worker *one = draw_by_weight(balancer), *other = draw_by_weight(balancer);
    return balancer->takers.before(&one->item, &other->item) ? one : other;
}

static const struct balancer_scheme schemes[] = {
    {.name = "leastload",
     .help = "the one with the fewest tasks, and among these the one that got its last task first",
     .before = less_loaded,
     .choose = first},
    {.name = "lru",
     .help = "the one that got its last task first",
     .before = longer_unused,
     .choose = first},
    {.name = "plainrandom", .help = "any", .before = longer_unused, .choose = draw_any},
    {.name = "twobin",
     .help = "of two at random, the one that got its last task first",
     .before = longer_unused,
     .choose = first_of_two},
    {.name = "weighted",
     .help = "of two at random, drawn with the inverse of their loads as weights, the less loaded",
     .before = less_loaded,
     .weight = inverse_load,
     .choose = first_of_two_by_weight},
    {.name = "pure",
     .help = "each in turn, even if it is busy (hwm has no effect), and tasks with after, follow, "
             "targets, retries or timeout are refused",
     .before = longer_unused,
     .choose = first,
     .pure = true},
};

const struct balancer_scheme *balancer_scheme_at(size_t number)
{
    return number < sizeof(schemes) / sizeof(*schemes) ? &schemes[number] : NULL;
}

const struct balancer_scheme *balancer_scheme_of(const char *name)
{
    const struct balancer_scheme *scheme;
    for (size_t i = 0; (scheme = balancer_scheme_at(i)); i++)
        if (!strcmp(scheme->name, name))
            return scheme;
    return NULL;
}
