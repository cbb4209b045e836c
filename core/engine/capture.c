/* Capture of standard output and error at the file descriptors. */
#include "engine/capture.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/shared.h"

#define REPLACEMENT "\xef\xbf\xbd" /* U+FFFD */
#define COPIED_MAX  (1 << 20)      /* bytes a second: a loop that prints fills no disk soon */
#define PAUSE_MS    100            /* of a reader of what is copied at the end, between two reads */
#define REST_MS     1000           /* for all that it reads then */

static const char *const names[] = {"stdout", "stderr"};

int capture_open(struct capture *capture, struct ipcl_error *error)
{
    capture->memory = shared_make(sizeof(*capture->shared));
    for (int i = 0; i < 2; i++) {
        int ends[2];
        if (pipe2(ends, O_CLOEXEC))
            return ipcl_error_set(error, "%s cannot be captured: %s", names[i], strerror(errno));
        fcntl(ends[0], F_SETFL, O_NONBLOCK);
        capture->streams[i] = (struct capture_stream){.pipe = ends[0], .writer = ends[1]};
    }
    return capture_map(capture, error);
}

int capture_map(struct capture *capture, struct ipcl_error *error)
{
    capture->shared = shared_map(capture->memory, sizeof(*capture->shared));
    if (!capture->shared)
        return ipcl_error_set(error, "no memory for output: %s", strerror(errno));
    for (int i = 0; i < 2; i++) {
        struct capture_stream *stream = &capture->streams[i];
        stream->name = names[i];
        stream->target = STDOUT_FILENO + i;
        stream->original = stream->copy = -1;
        stream->held = &capture->shared->texts[i];
    }
    return 0;
}

/* A descriptor for the same file that never waits for its reader, or -1. A pipe or terminal is
 * opened again for that, because other processes share the descriptor that we have. */
