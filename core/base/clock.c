/* Time: the monotonic clock, and dates as ISO 8601 text. */
#include "base/clock.h"

#include <stdio.h>
#include <time.h>

long long clock_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

double clock_wall(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

size_t clock_date(char text[CLOCK_DATE_BYTES])
{
    /* Breaking a second down into a date costs ten times what the rest does, so each thread keeps the last one. */
    static _Thread_local time_t known_second = -1;
    static _Thread_local char known_text[20];
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (now.tv_sec != known_second) {
        struct tm parts;
        gmtime_r(&now.tv_sec, &parts);
        strftime(known_text, sizeof(known_text), "%Y-%m-%dT%H:%M:%S", &parts);
        known_second = now.tv_sec;
    }
    return (size_t)snprintf(text, CLOCK_DATE_BYTES, "%s.%06ldZ", known_text, now.tv_nsec / 1000 % 1000000);
}
