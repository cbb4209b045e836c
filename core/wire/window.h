/* Which counters of one sender have been seen: an anti-replay window (RFC 4303, 3.4.3). Behind the
 * highest counter stand bits for lower ones, so that messages of a lost connection and of the next
 * connection may interleave. What is older is refused, seen or not. */
#ifndef WIRE_WINDOW_H
#define WIRE_WINDOW_H

#include <stdbool.h>
#include <stdint.h>

/* How far a message may be behind the newest. */
#define WINDOW_WIDTH 16384

struct window {
    uint64_t highest;
    uint64_t floor; /* nothing up to here is taken any more */
    uint64_t *bits; /* NULL as long as each counter was the next */
    bool begun;     /* it has taken one: what a sender sent before that is refused */
};

/* A window that takes what is above `floor`; all zero is one that takes anything. */
void window_init(struct window *window, uint64_t floor);
/* Takes a counter. Returns false where it was seen, or is too old to tell. */
bool window_take(struct window *window, uint64_t counter);
void window_release(struct window *window);

#endif
