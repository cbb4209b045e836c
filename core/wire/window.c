/* Anti-replay windows. */
#include "wire/window.h"

#include <stdlib.h>

#define WORD_BITS 64
#define WORDS     (WINDOW_WIDTH / WORD_BITS)

void window_init(struct window *window, uint64_t floor)
{
    *window = (struct window){.highest = floor, .floor = floor};
}

static uint64_t *word_of(const struct window *window, uint64_t counter)
{
    return &window->bits[counter / WORD_BITS % WORDS];
}

/* The bits of the words that the window moves into still tell of counters that are behind it
 * now. */
static void advance(struct window *window, uint64_t counter)
{
    uint64_t first = window->highest / WORD_BITS + 1, last = counter / WORD_BITS;
    for (uint64_t word = first; word <= last && word < first + WORDS; word++)
        window->bits[word % WORDS] = 0;
    window->highest = counter;
    /* Whole words leave the window: one bit of the oldest would be another's. */
    if (last >= WORDS && (last - WORDS + 1) * WORD_BITS - 1 > window->floor)
        window->floor = (last - WORDS + 1) * WORD_BITS - 1;
}

bool window_take(struct window *window, uint64_t counter)
{
    if (counter <= window->floor)
        return false;
    if (!window->bits) {
        bool next = !window->begun || counter == window->highest + 1;
        window->begun = true;
        /* The first that is out of its turn. Where memory is short, all lower counters count as
         * seen. */
        if (next || !(window->bits = calloc(WORDS, sizeof(*window->bits)))) {
            window->highest = window->floor = counter;
            return true;
        }
    }
    if (counter > window->highest)
        advance(window, counter);
    uint64_t *word = word_of(window, counter), bit = 1ull << counter % WORD_BITS;
    if (*word & bit)
        return false;
    *word |= bit;
    return true;
}

void window_release(struct window *window)
{
    free(window->bits);
    *window = (struct window){0};
}
