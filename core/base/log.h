/* The program's log: lines with time, level and program, to standard error or a file. Any
 * thread. */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdbool.h>

#include <ipcluster/plugin.h>

/* Starts logging as `program`. With `path`, lines are appended there instead of to standard error;
 * a line that cannot be written (a full disk) is counted and reported once writing works again.
 * Returns 0 or -1 with `error` set. */
int log_open(const char *program, const char *path, struct ipcl_error *error);
/* Returns the previous level. */
enum ipcl_log_level log_set_level(enum ipcl_log_level level);
/* Sets the level by name: ERROR, WARN, INFO, DEBUG, or Python's numbers (10 to 50). Returns 0 or -1
 * with `error` set. */
int log_set_level_name(const char *name, struct ipcl_error *error);
bool log_enabled(enum ipcl_log_level level);
/* Writes to file descriptor `fd` from now on, if no path was given. For an engine that captures its
 * standard error and keeps a copy of the original. */
void log_redirect(int fd);

void log_write(enum ipcl_log_level level, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
#define log_error(...) log_write(IPCL_LOG_ERROR, __VA_ARGS__)
#define log_warn(...)  log_write(IPCL_LOG_WARN, __VA_ARGS__)
#define log_info(...)  log_write(IPCL_LOG_INFO, __VA_ARGS__)
#define log_debug(...)                                                                             \
    do {                                                                                           \
        if (log_enabled(IPCL_LOG_DEBUG))                                                           \
            log_write(IPCL_LOG_DEBUG, __VA_ARGS__);                                                \
    } while (0)

/* For a place that may log often: at most one line a second, with the number of lines that were
 * left out. One for each place and thread. */
struct log_limit {
    long long last_ms;
    unsigned held_back;
};
/* Logs unless a line from this place was logged within the last second. */
void log_limited(struct log_limit *limit, enum ipcl_log_level level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
