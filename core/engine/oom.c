/* How many processes Linux has killed for lack of memory: from counters of the control group and of
 * the host. Unlike Linux's log, everybody may read these. */
#include "engine/oom.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define LINE_BYTES  4096
#define HOST_EVENTS "/proc/vmstat"

/* The number after a word at the beginning of a line; -1: there is none. */
static long long count_in(const char *path, const char *word)
{
    char line[LINE_BYTES];
    long long count = -1;
    size_t length = strlen(word);
    FILE *file = *path ? fopen(path, "r") : NULL;
    while (file && count < 0 && fgets(line, sizeof(line), file))
        if (!strncmp(line, word, length) && line[length] == ' ')
            sscanf(line + length, "%lld", &count);
    if (file)
        fclose(file);
    return count;
}

/* Where the group's counters are (cgroups(7)): in the one hierarchy of today, whose line begins
 * with "0::", or in that of memory. */
static void find_group(char events[PATH_BYTES])
{
    char line[LINE_BYTES];
    FILE *file = fopen("/proc/self/cgroup", "r");
    events[0] = '\0';
    while (file && fgets(line, sizeof(line), file)) {
        const char *memory = strstr(line, ":memory:");
        line[strcspn(line, "\n")] = '\0';
        if (memory)
            snprintf(events, PATH_BYTES, "/sys/fs/cgroup/memory%.3000s/memory.oom_control",
                     memory + strlen(":memory:"));
        else if (!strncmp(line, "0::", 3) && !*events)
            snprintf(events, PATH_BYTES, "/sys/fs/cgroup%.3000s/memory.events", line + 3);
    }
    if (file)
        fclose(file);
}

void oom_look(struct oom *oom)
{
    find_group(oom->events);
    oom->group = count_in(oom->events, "oom_kill");
    oom->host = count_in(HOST_EVENTS, "oom_kill");
}

/* The group counts each of its own processes, also if the host had no more memory. */
void oom_describe(const struct oom *since, char *text, size_t size)
{
    bool own = since->group >= 0;
    long long before = own ? since->group : since->host,
              killed = count_in(own ? since->events : HOST_EVENTS, "oom_kill") - before;
    text[0] = '\0';
    if (before >= 0 && killed > 0)
        snprintf(text, size,
                 "; since it began, the system has killed %lld process%s of its %s for lack of "
                 "memory",
                 killed, killed == 1 ? "" : "es", own ? "control group" : "host");
}
