/* Histograms: each time has one bucket, whose bound it does not pass, and the sum is theirs. */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "base/counter.h"

static size_t bucket_of(long long us)
{
    struct histogram histogram = {0};
    size_t found = HISTOGRAM_BUCKETS;
    histogram_note(&histogram, us);
    for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        if (!counter_get(&histogram.buckets[i]))
            continue;
        cr_assert_eq(found, HISTOGRAM_BUCKETS, "%lld us are in two buckets", us);
        cr_assert_eq(counter_get(&histogram.buckets[i]), 1);
        found = i;
    }
    cr_assert_lt(found, HISTOGRAM_BUCKETS, "%lld us are in no bucket", us);
    return found;
}

Test(counter, a_bound_is_the_last_that_its_bucket_takes)
{
    cr_assert_eq(bucket_of(0), 0);
    cr_assert_eq(bucket_of(1), 0);
    for (size_t i = 0; i + 1 < HISTOGRAM_BUCKETS; i++) {
        long long bound = (long long)histogram_bound_us(i);
        cr_assert_eq(bucket_of(bound), i);
        cr_assert_eq(bucket_of(bound + 1), i + 1);
    }
    cr_assert_eq(histogram_bound_us(HISTOGRAM_BUCKETS - 1), 0);
    cr_assert_eq(bucket_of(0x7fffffffffffffffLL), HISTOGRAM_BUCKETS - 1);
}

Test(counter, bounds_are_evenly_spaced_by_their_logarithms)
{
    cr_assert_eq(histogram_bound_us(0), 16);
    for (size_t i = 1; i + 1 < HISTOGRAM_BUCKETS; i++)
        cr_assert_eq(histogram_bound_us(i), 4 * histogram_bound_us(i - 1));
}

Test(counter, a_histogram_has_as_many_and_as_much_as_was_noted)
{
    struct histogram histogram = {0};
    unsigned long long count = 0, sum = 0;
    srand(7);
    for (int i = 0; i < 10000; i++) {
        long long us = rand() % (1 << (i % 28 + 1));
        histogram_note(&histogram, us);
        sum += (unsigned long long)us;
    }
    histogram_note(&histogram, -5); /* a clock that went back is no time at all */
    for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++)
        count += counter_get(&histogram.buckets[i]);
    cr_assert_eq(count, 10001);
    cr_assert_eq(counter_get(&histogram.sum_us), sum);
}
