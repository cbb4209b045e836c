/* The schemes: which engine gets a task that may go anywhere. */
#include <string.h>

#include "controller/balancer_internal.h"

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

static double weight_of(const struct worker *worker)
{
    return 1.0 / (1e-6 + (double)worker->load);
}

/* One engine, drawn with the inverse of its load as its weight. The one step here that looks at
 * every engine. */
static struct worker *draw_weighted(struct balancer *balancer)
{
    double sum = 0;
    for (size_t i = 0; i < balancer->takers.count; i++)
        sum += weight_of(taker(balancer, i));
    double left = sum * ((double)(draw(balancer) >> 11) / (double)(1ULL << 53));
    size_t index = 0;
    while (index + 1 < balancer->takers.count && (left -= weight_of(taker(balancer, index))) > 0)
        index++;
    return taker(balancer, index);
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
