/* Time: the monotonic clock, and dates as ISO 8601 text. */
#include "base/clock.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

long long clock_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

long long clock_precise_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000LL + now.tv_nsec / 1000;
}

long long clock_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000000LL + now.tv_nsec;
}

double clock_wall(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

size_t clock_date(char text[CLOCK_DATE_BYTES])
{
    /* Breaking a second down into a date costs ten times what the rest does, so each thread keeps
     * the last one. */
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
    size_t length = strlen(known_text);
    memcpy(text, known_text, length);
    text[length] = '.';
    long micros = now.tv_nsec / 1000;
    for (size_t i = length + 6; i > length; micros /= 10)
        text[i--] = (char)('0' + micros % 10);
    text[length + 7] = 'Z';
    text[length + 8] = '\0';
    return length + 8;
}

/* The digits behind a point, as microseconds; further ones are passed over. */
static long read_fraction(const char **at)
{
    long micros = 0, unit = 100000;
    for (; isdigit((unsigned char)**at); (*at)++, unit /= 10)
        micros += unit * (**at - '0');
    return micros;
}

/* "Z", "+01:00", "+0100", "-05" or nothing. Returns whether it is one of them. */
static bool read_zone(const char *at, bool *local, long *offset_s)
{
    int hours, minutes = 0, length = 0;
    *offset_s = 0;
    *local = !*at;
    if (!*at || !strcmp(at, "Z"))
        return true;
    if ((*at != '+' && *at != '-') || !isdigit((unsigned char)at[1]) ||
        !isdigit((unsigned char)at[2]))
        return false;
    hours = 10 * (at[1] - '0') + at[2] - '0';
    const char *rest = at + 3;
    if (*rest == ':')
        rest++;
    if (*rest &&
        (sscanf(rest, "%2d%n", &minutes, &length) != 1 || length != 2 || rest[2] || *rest == '-'))
        return false;
    *offset_s = (*at == '-' ? -1 : 1) * (hours * 3600L + minutes * 60L);
    return true;
}

bool clock_normalize(const char *text, char date[CLOCK_DATE_BYTES])
{
    struct tm parts = {.tm_isdst = -1};
    int length = 0;
    long micros = 0, offset_s;
    bool local;
    char between;
    if (sscanf(text, "%4d-%2d-%2d%c%2d:%2d:%2d%n", &parts.tm_year, &parts.tm_mon, &parts.tm_mday,
               &between, &parts.tm_hour, &parts.tm_min, &parts.tm_sec, &length) != 7 ||
        !length || (between != 'T' && between != ' '))
        return false;
    const char *at = text + length;
    if (*at == '.') {
        at++;
        micros = read_fraction(&at);
    }
    if (!read_zone(at, &local, &offset_s))
        return false;
    parts.tm_year -= 1900;
    parts.tm_mon -= 1;
    time_t seconds = local ? mktime(&parts) : timegm(&parts) - offset_s;
    if (!gmtime_r(&seconds, &parts) || parts.tm_year < -900 || parts.tm_year > 8099)
        return false;
    size_t size = strftime(date, CLOCK_DATE_BYTES, "%Y-%m-%dT%H:%M:%S", &parts);
    snprintf(date + size, CLOCK_DATE_BYTES - size, ".%06ldZ", micros);
    return true;
}