static int open_copy(int target)
{
    struct stat what;
    char path[32];
    if (fstat(target, &what))
        return -1;
    if (!S_ISFIFO(what.st_mode) && !S_ISCHR(what.st_mode))
        return fcntl(target, F_DUPFD_CLOEXEC, 3);
    snprintf(path, sizeof(path), "/proc/self/fd/%d", target);
    return open(path, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
}

static void close_pipe(struct capture_stream *stream)
{
    close(stream->pipe);
    stream->pipe = -1;
}

static struct capture *started;

/* Runs in a child that user code forks, which may print and outlive the engine. As long as a
 * process has the reading end of a pipe, writers wait for ever, though nothing reads. */
static void leave_pipes(void)
{
    for (int i = 0; i < 2; i++)
        close_pipe(&started->streams[i]);
}

void capture_start(struct capture *capture)
{
    started = capture;
    pthread_atfork(NULL, NULL, leave_pipes);
    fflush(NULL);
    /* Each line that a C library prints appears at once. */
    setvbuf(stdout, NULL, _IOLBF, 0);
    int nothing = open("/dev/null", O_RDONLY);
    if (nothing >= 0) {
        dup2(nothing, STDIN_FILENO);
        close(nothing);
    }
    for (int i = 0; i < 2; i++) {
        struct capture_stream *stream = &capture->streams[i];
        stream->original = fcntl(stream->target, F_DUPFD_CLOEXEC, 3);
        stream->copy = open_copy(stream->target);
        dup2(stream->writer, stream->target);
    }
    const struct capture_stream *stderr_stream = &capture->streams[1];
    if (stderr_stream->copy >= 0)
        log_redirect(stderr_stream->copy);
    else if (stderr_stream->original >= 0)
        log_redirect(stderr_stream->original);
}

/* Writes without waiting. Returns how much. */
static size_t write_some(int fd, const char *text, size_t size)
{
    ssize_t count = send(fd, text, size, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (count < 0 && errno == ENOTSOCK)
        count = write(fd, text, size);
    return count > 0 ? (size_t)count : 0;
}

/* Copies to the original what it takes now. */
static void copy(struct capture_stream *stream, long long now_ms)
{
    struct capture_text *held = stream->held;
    char note[80];
    if (now_ms - stream->copied_ms >= 1000) {
        stream->copied_ms = now_ms;
        stream->copied_bytes = 0;
    }
    size_t size = held->size - held->copied, room = COPIED_MAX - stream->copied_bytes;
    size = size < room ? size : room;
    if (stream->copy < 0 || !size)
        return;
    if (stream->left_out) {
        int length = snprintf(note, sizeof(note), "\n(%zu bytes that were printed are left out)\n",
                              stream->left_out);
        if (write_some(stream->copy, note, (size_t)length) != (size_t)length)
            return;
        stream->left_out = 0;
    }
    size_t written = write_some(stream->copy, held->text + held->copied, size);
    held->copied += written;
    stream->copied_bytes += written;
}

/* Keeps the end of what was said. */
static void remember(struct capture_words *words, const char *text, size_t size)
{
    if (size > sizeof(words->text)) {
        text += size - sizeof(words->text);
        size = sizeof(words->text);
    }
    size_t room = sizeof(words->text) - size, kept = words->size < room ? words->size : room;
    memmove(words->text, words->text + words->size - kept, kept);
    memcpy(words->text + kept, text, size);
    words->size = kept + size;
}

/* The length of the UTF-8 sequence at `text`; 0 if the end cuts it short; -1 if it is none (RFC
 * 3629: no overlong forms, no surrogates, nothing above U+10FFFF). */
static int sequence_length(const unsigned char *text, size_t size)
{
    if (text[0] < 0x80)
        return 1;
    int length = text[0] >= 0xf0 ? 4 : text[0] >= 0xe0 ? 3 : 2;
    if (text[0] < 0xc2 || text[0] > 0xf4)
        return -1;
    if (size < 2)
        return 0;
    unsigned char low = text[0] == 0xe0 ? 0xa0 : text[0] == 0xf0 ? 0x90 : 0x80;
    unsigned char high = text[0] == 0xed ? 0x9f : text[0] == 0xf4 ? 0x8f : 0xbf;
    if (text[1] < low || text[1] > high)
        return -1;
    for (int i = 2; i < length; i++) {
        if ((size_t)i >= size)
            return 0;
        if ((text[i] & 0xc0) != 0x80)
            return -1;
    }
    return length;
}

/* Copies valid UTF-8 to `clean`, which has room for a REPLACEMENT of each byte. Unless `all`, stops
 * before an unfinished sequence at the end. Returns the bytes written, and those read in
 * `*taken`. */
static size_t make_valid(const char *text, size_t size, bool all, char *clean, size_t *taken)
{
    size_t at = 0, used = 0;
    while (at < size) {
        int length = sequence_length((const unsigned char *)text + at, size - at);
        if (length == 0 && !all)
            break;
        if (length > 0) {
            memcpy(clean + used, text + at, (size_t)length);
            used += (size_t)length;
        } else {
            memcpy(clean + used, REPLACEMENT, strlen(REPLACEMENT));
            used += strlen(REPLACEMENT);
        }
        at += length > 0 ? (size_t)length : 1;
    }
    *taken = at;
    return used;
}

/* Publishes the stream's text; an unfinished sequence at its end is kept, unless `all`. */
static void publish(struct capture *capture, struct capture_stream *stream, bool all)
{
    struct capture_text *held = stream->held;
    if (!held->size)
        return;
    long long now_ms = clock_ms();
    copy(stream, now_ms);
    char *clean = malloc(held->size * strlen(REPLACEMENT));
    size_t taken = 0, used = clean ? make_valid(held->text, held->size, all, clean, &taken) : 0;
    if (used)
        capture->publish(capture->context, stream->name, clean, used);
    free(clean);
    remember(&capture->shared->words, held->text, taken);
    stream->left_out += taken > held->copied ? taken - held->copied : 0;
    held->copied -= taken < held->copied ? taken : held->copied;
    size_t before = held->size;
    held->size -= taken;
    memmove(held->text, held->text + taken, held->size);
    memset(held->text + held->size, 0, before - held->size);
    stream->shown_ms = stream->since_ms = now_ms;
}

/* Reads once. Returns false if the pipe was empty. */
static bool read_some(struct capture_stream *stream)
{
    struct capture_text *held = stream->held;
    ssize_t count = read(stream->pipe, held->text + held->size, sizeof(held->text) - held->size);
    if (count <= 0)
        return false;
    long long now_ms = clock_ms();
    if (!held->size)
        stream->since_ms = now_ms;
    held->size += (size_t)count;
    copy(stream, now_ms);
    return true;
}

static bool due(const struct capture_stream *stream, long long now_ms)
{
    return stream->held->size > CAPTURE_GATHER_BYTES / 2 ||
           now_ms - stream->shown_ms >= CAPTURE_GATHER_MS;
}

void capture_read(struct capture *capture, struct capture_stream *stream, long long now_ms)
{
    if (read_some(stream) && due(stream, now_ms))
        publish(capture, stream, false);
}

long long capture_tick(struct capture *capture, long long now_ms)
{
    long long next_ms = CLOCK_NEVER;
    for (int i = 0; i < 2; i++) {
        struct capture_stream *stream = &capture->streams[i];
        if (stream->held->size && due(stream, now_ms))
            publish(capture, stream, now_ms - stream->since_ms >= 10 * CAPTURE_GATHER_MS);
        if (stream->held->size)
            next_ms = now_ms + CAPTURE_GATHER_MS;
    }
    return next_ms;
}

void capture_flush(struct capture *capture)
{
    for (int i = 0; i < 2; i++) {
        struct capture_stream *stream = &capture->streams[i];
        /* A thread of the user's that never stops printing must not hold a reply back for ever. */
        size_t passed = 0;
        while (passed < 16 * CAPTURE_GATHER_BYTES && read_some(stream)) {
            if (stream->held->size == CAPTURE_GATHER_BYTES) {
                passed += stream->held->size;
                publish(capture, stream, false);
            }
        }
        publish(capture, stream, true);
    }
}

void capture_forget(struct capture *capture)
{
    for (int i = 0; i < 2; i++)
        if (capture->streams[i].held->size) { /* late output of the request before */
            capture_flush(capture);
            break;
        }
    capture->shared->words.size = 0;
}

/* Copies what a stream has left, waiting a little for a reader. */
static void copy_rest(struct capture_stream *stream, int fd, struct capture_words *words)
{
    struct capture_text *held = stream->held;
    struct pollfd writable = {.fd = fd, .events = POLLOUT};
    long long end_ms = clock_ms() + REST_MS;
    size_t passed = 0;
    do {
        while (held->size < sizeof(held->text) && held->text[held->size])
            held->size++; /* what was read, and not counted any more */
        remember(words, held->text, held->size);
        while (fd >= 0 && held->copied < held->size && clock_ms() < end_ms &&
               poll(&writable, 1, PAUSE_MS) > 0) {
            size_t count = write_some(fd, held->text + held->copied, held->size - held->copied);
            if (!count)
                break;
            held->copied += count;
        }
        passed += held->size;
        memset(held->text, 0, held->size);
        ssize_t count = read(stream->pipe, held->text, sizeof(held->text));
        held->size = count > 0 ? (size_t)count : 0;
        held->copied = 0;
    } while (held->size && passed < 16 * CAPTURE_GATHER_BYTES);
}

void capture_stop(struct capture *capture)
{
    for (int i = 0; i < 2; i++) {
        struct capture_stream *stream = &capture->streams[i];
        if (stream->original >= 0)
            dup2(stream->original, stream->target);
        copy_rest(stream, stream->copy, &capture->shared->words);
        close_pipe(stream);
        close(stream->writer);
    }
}

static bool is_blank(char character)
{
    return character == ' ' || character == '\n' || character == '\r';
}

void capture_last_words(struct capture *capture, char words[CAPTURE_WORDS_BYTES])
{
    struct capture_words *said = &capture->shared->words;
    char clean[sizeof(said->text) * sizeof(REPLACEMENT)];
    size_t taken;
    for (int i = 0; i < 2; i++) {
        int fd = open_copy(capture->streams[i].target);
        copy_rest(&capture->streams[i], fd, said);
        close(fd);
    }
    for (size_t i = 0; i < said->size; i++)
        if (!said->text[i])
            said->text[i] = ' ';
    size_t size = make_valid(said->text, said->size, true, clean, &taken), start = 0;
    while (size && is_blank(clean[size - 1]))
        size--;
    if (size >= CAPTURE_WORDS_BYTES)
        start = size - CAPTURE_WORDS_BYTES + 1;
    while (start < size && (is_blank(clean[start]) || ((unsigned char)clean[start] & 0xc0) == 0x80))
        start++;
    snprintf(words, CAPTURE_WORDS_BYTES, "%.*s", (int)(size - start), clean + start);
}
