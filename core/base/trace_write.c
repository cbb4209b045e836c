/* A trace's file: events of the "Trace Event Format", which Perfetto and Chrome read, one a line.
 * The array that they are stays open, so that the file is good whenever its process ends. Times are
 * of CLOCK_MONOTONIC, which the processes of a host share; the first line says how the host's wall
 * clock differed from it. */
#include "base/trace_private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/trust.h"

#define LINE_BYTES 1024 /* at most */

/* How a step is shown: as a slice of its thread's time, from which and to which arrows lead; and
 * with it the wait that it ends, as a bar of its own. */
static const struct {
    const char *name;
    char phase;       /* X: a slice; B, E: a slice's begin and end; i: a moment */
    char arrow;       /* s: the first of a message's, t: a further, f: the last; 0: none */
    bool has_engine;  /* its number belongs to the name */
    const char *wait; /* the bar */
} steps[TRACE_STEPS] = {
    [TRACE_SUBMIT] = {"submit", 'X', 's', false, NULL},
    [TRACE_RESULT] = {"result", 'X', 'f', false, "request"},
    [TRACE_OUTPUT] = {"output", 'X', 'f', false, NULL},
    [TRACE_RECEIVE] = {"receive", 'X', 't', false, NULL},
    [TRACE_DEPEND] = {"set aside until others end", 'X', 't', false, NULL},
    [TRACE_DISPATCH] = {"to engine", 'X', 't', true, "waiting"},
    [TRACE_ENGINE_REPLY] = {"reply of engine", 'X', 't', true, NULL},
    [TRACE_RETURN] = {"back to the queue", 'X', 't', false, NULL},
    [TRACE_REPLY] = {"reply to client", 'X', 't', false, "at engine"},
    [TRACE_INSTEAD] = {"answered for an engine", 'X', 't', false, "waiting"},
    [TRACE_RELAY_OUTPUT] = {"relay output", 'X', 't', false, NULL},
    [TRACE_NOTE_SUBMITTED] = {"note request", 'X', 0, false, NULL},
    [TRACE_NOTE_DONE] = {"note end", 'X', 0, false, NULL},
    [TRACE_ENGINE_COMES] = {"comes: engine", 'i', 0, true, NULL},
    [TRACE_ENGINE_GOES] = {"goes: engine", 'i', 0, true, NULL},
    [TRACE_ENGINE_RECEIVE] = {"receive", 'X', 't', false, NULL},
    [TRACE_BEGIN] = {"run", 'B', 't', false, "queued"},
    [TRACE_END] = {"run", 'E', 0, false, NULL},
    [TRACE_ANSWER] = {"reply", 'X', 't', false, NULL},
    [TRACE_PUBLISH] = {"publish", 'X', 's', false, NULL},
};

const char *trace_step_name(enum trace_step step)
{
    return steps[step].name;
}

static void add_text(struct trace_file *file, const char *text)
{
    size_t size = strlen(text);
    memcpy(file->buffer + file->used, text, size);
    file->used += size;
}

static void add_number(struct trace_file *file, unsigned long long number, int digits)
{
    char text[24];
    size_t at = sizeof(text);
    do
        text[--at] = (char)('0' + number % 10);
    while ((number /= 10) || (int)(sizeof(text) - at) < digits);
    memcpy(file->buffer + file->used, text + at, sizeof(text) - at);
    file->used += sizeof(text) - at;
}

/* Microseconds, with the nanoseconds behind the point. */
static void add_time(struct trace_file *file, long long ns)
{
    add_number(file, (unsigned long long)ns / 1000, 1);
    add_text(file, ".");
    add_number(file, (unsigned long long)ns % 1000, 3);
}

/* Ids are from others: what is not plain ASCII, or what JSON would escape, becomes '?'. */
static void add_id(struct trace_file *file, const char *id, size_t size)
{
    for (size_t i = 0; i < size; i++)
        file->buffer[file->used++] =
            id[i] < ' ' || id[i] > '~' || id[i] == '"' || id[i] == '\\' ? '?' : id[i];
}

/* Every line begins so: ipcluster trace merge changes pid and ts. */
static void begin_line(struct trace_file *file, pid_t thread, long long ns)
{
    add_text(file, "{\"pid\":");
    add_number(file, (unsigned long long)getpid(), 1);
    add_text(file, ",\"ts\":");
    add_time(file, ns);
    add_text(file, ",\"tid\":");
    add_number(file, (unsigned long long)thread, 1);
}

static void add_kind(struct trace_file *file, char phase, const char *category, const char *name)
{
    const char text[] = {phase, '\0'};
    add_text(file, ",\"ph\":\"");
    add_text(file, text);
    if (category) {
        add_text(file, "\",\"cat\":\"");
        add_text(file, category);
    }
    add_text(file, "\",\"name\":\"");
    add_text(file, name);
}

