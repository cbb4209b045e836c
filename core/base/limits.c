/* What the system lets this process have: descriptors, threads and memory. */
#include "base/limits.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

/* What the first allocations of a context and its threads come to, beside the threads' stacks. */
#define START_BYTES ((size_t)16 << 20)

long limits_descriptors(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) || limit.rlim_cur > INT_MAX)
        return INT_MAX;
    return (long)limit.rlim_cur;
}

size_t limits_free_descriptors(long end, size_t enough)
{
    struct pollfd looked_at[512]; /* poll(2) says of so many at once which are not open */
    size_t free_ones = 0;
    while (end > 0 && free_ones < enough) {
        long count = end < 512 ? end : 512;
        for (long i = 0; i < count; i++)
            looked_at[i] = (struct pollfd){.fd = (int)--end};
        poll(looked_at, (nfds_t)count, 0);
        for (long i = 0; i < count && free_ones < enough; i++)
            free_ones += (looked_at[i].revents & POLLNVAL) != 0;
    }
    return free_ones;
}

/* How many bytes a limit leaves beside those that are used; /proc/self/statm has these in pages. */
static size_t left_by_limit(int resource, size_t used_pages)
{
    struct rlimit limit;
    size_t used = used_pages * (size_t)sysconf(_SC_PAGESIZE);
    if (getrlimit(resource, &limit) || limit.rlim_cur == RLIM_INFINITY)
        return SIZE_MAX;
    return limit.rlim_cur > used ? limit.rlim_cur - used : 0;
}

/* The limit of this process's control group (version 2); SIZE_MAX where there is none. */
static size_t control_group_memory(void)
{
    char line[PATH_MAX], path[PATH_MAX + 64] = "";
    size_t bytes = SIZE_MAX;
    FILE *file = fopen("/proc/self/cgroup", "re");
    while (file && fgets(line, sizeof(line), file))
        if (!strncmp(line, "0::", 3))
            snprintf(path, sizeof(path), "/sys/fs/cgroup%.*s/memory.max",
                     (int)strcspn(line + 3, "\n"), line + 3);
    if (file)
        fclose(file);
    file = *path ? fopen(path, "re") : NULL;
    if (file && fscanf(file, "%zu", &bytes) != 1)
        bytes = SIZE_MAX; /* "max" */
    if (file)
        fclose(file);
    return bytes;
}

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Whatever the limits say: with less memory left than this a process cannot go on anyway. */
#define LEAST_BYTES ((size_t)16 << 20)

size_t limits_memory(void)
{
    size_t space = 0, data = 0;
    long pages = sysconf(_SC_PHYS_PAGES);
    size_t there = pages > 0 ? (size_t)pages * (size_t)sysconf(_SC_PAGESIZE) : SIZE_MAX;
    FILE *file = fopen("/proc/self/statm", "re");
    if (file && fscanf(file, "%zu %*u %*u %*u %*u %zu", &space, &data) != 2)
        space = data = 0;
    if (file)
        fclose(file);
    size_t left = least(least(there, control_group_memory()),
                        least(left_by_limit(RLIMIT_AS, space), left_by_limit(RLIMIT_DATA, data)));
    return left > LEAST_BYTES ? left : LEAST_BYTES;
}

static int check_descriptors(const struct limits_need *need, struct ipcl_error *error)
{
    long limit = limits_descriptors();
    size_t left = limits_free_descriptors(limit, need->descriptors);
    if (left >= need->descriptors)
        return 0;
    return ipcl_error_set(error,
                          "%s needs %zu file descriptors, and %zu are left of the %ld that this "
                          "process may have: raise that limit (ulimit -n)",
                          need->who, need->descriptors, left, limit);
}

/* The limit in MB, as a sentence has it. */
static void describe(int resource, char *text, size_t size)
{
    struct rlimit limit;
    if (getrlimit(resource, &limit) || limit.rlim_cur == RLIM_INFINITY)
        snprintf(text, size, "not set");
    else
        snprintf(text, size, "%llu MB", (unsigned long long)limit.rlim_cur >> 20);
}

/* Each thread has a stack of its own. */
static int check_memory(const struct limits_need *need, struct ipcl_error *error)
{
    pthread_attr_t attributes;
    size_t stack = 0;
    char space[32], data[32];
    pthread_attr_init(&attributes);
    pthread_attr_getstacksize(&attributes, &stack);
    pthread_attr_destroy(&attributes);
    size_t size = START_BYTES + need->threads * stack;
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory != MAP_FAILED)
        return munmap(memory, size);
    describe(RLIMIT_AS, space, sizeof(space));
    describe(RLIMIT_DATA, data, sizeof(data));
    return ipcl_error_set(error,
                          "%s needs %zu MB of memory more than this process may have: raise the "
                          "limit (ulimit -v is %s, ulimit -d %s), or make the stacks of threads "
                          "smaller (ulimit -s)",
                          need->who, size >> 20, space, data);
}

static void *wait_for_turn(void *turn)
{
    pthread_mutex_lock(turn);
    pthread_mutex_unlock(turn);
    return NULL;
}

/* Starts as many threads as are needed, and ends them again. Only this shows how many processes and
 * threads the limits of the user and of the container still allow. */
static int check_threads(const struct limits_need *need, struct ipcl_error *error)
{
    pthread_t *threads = calloc(need->threads + 1, sizeof(*threads));
    pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;
    struct rlimit limit;
    sigset_t all, before;
    size_t started = 0;
    if (!threads)
        return ipcl_error_set(error, "out of memory");
    sigfillset(&all); /* the threads get no signals */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pthread_mutex_lock(&turn);
    while (started < need->threads &&
           !pthread_create(&threads[started], NULL, wait_for_turn, &turn))
        started++;
    pthread_mutex_unlock(&turn);
    for (size_t i = 0; i < started; i++)
        pthread_join(threads[i], NULL);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    free(threads);
    if (started == need->threads)
        return 0;
    char user[32] = "not set";
    if (!getrlimit(RLIMIT_NPROC, &limit) && limit.rlim_cur != RLIM_INFINITY)
        snprintf(user, sizeof(user), "%llu", (unsigned long long)limit.rlim_cur);
    return ipcl_error_set(error,
                          "%s needs %zu threads, and the system gives it %zu: raise the limit of "
                          "this user's processes and threads (ulimit -u is %s), or that of this "
                          "container or session (pids.max), or end what is not needed",
                          need->who, need->threads, started, user);
}

int limits_check(const struct limits_need *need, struct ipcl_error *error)
{
    return check_descriptors(need, error) || check_memory(need, error) || check_threads(need, error)
               ? -1
               : 0;
}
