/* The schemes: which engine gets a task that may go anywhere. */
#include <string.h>

#include "controller/balancer/balancer_private.h"

int balancer_scheme_of(const char *name, enum balancer_scheme *scheme)
{
    static const char *const names[] = {
        [BALANCER_LEASTLOAD] = "leastload",     [BALANCER_LRU] = "lru",
        [BALANCER_PLAINRANDOM] = "plainrandom", [BALANCER_TWOBIN] = "twobin",
        [BALANCER_WEIGHTED] = "weighted",       [BALANCER_PURE] = "pure",
    };
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
        if (!strcmp(name, names[i])) {
            *scheme = (enum balancer_scheme)i;
            return 0;
        }
    }
    return -1;
}

static const struct worker *worker_of(const struct heap_item *item)
{
    return (const struct worker *)item;
}

bool choice_less_loaded(const struct heap_item *a, const struct heap_item *b)
{
    if (worker_of(a)->load != worker_of(b)->load)
        return worker_of(a)->load < worker_of(b)->load;
    return worker_of(a)->used < worker_of(b)->used;
}

bool choice_longer_unused(const struct heap_item *a, const struct heap_item *b)
{
    return worker_of(a)->used < worker_of(b)->used;
}

static uint64_t draw(struct balancer *balancer)
{
    /* Marsaglia's xorshift64: any even spread will do here. */
    balancer->random ^= balancer->random << 13;
    balancer->random ^= balancer->random >> 7;
    balancer->random ^= balancer->random << 17;
    return balancer->random;
}

static struct worker *taker(const struct balancer *balancer, size_t index)
{
    return (struct worker *)balancer->takers.items[index];
}

double choice_weight(const struct heap_item *item)
{
    return 1.0 / (1e-6 + (double)worker_of(item)->load);
}

static struct worker *draw_weighted(struct balancer *balancer)
{
    double part = (double)(draw(balancer) >> 11) / (double)(1ULL << 53);
    return (struct worker *)heap_draw(&balancer->takers, part);
}

struct worker *choice_make(struct balancer *balancer)
{
    struct worker *one, *other;
    switch (balancer->scheme) {
    case BALANCER_PLAINRANDOM:
        return taker(balancer, draw(balancer) % balancer->takers.count);
    case BALANCER_TWOBIN:
        one = taker(balancer, draw(balancer) % balancer->takers.count);
        other = taker(balancer, draw(balancer) % balancer->takers.count);
        return choice_longer_unused(&one->item, &other->item) ? one : other;
    case BALANCER_WEIGHTED:
        one = draw_weighted(balancer);
        other = draw_weighted(balancer);
        return choice_less_loaded(&one->item, &other->item) ? one : other;
    default:
        return taker(balancer, 0);
    }
}
