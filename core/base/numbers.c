/* Numbers as people list them: "3", "5-7", "3, 5-7". */
#include "base/numbers.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

static int append(struct numbers *numbers, int first, int last)
{
    size_t more = (size_t)(last - first) + 1;
    if (more > NUMBERS_MAX - numbers->count)
        return -1;
    int *grown = realloc(numbers->list, (numbers->count + more) * sizeof(*grown));
    if (!grown)
        return -1;
    numbers->list = grown;
    for (size_t i = 0; i < more; i++)
        numbers->list[numbers->count++] = first + (int)i;
    return 0;
}

static const char *skip_blanks(const char *at)
{
    return at + strspn(at, " \t");
}

/* Reads a number with blanks around it. Returns what follows, or NULL where it is none. */
static const char *read_number(const char *at, long *number)
{
    char *end;
    at = skip_blanks(at);
    if (!isdigit((unsigned char)*at))
        return NULL;
    *number = strtol(at, &end, 10);
    return skip_blanks(end);
}

int numbers_add(struct numbers *numbers, const char *text, int least, int most)
{
    for (const char *at = text; *at;) {
        long first = 0, last;
        const char *end = read_number(at, &first);
        last = first;
        if (end && *end == '-')
            end = read_number(end + 1, &last);
        if (!end)
            return -1;
        if ((*end && *end != ',') || first < least || last > most || first > last ||
            append(numbers, (int)first, (int)last))
            return -1;
        at = *end ? end + 1 : end;
    }
    return 0;
}
