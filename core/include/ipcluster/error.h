/* What went wrong, in a sentence that a person can act on. */
#ifndef IPCLUSTER_ERROR_H
#define IPCLUSTER_ERROR_H

#include <stdarg.h>
#include <stdio.h>

#ifdef __cplusplus
extern "C" {
#endif

#define IPCL_ERROR_BYTES 1024

/* Filled by functions that return -1 or NULL. The text names the file, key, host or command at
 * fault and says what to do; it has no trailing newline and is cut at IPCL_ERROR_BYTES - 1
 * bytes. */
struct ipcl_error {
    char text[IPCL_ERROR_BYTES];
};

/* Writes a printf-style sentence into `error`, which may be NULL. Returns -1, so that a function
 * can `return ipcl_error_set(error, ...)`. Any thread, on its own `error`. */
#ifdef __GNUC__
__attribute__((format(printf, 2, 3), unused))
#endif
static int
ipcl_error_set(struct ipcl_error *error, const char *format, ...)
{
    if (error) {
        va_list args;
        va_start(args, format);
        vsnprintf(error->text, sizeof(error->text), format, args);
        va_end(args);
    }
    return -1;
}

#ifdef __cplusplus
}
#endif
#endif
