/* Capture of what the process prints: file descriptors 1 and 2 become pipes that the I/O thread
 * reads, so that what C and Fortran libraries and child processes print is seen as well. */
#ifndef ENGINE_CAPTURE_H
#define ENGINE_CAPTURE_H

#include <stdbool.h>

#include <ipcluster/error.h>

/* Output is collected for so long, or until there is so much of it, before it is published. */
#define CAPTURE_GATHER_MS    20
#define CAPTURE_GATHER_BYTES 65536

struct capture_stream {
    const char *name; /* "stdout", "stderr" */
    int target;       /* 1 or 2 */
    int original;     /* a copy of what `target` was */
    int pipe;         /* the end to read */
    int writer; /* the other end, open as long as this is: user code that closes its own ends none
                 */
    char *text; /* read and not yet published, CAPTURE_GATHER_BYTES at most */
    size_t size;
    long long since_ms; /* when the oldest of it was read */
    long long shown_ms; /* when something was last published */
};

struct capture {
    struct capture_stream streams[2];
    /* Receives valid UTF-8. */
    void (*publish)(void *context, const char *name, const char *text, size_t size);
    void *context;
};

/* Redirects the descriptors, standard input to /dev/null, and the log to the original standard
 * error. Main thread, before the I/O thread starts. Returns 0 or -1 with `error` set. */
int capture_start(struct capture *capture, struct ipcl_error *error);
/* Reads what a pipe holds now. Publishes it when it is due. I/O thread. */
void capture_read(struct capture *capture, struct capture_stream *stream, long long now_ms);
/* Publishes what is due, and returns in how many milliseconds more will be: -1 when nothing is
 * held. */
long capture_tick(struct capture *capture, long long now_ms);
/* True where something was read and not yet published. */
bool capture_holds(const struct capture *capture);
/* Reads and publishes everything that was written before the call, whole or not. */
void capture_flush(struct capture *capture);
/* Gives the descriptors back. */
void capture_stop(struct capture *capture);

#endif
