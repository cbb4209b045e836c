/* The program's log. A line is one write(2), so lines of several threads and processes do not
 * mix. */
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/trust.h"

#define LINE_BYTES 2048

static char program_name[64] = "ipcluster";
static atomic_int log_fd = STDERR_FILENO;
static atomic_int log_level = IPCL_LOG_INFO;
static bool log_to_path;
static atomic_uint lost_lines; /* not written: a full disk, a closed terminal */

/* A program may be started with its standard descriptors closed. A file that it opens would get one
 * of their numbers, and would be written to as standard output or read as input. */
static void fill_standard_descriptors(void)
{
    int fd;
    do
        fd = open("/dev/null", O_RDWR);
    while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd >= 0)
        close(fd);
}

int log_open(const char *program, const char *path, struct ipcl_error *error)
{
    fill_standard_descriptors();
    snprintf(program_name, sizeof(program_name), "%s", program);
    if (!path)
        return 0;
    int fd = trust_open(path, O_WRONLY | O_CREAT | O_APPEND, 0600, NULL, error);
    if (fd < 0)
        return -1;
    log_to_path = true;
    atomic_store(&log_fd, fd);
    return 0;
}

void log_redirect(int fd)
{
    if (!log_to_path)
        atomic_store(&log_fd, fd);
}

enum ipcl_log_level log_set_level(enum ipcl_log_level level)
{
    return atomic_exchange(&log_level, level);
}

int log_set_level_name(const char *name, struct ipcl_error *error)
{
    static const struct {
        const char *name;
        int python_level; /* the logging module's number */
        enum ipcl_log_level level;
    } levels[] = {
        {"DEBUG", 10, IPCL_LOG_DEBUG}, {"INFO", 20, IPCL_LOG_INFO},
        {"WARN", 30, IPCL_LOG_WARN},   {"WARNING", 30, IPCL_LOG_WARN},
        {"ERROR", 40, IPCL_LOG_ERROR}, {"CRITICAL", 50, IPCL_LOG_ERROR},
    };
    char *end;
    long number = strtol(name, &end, 10);
    bool is_number = *name && !*end;
    for (size_t i = 0; i < sizeof(levels) / sizeof(*levels); i++) {
        if (is_number ? number <= levels[i].python_level : !strcasecmp(name, levels[i].name)) {
            log_set_level(levels[i].level);
            return 0;
        }
    }
    return ipcl_error_set(error, "log level '%s' is not known: use DEBUG, INFO, WARN or ERROR",
                          name);
}

bool log_enabled(enum ipcl_log_level level)
{
    return (int)level <= atomic_load_explicit(&log_level, memory_order_relaxed);
}

static size_t write_head(enum ipcl_log_level level, char *line)
{
    static const char *const names[] = {"ERROR", "WARN", "INFO", "DEBUG"};
    struct timespec now;
    struct tm parts;
    char date[32];
    clock_gettime(CLOCK_REALTIME, &now);
    localtime_r(&now.tv_sec, &parts);
    strftime(date, sizeof(date), "%Y-%m-%d %H:%M:%S", &parts);
    return (size_t)snprintf(line, LINE_BYTES, "%s.%03ld %s[%d] %s: ", date, now.tv_nsec / 1000000,
                            program_name, (int)getpid(), names[level]);
}

static void write_line(const char *line, size_t size)
{
    int fd = atomic_load(&log_fd);
    char note[128];
    unsigned lost = atomic_load(&lost_lines);
    if (lost) {
        int length =
            snprintf(note, sizeof(note), "(%u lines of this log could not be written)\n", lost);
        if (write(fd, note, (size_t)length) != length) {
            atomic_fetch_add(&lost_lines, 1);
            return;
        }
        atomic_fetch_sub(&lost_lines, lost);
    }
    if (write(fd, line, size) != (ssize_t)size)
        atomic_fetch_add(&lost_lines, 1);
}

__attribute__((format(printf, 3, 0))) static void
write_args(enum ipcl_log_level level, unsigned held_back, const char *format, va_list args)
{
    char line[LINE_BYTES];
    int saved = errno;
    size_t size = write_head(level, line);
    int text = vsnprintf(line + size, sizeof(line) - size - 64, format, args);
    size_t room = sizeof(line) - size - 64;
    size += text < 0 ? 0 : (size_t)text < room ? (size_t)text : room - 1;
    /* The text may be from others: control characters must not begin another line. */
    for (size_t i = 0; i < size; i++)
        if ((unsigned char)line[i] < ' ')
            line[i] = ' ';
    if (held_back)
        size +=
            (size_t)snprintf(line + size, sizeof(line) - size, " (and %u more like it)", held_back);
    line[size++] = '\n';
    write_line(line, size);
    errno = saved;
}

void log_write(enum ipcl_log_level level, const char *format, ...)
{
    if (!log_enabled(level))
        return;
    va_list args;
    va_start(args, format);
    write_args(level, 0, format, args);
    va_end(args);
}

void log_limited(struct log_limit *limit, enum ipcl_log_level level, const char *format, ...)
{
    if (!log_enabled(level))
        return;
    long long now = clock_ms();
    if (limit->last_ms && now - limit->last_ms < 1000) {
        limit->held_back++;
        return;
    }
    va_list args;
    va_start(args, format);
    write_args(level, limit->held_back, format, args);
    va_end(args);
    limit->last_ms = now;
    limit->held_back = 0;
}
