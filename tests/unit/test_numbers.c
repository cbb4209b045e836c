/* Numbers as people list them. */
#include <criterion/criterion.h>
#include <limits.h>
#include <stdlib.h>

#include "base/numbers.h"

Test(numbers, lists_are_numbers_and_ranges_in_their_order)
{
    const int expected[] = {3, 5, 6, 7, 0, 3, 1, 2, 3};
    struct numbers numbers = {NULL, 0};
    cr_assert_eq(numbers_add(&numbers, "", 0, 10), 0);
    cr_assert_eq(numbers_add(&numbers, "3,5-7", 0, 10), 0);
    cr_assert_eq(numbers_add(&numbers, "0,3-3", 0, 10), 0);
    cr_assert_eq(numbers_add(&numbers, " 1, 2 - 3\t", 0, 10), 0);
    cr_assert_eq(numbers.count, 9);
    for (size_t i = 0; i < numbers.count; i++)
        cr_assert_eq(numbers.list[i], expected[i]);
    free(numbers.list);
}

Test(numbers, the_largest_number_ends_a_range)
{
    struct numbers numbers = {NULL, 0};
    cr_assert_eq(numbers_add(&numbers, "2147483646-2147483647", 0, INT_MAX), 0);
    cr_assert_eq(numbers.count, 2);
    cr_assert_eq(numbers.list[1], INT_MAX);
    free(numbers.list);
}

Test(numbers, more_than_a_million_are_refused)
{
    struct numbers numbers = {NULL, 0};
    cr_assert_eq(numbers_add(&numbers, "0-2147483647", 0, INT_MAX), -1);
    cr_assert_eq(numbers.count, 0);
    cr_assert_eq(numbers_add(&numbers, "1-1000000", 0, INT_MAX), 0);
    cr_assert_eq(numbers_add(&numbers, "7", 0, INT_MAX), -1);
    free(numbers.list);
}

Test(numbers, what_is_no_list_or_out_of_bounds_is_refused)
{
    static const char *const wrong[] = {"a",  "-1", "1-", "3-2",  "1,,2",       " ",  "1 2",
                                        "11", "0",  "1x", "1-11", "4294967297", ",1", "1.5"};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
        struct numbers numbers = {NULL, 0};
        cr_expect_eq(numbers_add(&numbers, wrong[i], 1, 10), -1, "%s", wrong[i]);
        free(numbers.list);
    }
}