/* Writes the buffer. What cannot be written is told by trace_file_flush(). */
static void write_out(struct trace_file *file)
{
    size_t written = 0;
    while (written < file->used && !file->failed) {
        ssize_t size = write(file->fd, file->buffer + written, file->used - written);
        if (size > 0) {
            written += (size_t)size;
        } else if (size == 0 || errno != EINTR) {
            file->failed = true;
            ipcl_error_set(&file->error, "%s cannot be written: %s", file->path, strerror(errno));
        }
    }
    if (!file->failed)
        file->bytes += (long long)file->used;
    else if (ftruncate(file->fd, (off_t)file->bytes)) /* half a line goes, where it can */
        file->used = 0;
    file->used = 0;
}

static void end_line(struct trace_file *file)
{
    add_text(file, "},\n");
    if (file->used + LINE_BYTES > sizeof(file->buffer))
        write_out(file);
}

/* A line that gives something a name. */
static void add_metadata(struct trace_file *file, pid_t thread, const char *name, const char *text)
{
    begin_line(file, thread, 0);
    add_kind(file, 'M', NULL, name);
    add_text(file, "\",\"args\":{\"name\":\"");
    add_id(file, text, strnlen(text, TRACE_NAME_BYTES));
    add_text(file, "\"}");
    end_line(file);
}

/* The id of the host's boot: processes with the same one have the same monotonic clock. */
static void read_boot(char boot[37])
{
    int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    ssize_t size = fd < 0 ? 0 : read(fd, boot, 36);
    boot[size > 0 ? size : 0] = '\0';
    if (fd >= 0)
        close(fd);
}

static void add_head(struct trace_file *file)
{
    char boot[37], host[64] = "";
    struct timespec wall;
    gethostname(host, sizeof(host) - 1);
    read_boot(boot);
    clock_gettime(CLOCK_REALTIME, &wall);
    long long offset_us = wall.tv_sec * 1000000LL + wall.tv_nsec / 1000 - clock_ns() / 1000;
    add_text(file, "[\n");
    begin_line(file, getpid(), 0);
    add_kind(file, 'M', NULL, "ipcluster_trace");
    add_text(file, "\",\"args\":{\"version\":1,\"process\":\"");
    add_text(file, file->process);
    add_text(file, "\",\"boot\":\"");
    add_text(file, boot);
    add_text(file, "\",\"wall_offset_us\":");
    add_number(file, (unsigned long long)offset_us, 1);
    add_text(file, ",\"host\":\"");
    add_id(file, host, strlen(host));
    add_text(file, "\"}");
    end_line(file);
}

/* Writes the path that the file gets when it is full and another is begun. Returns 0, or -1 with
 * `error` set. */
static int name_previous(const struct trace_file *file, char previous[PATH_BYTES],
                         struct ipcl_error *error)
{
    return path_format(previous, error, "%s.1", file->path);
}

/* The previous file of an earlier trace is no part of this trace. */
static void remove_previous(const struct trace_file *file)
{
    char previous[PATH_BYTES];
    if (!name_previous(file, previous, NULL))
        unlink(previous);
}

/* Keeps other processes from writing the file as long as this process has it open. A file system
 * without locks keeps nobody from it. */
static int claim(const struct trace_file *file, struct ipcl_error *error)
{
    struct flock all = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    struct stat info;
    if (fstat(file->fd, &info) || !S_ISREG(info.st_mode) || !fcntl(file->fd, F_SETLK, &all) ||
        (errno != EACCES && errno != EAGAIN))
        return 0;
    return ipcl_error_set(error,
                          "%s is the trace of another process: name a folder, with a / at its "
                          "end; each process writes its own file there",
                          file->path);
}

/* The name of the process, and its place in the picture. */
static void add_name(struct trace_file *file)
{
    add_metadata(file, getpid(), "process_name", file->name);
    begin_line(file, getpid(), 0);
    add_kind(file, 'M', NULL, "process_sort_index");
    add_text(file, "\",\"args\":{\"sort_index\":");
    add_number(file, (unsigned long long)file->place, 1);
    add_text(file, "}");
    end_line(file);
}

int trace_file_open(struct trace_file *file, struct ipcl_error *error)
{
    static unsigned files; /* one trace is written at a time */
    file->fd = trust_open(file->path, O_WRONLY | O_CREAT | O_APPEND, 0600, NULL, error);
    if (file->fd < 0 || claim(file, error))
        return -1;
    if (ftruncate(file->fd, 0) && errno != EINVAL) /* a device has no length */
        return ipcl_error_set(error, "%s cannot be written: %s", file->path, strerror(errno));
    if (!file->number)
        remove_previous(file);
    file->bytes = 0;
    file->number = ++files;
    add_head(file);
    if (*file->name)
        add_name(file);
    return 0;
}

