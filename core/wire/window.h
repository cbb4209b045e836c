/* Which counters of one sender have been seen: an anti-replay window (RFC 4303, 3.4.3). Each of the
 * counters just below the highest has a bit, so messages of a lost connection and of the next
 * connection may be mixed. Older counters are refused, seen or not. */
#ifndef WIRE_WINDOW_H
#define WIRE_WINDOW_H

#include <stdbool.h>
#include <stdint.h>

/* How far a message may be behind the newest. */
#define WINDOW_WIDTH 16384

struct window {
    uint64_t highest;
    uint64_t floor; /* counters up to this one are refused */
    uint64_t *bits; /* NULL as long as each counter was one above the last */
    bool begun;     /* it has taken one: messages sent before that one are refused */
};

/* A window that takes counters above `floor`. One that is all zero takes any. */
void window_init(struct window *window, uint64_t floor);
/* Takes a counter. Returns false if it was seen, or is too old to know. */
bool window_take(struct window *window, uint64_t counter);
void window_release(struct window *window);

#endif
