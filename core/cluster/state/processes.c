/* Processes of this host, read from /proc: when one was started, and which session it belongs
 * to. */
#include "cluster/state/processes.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mark.h"

static void tell_unseen(const char *path)
{
    static struct log_limit limit;
    log_limited(&limit, IPCL_LOG_WARN, "cannot look at processes: %s: %s", path, strerror(errno));
}

/* Whether descriptors or memory were too short to open a process's file, which is told then. */
static bool was_short(const char *path)
{
    bool is_short = errno == EMFILE || errno == ENFILE || errno == ENOMEM;
    if (is_short)
        tell_unseen(path);
    return is_short;
}

/* Reads /proc/PID/stat (proc(5)). Returns 1; 0 if there is no such process, or only its zombie; -1
 * if that is not known. */
static int process_read(int64_t pid, struct seen_process *process)
{
    char path[64], text[1024];
    long long group, session;
    unsigned long long born;
    char state;
    snprintf(path, sizeof(path), "/proc/%" PRId64 "/stat", pid);
    FILE *file = fopen(path, "r");
    if (!file)
        return was_short(path) ? -1 : 0;
    size_t size = fread(text, 1, sizeof(text) - 1, file);
    fclose(file);
    text[size] = '\0';
    /* The command's name, in parentheses, may have any characters: the fields follow the last
     * parenthesis. */
    char *fields = strrchr(text, ')');
    if (!fields ||
        sscanf(fields + 1,
               " %c %*d %lld %lld %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %llu",
               &state, &group, &session, &born) != 4 ||
        state == 'Z' || state == 'X')
        return 0;
    process->pid = pid;
    process->group = group;
    process->session = session;
    process->born = (int64_t)born;
    return 1;
}

int64_t process_born(int64_t pid)
{
    struct seen_process process;
    return pid > 0 && process_read(pid, &process) > 0 ? process.born : -1;
}

bool process_runs(int64_t pid, int64_t born)
{
    struct seen_process process;
    int there = pid > 0 && born >= 0 ? process_read(pid, &process) : 0;
    return there < 0 || (there > 0 && process.born == born);
}

bool processes_walk(void (*visit)(void *context, const struct seen_process *process), void *context)
{
    DIR *folder = opendir("/proc");
    struct dirent *entry;
    bool all = folder;
    if (!folder)
        tell_unseen("/proc");
    while (folder && (entry = readdir(folder))) {
        struct seen_process process;
        int there = isdigit((unsigned char)entry->d_name[0])
                        ? process_read(atoll(entry->d_name), &process)
                        : 0;
        all = all && there >= 0;
        if (there > 0)
            visit(context, &process);
    }
    if (folder)
        closedir(folder);
    return all;
}

/* The processes at the last look at all, which answers questions about many that have gone: a
 * session that had no members then has none later either. */
static struct {
    struct seen_process *list;
    size_t count, room;
    int64_t looked; /* in clock ticks since boot; 0: the list is not whole */
} seen;

static void note_process(void *context, const struct seen_process *process)
{
    (void)context;
    if (seen.count == seen.room) {
        size_t room = seen.room ? 2 * seen.room : 1024;
        struct seen_process *list = realloc(seen.list, room * sizeof(*list));
        if (!list) {
            seen.looked = 0;
            return;
        }
        seen.list = list;
        seen.room = room;
    }
    seen.list[seen.count++] = *process;
}

static void look_at_all(void)
{
    struct timespec now;
    clock_gettime(CLOCK_BOOTTIME, &now);
    int64_t per_second = sysconf(_SC_CLK_TCK);
    seen.looked = now.tv_sec * per_second + now.tv_nsec / (1000000000 / per_second);
    seen.count = 0;
    if (!processes_walk(note_process, NULL))
        seen.looked = 0;
}

static bool had_members(int64_t leader, int64_t born)
{
    for (size_t i = 0; i < seen.count; i++)
        if (seen.list[i].session == leader && seen.list[i].born >= born)
            return true;
    return false;
}

bool process_left(int64_t pid, int64_t born)
{
    if (process_runs(pid, born))
        return true;
    if (born < 0 || process_born(pid) >= 0) /* another has its number: its session had ended */
        return false;
    if (born < seen.looked && !had_members(pid, born))
        return false;
    look_at_all();
    return had_members(pid, born) || !seen.looked;
}

void process_mark(int64_t pid, int64_t born, char mark[PROCESS_MARK_BYTES])
{
    snprintf(mark, PROCESS_MARK_BYTES, MARK_VARIABLE "=%" PRId64 "-%" PRId64, pid, born);
}

bool process_is_marked(int64_t pid, const char *mark)
{
    char path[64], own[PROCESS_MARK_BYTES + 32], *word = NULL;
    size_t size = 0;
    bool marked = false;
    snprintf(own, sizeof(own), "%s-%" PRId64, mark, pid);
    snprintf(path, sizeof(path), "/proc/%" PRId64 "/environ", pid);
    FILE *file = fopen(path, "r");
    if (!file)
        was_short(path);
    while (file && !marked && getdelim(&word, &size, '\0', file) > 0)
        marked = !strcmp(word, mark) || !strcmp(word, own);
    free(word);
    if (file)
        fclose(file);
    return marked;
}

void boot_id(char text[BOOT_ID_BYTES])
{
    FILE *file = fopen("/proc/sys/kernel/random/boot_id", "r");
    if (!file || !fgets(text, BOOT_ID_BYTES, file))
        text[0] = '\0';
    text[strcspn(text, "\n")] = '\0';
    if (file)
        fclose(file);
}
