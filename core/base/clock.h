/* Time: a clock that only runs forward, and dates as Jupyter messages write them. */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stddef.h>

#define CLOCK_DATE_BYTES 32

long long clock_ms(void); /* milliseconds of CLOCK_MONOTONIC */
double clock_wall(void);  /* seconds since the epoch */
/* Writes the date now, in UTC, as ISO 8601 with microseconds: 2026-11-22T07:14:45.123456Z. Returns its length. */
size_t clock_date(char text[CLOCK_DATE_BYTES]);

#endif
