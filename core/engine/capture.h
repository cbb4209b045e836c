/* Capture of what the process prints: file descriptors 1 and 2 become pipes that the I/O thread
 * reads, so that what C and Fortran libraries and child processes print is seen as well. It is
 * copied to what the descriptors were before, and published.
 *
 * What a process writes last is what its death is understood by. So the pipes are read into memory
 * that is shared with the watcher, which outlives the engine and has the pipes too. */
#ifndef ENGINE_CAPTURE_H
#define ENGINE_CAPTURE_H

#include <stdbool.h>
#include <stddef.h>

#include <ipcluster/error.h>

/* Output is collected for this time, or until there is this much of it, before it is published. */
#define CAPTURE_GATHER_MS    20
#define CAPTURE_GATHER_BYTES 65536
/* How much of the end of the output is kept, for the question what was printed last. */
#define CAPTURE_WORDS_BYTES 4096

/* What was read from a pipe and is not yet published. Behind `size` there are zeros, so that what
 * a read has brought is there to see also where the process died before it could count it. */
struct capture_text {
    size_t size;
    size_t copied; /* how much of it was copied to the original */
    char text[CAPTURE_GATHER_BYTES];
};

/* The end of what was published since capture_forget(). */
struct capture_words {
    size_t size;
    char text[CAPTURE_WORDS_BYTES];
};

struct capture_shared {
    struct capture_text texts[2];
    struct capture_words words;
};

struct capture_stream {
    const char *name; /* "stdout", "stderr" */
    int target;       /* 1 or 2 */
    int original;     /* a copy of what `target` was */
    int copy;         /* the same place, without ever waiting for its reader; -1: there is none */
    int pipe;         /* the end to read */
    int writer;       /* the other end, open as long as this is: user code that closes its own ends
                 * none */
    struct capture_text *held;
    long long since_ms;  /* when its oldest byte was read */
    long long shown_ms;  /* when something was last published */
    long long copied_ms; /* when the present second began; a limited number of bytes may be copied
                            in it */
    size_t copied_bytes;
    size_t left_out; /* how many bytes were not copied */
};

struct capture {
    struct capture_stream streams[2];
    struct capture_shared *shared;
    int memory; /* the descriptor of `shared` */
    /* Receives valid UTF-8. */
    void (*publish)(void *context, const char *name, const char *text, size_t size);
    void *context;
};

/* Makes the pipes and the memory. Main thread. Returns 0 or -1 with `error` set. */
int capture_open(struct capture *capture, struct ipcl_error *error);
/* In the watcher: the same with what the engine has opened: `memory`, and each stream's `pipe`. */
int capture_map(struct capture *capture, struct ipcl_error *error);
/* Redirects the descriptors, standard input to /dev/null, and the log to the original standard
 * error. Main thread, before the I/O thread starts. */
void capture_start(struct capture *capture);
/* Reads what a pipe holds now. Publishes it when it is due. I/O thread. */
void capture_read(struct capture *capture, struct capture_stream *stream, long long now_ms);
/* Publishes what is due, and returns the time of the next call. */
long long capture_tick(struct capture *capture, long long now_ms);
/* Reads and publishes everything that was written before the call, complete lines or not. */
void capture_flush(struct capture *capture);
/* Forgets the end of the output: what was printed so far does not belong to what runs next. */
void capture_forget(struct capture *capture);
/* Copies the rest, and restores the descriptors. */
void capture_stop(struct capture *capture);

/* In the watcher, once the engine has gone: writes what is left of its output to this process's
 * descriptors 1 and 2, and what it printed last, as valid UTF-8 without blanks at its ends, to
 * `words`. */
void capture_last_words(struct capture *capture, char words[CAPTURE_WORDS_BYTES]);

#endif
