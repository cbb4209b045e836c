/* Merging traces: a line changes in two cases only. If another process has the same number, the
 * process gets another number. If the file is of another host, the time is moved by the wall
 * clocks. */
#include "cluster/commands/trace_merge.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

#include "base/path.h"
#include "base/trace.h"
#include "base/trust.h"

#define VERSION 1
/* No system gives a process such a number. */
#define SPARE_NUMBERS 10000000
#define PREVIOUS      ".1" /* ending of the file's earlier part */
#define NOT_OURS      "%s is not a trace of ipcluster: its second line does not say so"

/* A process that has written one file or two. */
struct traced {
    char *name; /* random */
    long long pid, shown_pid;
    unsigned open; /* slices that have begun */
    struct traced *next;
};

struct merging {
    FILE *to;
    const char *to_path;
    struct traced *processes;
    long long spare;
    char *boot; /* of the first file's host; NULL: there was none yet */
    long long wall_offset_us;
    int files;
};

static struct traced *find_process(struct merging *merging, const char *name, long long pid)
{
    struct traced *process = merging->processes;
    bool taken = false;
    for (; process; process = process->next) {
        if (!strcmp(process->name, name))
            return process;
        taken = taken || process->shown_pid == pid;
    }
    process = calloc(1, sizeof(*process));
    if (!process || !(process->name = strdup(name))) {
        free(process);
        return NULL;
    }
    process->pid = pid;
    process->shown_pid = taken ? SPARE_NUMBERS + merging->spare++ : pid;
    process->next = merging->processes;
    merging->processes = process;
    return process;
}

/* Whether a line ends a slice that has not begun here: its begin was in a part that is no more. */
static bool is_loose(struct traced *process, const char *line)
{
    if (strstr(line, ",\"ph\":\"B\""))
        process->open++;
    else if (strstr(line, ",\"ph\":\"E\"") && !process->open--)
        return !(process->open = 0);
    return false;
}

/* Copies an event. What is no whole line was cut as its process ended. */
static void copy_line(struct merging *merging, struct traced *process, long long shift_us,
                      char *line)
{
    long long pid, time_us;
    int rest = 0;
    size_t length = strlen(line);
    if (length < 3 || strcmp(line + length - 3, "},\n") != 0 ||
        sscanf(line, "{\"pid\":%lld,\"ts\":%lld%n", &pid, &time_us, &rest) != 2 || !rest ||
        is_loose(process, line))
        return;
    line[length - 2] = '\0';
    fprintf(merging->to, ",\n{\"pid\":%lld,\"ts\":%lld%s", process->shown_pid,
            time_us ? time_us + shift_us : 0, line + rest);
}

/* Reads the line that names the file's process. Returns this process, and how much to add to the
 * file's times to get those of the first file's host; NULL with `error` set. */
static struct traced *read_head(struct merging *merging, char *line, const char *path,
                                long long *shift_us, struct ipcl_error *error)
{
    long long pid;
    json_int_t version = 0, offset_us = 0;
    const char *name = NULL, *boot = NULL;
    struct traced *process = NULL;
    size_t length = strlen(line);
    if (length > 2)
        line[length - 2] = '\0'; /* a comma */
    json_t *head = json_loads(line, 0, NULL);
    if (json_unpack(head, "{s:I s:{s:I s:s s:s s:I}}", "pid", &pid, "args", "version", &version,
                    "process", &name, "boot", &boot, "wall_offset_us", &offset_us) < 0)
        ipcl_error_set(error, NOT_OURS, path);
    else if (version != VERSION)
        ipcl_error_set(error, "%s has version %lld, but this ipcluster reads version %d", path,
                       (long long)version, VERSION);
    else if (!(process = find_process(merging, name, pid)))
        ipcl_error_set(error, "out of memory");
    if (process && !merging->boot) {
        merging->boot = strdup(boot);
        merging->wall_offset_us = offset_us;
    }
    *shift_us = process && merging->boot && strcmp(boot, merging->boot) != 0
                    ? offset_us - merging->wall_offset_us
                    : 0;
    json_decref(head);
    return process;
}