void trace_file_name(struct trace_file *file, const char *name, int place)
{
    snprintf(file->name, sizeof(file->name), "%s", name);
    file->place = place;
    add_name(file);
}

static void add_step(struct trace_file *file, const struct trace_ring *ring,
                     const struct trace_record *record)
{
    char phase = steps[record->step].phase;
    begin_line(file, ring->thread, phase == 'X' ? record->begin_ns : record->end_ns);
    add_kind(file, phase, "step", steps[record->step].name);
    if (steps[record->step].has_engine && record->engine >= 0) {
        add_text(file, " ");
        add_number(file, (unsigned long long)record->engine, 1);
    }
    if (phase == 'X') {
        add_text(file, "\",\"dur\":");
        add_time(file, record->end_ns - record->begin_ns);
    } else {
        add_text(file, phase == 'i' ? "\",\"s\":\"g\"" : "\"");
    }
    add_text(file, ",\"args\":{\"id\":\"");
    add_id(file, record->id, record->size);
    if (record->parent_size) {
        add_text(file, "\",\"of\":\"");
        add_id(file, record->parent, record->parent_size);
    }
    add_text(file, "\"}");
    end_line(file);
}

/* An arrow's end is within the slice that it leads to. */
static void add_arrow(struct trace_file *file, const struct trace_ring *ring,
                      const struct trace_record *record)
{
    const struct trace_record *of = record;
    begin_line(file, ring->thread, steps[of->step].phase == 'X' ? of->begin_ns : of->end_ns);
    add_kind(file, steps[of->step].arrow, "way", of->parent_size ? "output" : "request");
    add_text(file, "\",\"bp\":\"e\",\"id\":\"");
    add_id(file, of->id, of->size);
    add_text(file, "\"");
    end_line(file);
}

static void add_wait(struct trace_file *file, const struct trace_ring *ring,
                     const struct trace_record *record)
{
    const struct {
        char phase;
        long long ns;
    } ends[] = {{'b', record->since_ns}, {'e', record->end_ns}};
    for (int i = 0; i < 2; i++) {
        begin_line(file, ring->thread, ends[i].ns);
        add_kind(file, ends[i].phase, "wait", steps[record->step].wait);
        add_text(file, "\",\"id2\":{\"local\":\"");
        add_id(file, record->id, record->size);
        add_text(file, "\"}");
        end_line(file);
    }
}

/* The file becomes the previous one, and another is begun. */
static void rotate(struct trace_file *file)
{
    char previous[PATH_BYTES];
    int full = file->fd;
    if (name_previous(file, previous, &file->error)) {
        file->failed = true;
    } else if (rename(file->path, previous)) {
        file->failed = true;
        ipcl_error_set(&file->error, "%s cannot become %s: %s", file->path, previous,
                       strerror(errno));
    } else if (trace_file_open(file, &file->error)) {
        file->failed = true;
        if (file->fd < 0)
            file->fd = full;
        else
            close(full);
    } else {
        close(full);
        write_out(file); /* one without a head is no trace, and its process may end now */
    }
}

/* Begins a new file if this one is full. */
static void make_room(struct trace_file *file)
{
    if (file->failed || file->bytes + (long long)file->used <= file->bytes_max / 2)
        return;
    write_out(file);
    if (!file->failed)
        rotate(file);
}

/* Writes a thread's name if this file does not have it yet. */
static void add_thread(struct trace_file *file, struct trace_ring *ring)
{
    if (ring->written_file == file->number)
        return;
    ring->written_file = file->number;
    add_metadata(file, ring->thread, "thread_name", ring->name);
}

void trace_file_record(struct trace_file *file, struct trace_ring *ring,
                       const struct trace_record *record)
{
    make_room(file);
    add_thread(file, ring);
    add_step(file, ring, record);
    if (steps[record->step].arrow)
        add_arrow(file, ring, record);
    if (steps[record->step].wait && record->since_ns && record->since_ns <= record->end_ns)
        add_wait(file, ring, record);
}

void trace_file_lost(struct trace_file *file, unsigned long lost)
{
    make_room(file);
    begin_line(file, getpid(), clock_ns());
    add_kind(file, 'i', "trace", "lost: steps, as they came faster than they were written");
    add_text(file, "\",\"s\":\"p\",\"args\":{\"steps\":");
    add_number(file, lost, 1);
    add_text(file, "}");
    end_line(file);
    file->lost += lost;
}

int trace_file_flush(struct trace_file *file, struct ipcl_error *error)
{
    write_out(file);
    if (file->failed)
        *error = file->error;
    return file->failed ? -1 : 0;
}
