/* The output files of controllers and engines in a profile's log/: their tails, and old ones
 * removed. */
#include "cluster/supervisor/logs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/trust.h"
#include "cluster/state/state.h"

#define TAIL_BYTES 8192
#define AGAIN_MS   2 /* between two looks at a file that is still written to */
#define NAME_BYTES 256
#define TIME_LEAST 1000000000LL /* seconds since the epoch; process numbers are less */
#define STARTING_S 60           /* a cluster that is being started may have no state yet */

/* Where the last `lines` lines of `text` begin. */
static const char *last_lines(const char *text, size_t size, unsigned lines)
{
    const char *start = text + size;
    while (start > text) {
        if (start[-1] == '\n' && start != text + size && lines-- <= 1)
            break;
        start--;
    }
    return start;
}

bool logs_tail(const char *path, unsigned lines, FILE *stream)
{
    char text[TAIL_BYTES + 1];
    int file = trust_open(path, O_RDONLY | O_NONBLOCK, 0, NULL, NULL);
    if (file < 0)
        return false;
    off_t end = lseek(file, 0, SEEK_END);
    ssize_t size = pread(file, text, TAIL_BYTES, end > TAIL_BYTES ? end - TAIL_BYTES : 0);
    close(file);
    if (size <= 0)
        return false;
    text[size] = '\0';
    fprintf(stream, "The end of %s:\n", path);
    for (const char *line = last_lines(text, (size_t)size, lines); *line;) {
        size_t length = strcspn(line, "\n");
        fprintf(stream, "    %.*s\n", (int)length, line);
        line += length + (line[length] == '\n');
    }
    return true;
}

void logs_await_end(const char *path, int patience_ms)
{
    long long end_ms = clock_ms() + patience_ms;
    /* NFS has exclusive locks for files that are open for writing alone (flock(2)). */
    int file = trust_open(path, O_RDWR | O_NONBLOCK, 0, NULL, NULL);
    while (file >= 0 && flock(file, LOCK_EX | LOCK_NB) && errno == EWOULDBLOCK &&
           clock_ms() < end_ms)
        usleep(1000 * AGAIN_MS);
    if (file >= 0)
        close(file);
}

/* What the name of an output file, or one beside it, says: PROGRAM[-ID]-TIME-PID[-PID].log. */
struct log_name {
    char cluster_id[NAME_BYTES];
    long long time; /* seconds since the epoch */
    long long pid;  /* of the ipcluster that wrote it or had it written */
};

/* Takes a number off the end of a text, and the dash before it. */
static bool cut_number(char *text, long long *number)
{
    char *dash = strrchr(text, '-');
    if (!dash || !dash[1] || dash[1 + strspn(dash + 1, "0123456789")])
        return false;
    *number = strtoll(dash + 1, NULL, 10);
    *dash = '\0';
    return true;
}

/* Reads a name from its end, as ids may be numbers, too: those of processes and copies are less
 * than any time. */
static bool read_name(const char *name, struct log_name *log)
{
    static const char *const programs[] = {"ipengine", "ipcontroller", "ipcluster"};
    char text[NAME_BYTES];
    size_t length = strlen(name);
    const char *suffix = strrchr(name, '.');
    if (!suffix || length >= sizeof(text) ||
        (strcmp(suffix, ".log") && strcmp(suffix, ".sh") && strcmp(suffix, ".ends")))
        return false;
    snprintf(text, sizeof(text), "%.*s", (int)(suffix - name), name);
    if (!cut_number(text, &log->pid) || !cut_number(text, &log->time))
        return false;
    if (log->time < TIME_LEAST) {
        log->pid = log->time;
        if (!cut_number(text, &log->time) || log->time < TIME_LEAST)
            return false;
    }
    for (size_t i = 0; i < sizeof(programs) / sizeof(*programs); i++) {
        length = strlen(programs[i]);
        if (strncmp(text, programs[i], length) || (text[length] && text[length] != '-'))
            continue;
        strcpy(log->cluster_id, text + length + (text[length] == '-'));
        return true;
    }
    return false;
}

static int is_log(const struct dirent *entry)
{
    struct log_name log;
    return read_name(entry->d_name, &log);
}

static int newest_first(const struct dirent **first, const struct dirent **second)
{
    struct log_name one, other;
    read_name((*first)->d_name, &one);
    read_name((*second)->d_name, &other);
    return (one.time < other.time) - (one.time > other.time);
}

/* Who may still write: sets of the ids of clusters and of the processes that look after them. */
struct users {
    json_t *clusters;
    json_t *processes;
};

static const char *process_key(char key[32], long long pid)
{
    snprintf(key, 32, "%lld", pid);
    return key;
}

static int add_users(void *context, struct state *state)
{
    struct users *users = context;
    char key[32];
    json_object_set_new(users->clusters, state->cluster_id, json_true());
    json_object_set_new(users->processes, process_key(key, state->pid), json_true());
    return 0;
}

/* Whether the file is of a cluster that has ended, and not of one of the `kept_max` newest. */
static bool is_old(const struct log_name *log, const char *cluster_id, const struct users *users,
                   json_t *kept, size_t kept_max)
{
    char key[32];
    if (strcmp(log->cluster_id, cluster_id) == 0)
        return !json_object_get(users->processes, process_key(key, log->pid));
    if (json_object_get(users->clusters, log->cluster_id) || log->time + STARTING_S > time(NULL))
        return false;
    if (json_object_size(kept) < kept_max)
        json_object_set_new(kept, log->cluster_id, json_true());
    return !json_object_get(kept, log->cluster_id);
}

void logs_clean(const char *folder, const char *pid_dir, const char *cluster_id, size_t kept_max)
{
    struct users users = {json_object(), json_object()};
    json_t *kept = json_object();
    struct dirent **entries;
    struct log_name log;
    char path[PATH_BYTES];
    state_each(pid_dir, add_users, &users);
    int count = scandir(folder, &entries, is_log, newest_first);
    for (int i = 0; i < count; i++) {
        if (read_name(entries[i]->d_name, &log) &&
            is_old(&log, cluster_id, &users, kept, kept_max) &&
            path_format(path, NULL, "%s/%s", folder, entries[i]->d_name) == 0)
            unlink(path);
        free(entries[i]);
    }
    if (count >= 0)
        free(entries);
    json_decref(kept);
    json_decref(users.clusters);
    json_decref(users.processes);
}
