/* Lists of words, and times. */
#include "launch.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#define KILLED_SECONDS 20 /* for copies to end after SIGKILL, on a busy host */

size_t list_length(const char *const *list)
{
    size_t count = 0;
    while (list && list[count])
        count++;
    return count;
}

char **list_copy(const char *const *list)
{
    size_t count = list_length(list);
    char **copy = calloc(count + 1, sizeof(*copy));
    for (size_t i = 0; copy && i < count; i++) {
        copy[i] = strdup(list[i]);
        if (!copy[i]) {
            list_free(copy);
            return NULL;
        }
    }
    return copy;
}

void list_free(char **list)
{
    for (size_t i = 0; list && list[i]; i++)
        free(list[i]);
    free(list);
}

void say_patience(const struct ipcl_launcher_services *services, double seconds)
{
    services->stop_takes(services->base.host, milliseconds(seconds + KILLED_SECONDS));
}

unsigned milliseconds(double seconds)
{
    if (!(seconds > 0))
        return 0;
    return seconds < UINT_MAX / 1000 ? (unsigned)(seconds * 1000) : UINT_MAX;
}
