/* Histograms. */
#include "base/counter.h"

#define FIRST_BITS 4 /* the first bound is a 1 behind so many bits */

unsigned long long histogram_bound_us(size_t bucket)
{
    return bucket + 1 < HISTOGRAM_BUCKETS ? 1ULL << (FIRST_BITS + 2 * bucket) : 0;
}

void histogram_note(struct histogram *histogram, long long us)
{
    unsigned long long value = us > 0 ? (unsigned long long)us : 0;
    /* A bound belongs to its own bucket: what has no more bits than a bound minus one. */
    int bits = value > 1 ? 64 - __builtin_clzll(value - 1) : 0;
    int bucket = bits > FIRST_BITS ? (bits - FIRST_BITS + 1) / 2 : 0;
    counter_add(&histogram->buckets[bucket < HISTOGRAM_BUCKETS ? bucket : HISTOGRAM_BUCKETS - 1],
                1);
    counter_add(&histogram->sum_us, value);
}
