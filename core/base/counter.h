/* Numbers that one thread writes and any thread reads, with the value of that moment. Adding costs
 * no more than adding to a variable. And histograms of such numbers. */
#ifndef BASE_COUNTER_H
#define BASE_COUNTER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

/* A count of what has happened, or of how much there is now. */
struct counter {
    atomic_ullong value;
};

static inline unsigned long long counter_get(const struct counter *counter)
{
    return atomic_load_explicit(&((struct counter *)counter)->value, memory_order_relaxed);
}

static inline void counter_set(struct counter *counter, unsigned long long value)
{
    atomic_store_explicit(&counter->value, value, memory_order_relaxed);
}

static inline void counter_add(struct counter *counter, unsigned long long amount)
{
    counter_set(counter, counter_get(counter) + amount);
}

/* The bounds of buckets are 16 microseconds, and that times powers of four, up to an hour and ten
 * minutes. Longer times have a bucket of their own. */
#define HISTOGRAM_BUCKETS 16

struct histogram {
    struct counter buckets[HISTOGRAM_BUCKETS]; /* not cumulative */
    struct counter sum_us;
};

/* The largest number of microseconds that a bucket takes; 0 for the last one, which takes any. */
unsigned long long histogram_bound_us(size_t bucket);
/* Adds a time. */
void histogram_note(struct histogram *histogram, long long us);

#endif
