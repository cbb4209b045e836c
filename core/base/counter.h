/* Numbers that one thread writes and any thread reads, as they are at that moment: an addition to
 * one costs what it costs to add to a variable. And histograms of such numbers. */
#ifndef BASE_COUNTER_H
#define BASE_COUNTER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

/* Of what has happened, or how much there is now. */
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

/* The bounds of buckets are 16 microseconds and powers of four of these, up to an hour and ten
 * minutes; what is longer has a bucket of its own. */
#define HISTOGRAM_BUCKETS 16

struct histogram {
    struct counter buckets[HISTOGRAM_BUCKETS]; /* each by itself */
    struct counter sum_us;
};

/* The largest number of microseconds that a bucket takes; of the last one 0: any. */
unsigned long long histogram_bound_us(size_t bucket);
/* Enters a time. */
void histogram_note(struct histogram *histogram, long long us);

#endif
