/* The answer to a usage_request: processor time and memory of the engine with its children, and of
 * the host, as Jupyter's resource monitors show them. I/O thread. */
#include <ctype.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "engine/usage.h"

#define PROCESSES_MAX 65536
#define DEPTH_MAX     1000

struct process {
    long pid;
    long parent;
    unsigned long long ticks;
    bool ours;
};

/* The fields of /proc/PID/stat (proc(5)) that follow the command. That is in parentheses, and may
 * have any characters. */
static bool read_process(const char *pid, struct process *process)
{
    char path[64], line[1024];
    unsigned long long user, kernel;
    snprintf(path, sizeof(path), "/proc/%.20s/stat", pid);
    FILE *file = fopen(path, "r");
    if (!file)
        return false;
    const char *command_end = fgets(line, sizeof(line), file) ? strrchr(line, ')') : NULL;
    fclose(file);
    if (!command_end ||
        sscanf(command_end + 1, " %*c %ld %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu",
               &process->parent, &user, &kernel) != 3)
        return false;
    process->pid = atol(pid);
    process->ticks = user + kernel;
    process->ours = process->pid == getpid();
    return true;
}

static struct process *list_processes(size_t *count)
{
    DIR *folder = opendir("/proc");
    struct process *list = NULL;
    size_t room = 0;
    *count = 0;
    for (struct dirent *entry; folder && (entry = readdir(folder));) {
        if (!isdigit((unsigned char)entry->d_name[0]) || *count == PROCESSES_MAX)
            continue;
        if (*count == room) {
            struct process *more = realloc(list, (room = room * 2 + 256) * sizeof(*list));
            if (!more)
                break;
            list = more;
        }
        if (read_process(entry->d_name, &list[*count]))
            ++*count;
    }
    if (folder)
        closedir(folder);
    return list;
}

static int by_pid(const void *one, const void *other)
{
    long a = ((const struct process *)one)->pid, b = ((const struct process *)other)->pid;
    return (a > b) - (a < b);
}

/* A process that ours started is ours, however far down. */
static void mark_descendants(struct process *list, size_t count)
{
    if (count)
        qsort(list, count, sizeof(*list), by_pid);
    for (size_t i = 0; i < count; i++) {
        struct process *at = &list[i];
        /* The list was not read at one moment: its parents may form a circle. */
        for (int depth = 0; at && !at->ours && depth < DEPTH_MAX; depth++) {
            struct process parent = {.pid = at->parent};
            at = bsearch(&parent, list, count, sizeof(*list), by_pid);
        }
        list[i].ours = at && at->ours;
    }
}

/* The number after `key` in a file of lines such as "Pss:  123 kB", in bytes; -1: there is none. */
static long long read_bytes(const char *path, const char *key)
{
    char line[256];
    long long kilobytes = -1;
    FILE *file = fopen(path, "r");
    size_t length = strlen(key);
    while (file && kilobytes < 0 && fgets(line, sizeof(line), file))
        if (!strncmp(line, key, length) && line[length] == ':')
            kilobytes = atoll(line + length + 1);
    if (file)
        fclose(file);
    return kilobytes < 0 ? -1 : kilobytes * 1024;
}

static long long memory_of(long pid)
{
    char path[64];
    snprintf(path, sizeof(path), "/proc/%ld/smaps_rollup", pid);
    long long bytes = read_bytes(path, "Pss");
    if (bytes >= 0)
        return bytes;
    snprintf(path, sizeof(path), "/proc/%ld/status", pid);
    bytes = read_bytes(path, "VmRSS");
    return bytes < 0 ? 0 : bytes;
}

static json_t *host_memory(void)
{
    const char *file = "/proc/meminfo";
    json_int_t total = read_bytes(file, "MemTotal"), available = read_bytes(file, "MemAvailable");
    json_int_t unused = read_bytes(file, "MemFree");
    json_int_t cached = read_bytes(file, "Cached") + read_bytes(file, "SReclaimable");
    json_int_t buffers = read_bytes(file, "Buffers");
    double percent = total > 0 ? 100.0 * (double)(total - available) / (double)total : 0;
    return json_pack("{s:I s:I s:f s:I s:I s:I s:I}", "total", total, "available", available,
                     "percent", percent, "used", total - unused - cached - buffers, "free", unused,
                     "cached", cached, "buffers", buffers);
}

json_t *usage_content(struct usage *usage)
{
    size_t count;
    struct process *list = list_processes(&count);
    unsigned long long ticks = 0;
    json_int_t memory = 0;
    char host[256] = "";
    mark_descendants(list, count);
    for (size_t i = 0; i < count; i++) {
        if (!list[i].ours)
            continue;
        ticks += list[i].ticks;
        memory += memory_of(list[i].pid);
    }
    free(list);
    gethostname(host, sizeof(host) - 1);
    long long now_ms = clock_ms(), passed_ms = now_ms - usage->asked_ms;
    double busy_ms = ((double)ticks - (double)usage->ticks) * 1000 / (double)sysconf(_SC_CLK_TCK);
    /* Since the last request; the first has nothing to compare with, as in ipykernel. */
    double cpu =
        usage->asked_ms && passed_ms > 0 && busy_ms > 0 ? 100 * busy_ms / (double)passed_ms : 0;
    usage->asked_ms = now_ms;
    usage->ticks = ticks;
    return json_pack("{s:s s:s s:I s:f s:I s:I s:o}", "status", "ok", "hostname", host, "pid",
                     (json_int_t)getpid(), "kernel_cpu", cpu, "kernel_memory", memory, "cpu_count",
                     (json_int_t)sysconf(_SC_NPROCESSORS_ONLN), "host_virtual_memory",
                     host_memory());
}
