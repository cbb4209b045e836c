/* The known name that is nearest to a mistyped one, by edit distance. */
#include "config/nearest.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

void nearest_begin(struct nearest *nearest, const char *wanted)
{
    nearest->wanted = wanted;
    nearest->best[0] = '\0';
    nearest->distance = 0;
}

/* Upper and lower case are the same, and so are - and _, as on the command line. */
static int plain(char letter)
{
    return letter == '_' ? '-' : tolower((unsigned char)letter);
}

/* What it costs to add or drop a letter. The dot between a class and its setting costs more than a
 * letter, so it rather stays. */
static size_t cost(int letter)
{
    return letter == '.' ? 2 : 1;
}

static size_t replacing(int here, int there)
{
    return here == there ? 0 : cost(here) > cost(there) ? cost(here) : cost(there);
}

static size_t least(size_t a, size_t b, size_t c)
{
    size_t ab = a < b ? a : b;
    return ab < c ? ab : c;
}

/* How many letters must be added, dropped, replaced, or swapped with their neighbour (Damerau's
 * distance of adjacent letters). */
static size_t distance(const char *from, const char *to)
{
    size_t rows[3][NEAREST_BYTES];
    size_t from_length = strnlen(from, NEAREST_BYTES - 1),
           to_length = strnlen(to, NEAREST_BYTES - 1);
    size_t *before = rows[0], *above = rows[1], *row = rows[2];
    for (size_t j = 0; j <= to_length; j++)
        row[j] = j ? row[j - 1] + cost(to[j - 1]) : 0;
    for (size_t i = 1; i <= from_length; i++) {
        size_t *oldest = before;
        before = above;
        above = row;
        row = oldest;
        row[0] = above[0] + cost(from[i - 1]);
        for (size_t j = 1; j <= to_length; j++) {
            int here = plain(from[i - 1]), there = plain(to[j - 1]);
            row[j] = least(above[j] + cost(here), row[j - 1] + cost(there),
                           above[j - 1] + replacing(here, there));
            if (i > 1 && j > 1 && here == plain(to[j - 2]) && plain(from[i - 2]) == there &&
                before[j - 2] + 1 < row[j])
                row[j] = before[j - 2] + 1;
        }
    }
    return row[to_length];
}

void nearest_offer(struct nearest *nearest, const char *candidate)
{
    size_t away = distance(nearest->wanted, candidate);
    if (nearest->best[0] && away >= nearest->distance)
        return;
    nearest->distance = away;
    snprintf(nearest->best, sizeof(nearest->best), "%s", candidate);
}
