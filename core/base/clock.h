/* Time: a clock that only runs forward, and dates as Jupyter messages write them. */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdbool.h>
#include <stddef.h>

#define CLOCK_DATE_BYTES 32

/* A time on the clock of clock_ms() that never comes. */
#define CLOCK_NEVER 0x7fffffffffffffffLL

long long clock_ms(void);         /* milliseconds of CLOCK_MONOTONIC */
long long clock_precise_us(void); /* the same clock in microseconds */
long long clock_ns(void);         /* and in nanoseconds */
/* The earlier of two times. */
static inline long long clock_sooner(long long one_ms, long long other_ms)
{
    return one_ms < other_ms ? one_ms : other_ms;
}
/* For times that are stored as 0 if nothing is due: CLOCK_NEVER for 0. */
static inline long long clock_due(long long noted_ms)
{
    return noted_ms ? noted_ms : CLOCK_NEVER;
}

double clock_wall(void); /* seconds since the epoch */
/* Writes the present date in UTC as ISO 8601 with microseconds: 2026-11-22T07:14:45.123456Z.
 * Returns its length. */
size_t clock_date(char text[CLOCK_DATE_BYTES]);
/* Writes the date in `text` in the form of clock_date(), so that texts have the order of times.
 * `text` is ISO 8601 as Jupyter messages write it: date, T or a space, time, a fraction or none,
 * and Z, an offset, or nothing for local time. Returns whether it is such a date. */
bool clock_normalize(const char *text, char date[CLOCK_DATE_BYTES]);

#endif
