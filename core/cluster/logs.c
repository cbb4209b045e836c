/* The output files of controllers and engines in a profile's log/: their tails, and old ones
 * removed. */
#include "cluster/logs.h"

#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define TAIL_BYTES 8192

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
    int file = open(path, O_RDONLY | O_CLOEXEC);
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

/* Skips `least` to `most` digits. */
static bool skip_number(const char **at, size_t least, size_t most)
{
    size_t length = strspn(*at, "0123456789");
    *at += length;
    return length >= least && length <= most;
}

/* PROGRAM[-ID]-TIME-PID[-INDEX].log. Seconds since the epoch have ten digits and more, and process
 * numbers seven at most: so the files of a cluster whose id is a number are told from those of one
 * without. */
static bool belongs(const char *name, const char *program, const char *cluster_id)
{
    char stem[512];
    snprintf(stem, sizeof(stem), "%s%s%s-", program, *cluster_id ? "-" : "", cluster_id);
    size_t length = strlen(stem);
    const char *at = name + length;
    if (strncmp(name, stem, length) != 0 || !skip_number(&at, 10, 20) || *at++ != '-' ||
        !skip_number(&at, 1, 7) || (*at == '-' && (at++, !skip_number(&at, 1, 7))))
        return false;
    return strcmp(at, ".log") == 0;
}

void logs_clean(const char *folder, const char *cluster_id)
{
    DIR *entries = opendir(folder);
    struct dirent *entry;
    char own[32];
    snprintf(own, sizeof(own), "-%d.log", (int)getpid());
    while (entries && (entry = readdir(entries))) {
        const char *name = entry->d_name;
        bool old = belongs(name, "ipengine", cluster_id) ||
                   belongs(name, "ipcontroller", cluster_id) ||
                   belongs(name, "ipcluster", cluster_id);
        if (old && !strstr(name, own))
            unlinkat(dirfd(entries), entry->d_name, 0);
    }
    if (entries)
        closedir(entries);
}