static int merge_file(struct merging *merging, const char *path, struct ipcl_error *error)
{
    char *line = NULL;
    size_t size = 0;
    long long shift_us = 0;
    struct traced *process = NULL;
    if (path_is_same(path, merging->to_path))
        return ipcl_error_set(error, "%s would be read and written: name another file with -o",
                              path);
    int fd = trust_open(path, O_RDONLY, 0, NULL, error);
    FILE *from = fd < 0 ? NULL : fdopen(fd, "r");
    if (!from) {
        if (fd >= 0)
            close(fd);
        return -1;
    }
    if (getline(&line, &size, from) < 0 || strcmp(line, "[\n") != 0 ||
        getline(&line, &size, from) < 0)
        ipcl_error_set(error, NOT_OURS, path);
    else
        process = read_head(merging, line, path, &shift_us, error);
    while (process && getline(&line, &size, from) >= 0)
        copy_line(merging, process, shift_us, line);
    free(line);
    fclose(from);
    merging->files += process != NULL;
    return process ? 0 : -1;
}

/* Merges a file, after its earlier part if there is one. */
static int merge_parts(struct merging *merging, const char *path, struct ipcl_error *error)
{
    char previous[PATH_BYTES];
    if (path_format(previous, error, "%s" PREVIOUS, path) < 0)
        return -1;
    if (path_exists(previous) && merge_file(merging, previous, error) < 0)
        return -1;
    return merge_file(merging, path, error);
}

static int is_trace(const struct dirent *entry)
{
    size_t length = strlen(entry->d_name), suffix = strlen(TRACE_SUFFIX);
    return length > suffix && !strcmp(entry->d_name + length - suffix, TRACE_SUFFIX);
}

static int merge_path(struct merging *merging, const char *path, struct ipcl_error *error)
{
    char file[PATH_BYTES];
    struct dirent **entries;
    int status = 0, count = scandir(path, &entries, is_trace, alphasort);
    if (count < 0 && errno == ENOTDIR)
        return merge_parts(merging, path, error);
    if (count <= 0)
        return ipcl_error_set(error, count ? "cannot read %s: %s" : "there is no trace in %s", path,
                              strerror(errno));
    for (int i = 0; i < count; i++) {
        if (!status)
            status = path_format(file, error, "%s/%s", path, entries[i]->d_name);
        if (!status)
            status = merge_parts(merging, file, error);
        free(entries[i]);
    }
    free(entries);
    return status;
}

static void release(struct merging *merging)
{
    while (merging->processes) {
        struct traced *next = merging->processes->next;
        free(merging->processes->name);
        free(merging->processes);
        merging->processes = next;
    }
    free(merging->boot);
}

int trace_merge(char *const *paths, int count, const char *to, struct ipcl_error *error)
{
    struct merging merging = {.to_path = to};
    char part[PATH_BYTES];
    int status = path_format(part, error, "%s.%d", to, (int)getpid());
    int fd = status ? -1 : trust_open(part, O_WRONLY | O_CREAT | O_TRUNC, 0600, NULL, error);
    if (fd < 0)
        return -1;
    merging.to = fdopen(fd, "w");
    if (!merging.to) {
        close(fd);
        unlink(part);
        return ipcl_error_set(error, "out of memory");
    }
    fputs("[{\"pid\":0,\"ts\":0,\"ph\":\"M\",\"name\":\"ipcluster_trace_merged\"}", merging.to);
    for (int i = 0; i < count && !status; i++)
        status = merge_path(&merging, paths[i], error);
    fputs("]\n", merging.to);
    bool whole = !fflush(merging.to) && !ferror(merging.to);
    if (!status && (!whole || rename(part, to)))
        status = ipcl_error_set(error, "%s cannot be written: %s", to, strerror(errno));
    fclose(merging.to);
    if (status)
        unlink(part);
    release(&merging);
    return status ? -1 : merging.files;
}
