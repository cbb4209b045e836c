/* Anti-replay windows: each counter is taken once, in whatever order, and what is too old to tell
 * is refused. */
#include <criterion/criterion.h>

#include "wire/window.h"

#define START 1700000000000000ull

Test(window, takes_each_counter_once)
{
    struct window window = {0};
    for (uint64_t i = 0; i < 100000; i++)
        cr_assert(window_take(&window, START + i));
    for (uint64_t i = 0; i < 100000; i++)
        cr_assert_not(window_take(&window, START + i));
    cr_assert_null(window.bits, "what comes in turn costs no memory");
    window_release(&window);
}

Test(window, takes_what_interleaves_once)
{
    struct window window = {0};
    cr_assert(window_take(&window, START));
    for (uint64_t i = 2; i < 10000; i += 2)
        cr_assert(window_take(&window, START + i));
    for (uint64_t i = 1; i < 10000; i += 2)
        cr_assert(window_take(&window, START + i));
    for (uint64_t i = 0; i < 10000; i++)
        cr_assert_not(window_take(&window, START + i));
    window_release(&window);
}

Test(window, refuses_what_is_too_old_to_tell)
{
    struct window window = {0};
    cr_assert(window_take(&window, START));
    cr_assert(window_take(&window, START + 3 * WINDOW_WIDTH));
    cr_assert_not(window_take(&window, START + WINDOW_WIDTH));
    cr_assert(window_take(&window, START + 3 * WINDOW_WIDTH - WINDOW_WIDTH / 2));
    cr_assert_not(window_take(&window, START + 3 * WINDOW_WIDTH - WINDOW_WIDTH / 2));
    window_release(&window);
}

Test(window, refuses_what_was_sent_before_it_began)
{
    struct window window;
    window_init(&window, 7);
    cr_assert_not(window_take(&window, 7));
    cr_assert(window_take(&window, START));
    cr_assert_not(window_take(&window, START - 1));
    cr_assert(window_take(&window, START + 1));
    window_release(&window);
}

/* Compared with a plain list of what was taken, over jumps of all sizes. */
Test(window, never_takes_one_twice)
{
    static unsigned char taken[1 << 20];
    struct window window = {0};
    uint64_t at = 1, random = 1;
    for (int i = 0; i < 200000; i++) {
        random = random * 6364136223846793005u + 1442695040888963407u;
        uint64_t step = (random >> 33) % (i % 1000 ? 12 : 3 * WINDOW_WIDTH);
        uint64_t back = (random >> 50) % 200;
        if (at + step < sizeof(taken))
            at += step;
        uint64_t counter = at > back ? at - back : at;
        bool took = window_take(&window, counter);
        cr_assert_not(took && taken[counter]);
        cr_assert(took || taken[counter] || counter <= window.floor);
        taken[counter] |= took;
    }
    window_release(&window);
}
