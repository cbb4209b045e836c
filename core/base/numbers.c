/* Numbers as people list them: "3", "5-7", "3,5-7". */
#include "base/numbers.h"

#include <ctype.h>
#include <stdlib.h>

static int append(struct numbers *numbers, int first, int last)
{
    size_t more = (size_t)(last - first) + 1;
    int *grown = realloc(numbers->list, (numbers->count + more) * sizeof(*grown));
    if (!grown)
        return -1;
    numbers->list = grown;
    for (int number = first; number <= last; number++)
        numbers->list[numbers->count++] = number;
    return 0;
}

int numbers_add(struct numbers *numbers, const char *text, int least, int most)
{
    for (const char *at = text; *at;) {
        char *end;
        if (!isdigit((unsigned char)*at))
            return -1;
        long first = strtol(at, &end, 10), last = first;
        if (*end == '-' && isdigit((unsigned char)end[1]))
            last = strtol(end + 1, &end, 10);
        if ((*end && *end != ',') || first < least || last > most || first > last ||
            append(numbers, (int)first, (int)last))
            return -1;
        at = *end ? end + 1 : end;
    }
    return 0;
}
