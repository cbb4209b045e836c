/* Capture of standard output and error at the file descriptors. */
#include "engine/capture.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"

#define REPLACEMENT "\xef\xbf\xbd" /* U+FFFD */

static int start_stream(struct capture_stream *stream, const char *name, int target,
                        struct ipcl_error *error)
{
    int ends[2];
    stream->name = name;
    stream->target = target;
    stream->original = fcntl(target, F_DUPFD_CLOEXEC, 3);
    stream->text = malloc(CAPTURE_GATHER_BYTES);
    if (!stream->text || pipe2(ends, O_CLOEXEC))
        return ipcl_error_set(error, "%s cannot be captured: %s", name, strerror(errno));
    stream->pipe = ends[0];
    fcntl(stream->pipe, F_SETFL, O_NONBLOCK);
    dup2(ends[1], target);
    stream->writer = ends[1];
    return 0;
}

int capture_start(struct capture *capture, struct ipcl_error *error)
{
    fflush(NULL);
    /* What a C library prints line by line is to be seen line by line. */
    setvbuf(stdout, NULL, _IOLBF, 0);
    int nothing = open("/dev/null", O_RDONLY);
    if (nothing >= 0) {
        dup2(nothing, STDIN_FILENO);
        close(nothing);
    }
    capture->streams[0].pipe = capture->streams[1].pipe = -1;
    if (start_stream(&capture->streams[0], "stdout", STDOUT_FILENO, error) ||
        start_stream(&capture->streams[1], "stderr", STDERR_FILENO, error))
        return -1;
    if (capture->streams[1].original >= 0)
        log_redirect(capture->streams[1].original);
    return 0;
}

/* The length of the UTF-8 sequence at `text`; 0 where it is cut short by the end; -1 where it is
 * none (RFC 3629: no overlong forms, no surrogates, nothing above U+10FFFF). */
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

/* Publishes the stream's text; an unfinished sequence at its end is kept, unless `all`. */
static void publish(struct capture *capture, struct capture_stream *stream, bool all)
{
    if (!stream->size)
        return;
    char *clean = malloc(stream->size * strlen(REPLACEMENT));
    size_t at = 0, used = 0;
    while (clean && at < stream->size) {
        int length = sequence_length((unsigned char *)stream->text + at, stream->size - at);
        if (length == 0 && !all)
            break;
        if (length > 0) {
            memcpy(clean + used, stream->text + at, (size_t)length);
            used += (size_t)length;
        } else {
            memcpy(clean + used, REPLACEMENT, strlen(REPLACEMENT));
            used += strlen(REPLACEMENT);
        }
        at += length > 0 ? (size_t)length : 1;
    }
    if (used)
        capture->publish(capture->context, stream->name, clean, used);
    free(clean);
    memmove(stream->text, stream->text + at, stream->size - at);
    stream->size -= at;
    stream->shown_ms = stream->since_ms = clock_ms();
}

/* Reads once. Returns false where the pipe was empty. */
static bool read_some(struct capture_stream *stream)
{
    ssize_t count =
        read(stream->pipe, stream->text + stream->size, CAPTURE_GATHER_BYTES - stream->size);
    if (count <= 0)
        return false;
    if (!stream->size)
        stream->since_ms = clock_ms();
    stream->size += (size_t)count;
    return true;
}

static bool due(const struct capture_stream *stream, long long now_ms)
{
    return stream->size > CAPTURE_GATHER_BYTES / 2 ||
           now_ms - stream->shown_ms >= CAPTURE_GATHER_MS;
}

void capture_read(struct capture *capture, struct capture_stream *stream, long long now_ms)
{
    if (read_some(stream) && due(stream, now_ms))
        publish(capture, stream, false);
}

long capture_tick(struct capture *capture, long long now_ms)
{
    long next_ms = -1;
    for (int i = 0; i < 2; i++) {
        struct capture_stream *stream = &capture->streams[i];
        if (stream->size && due(stream, now_ms))
            publish(capture, stream, now_ms - stream->since_ms >= 10 * CAPTURE_GATHER_MS);
        if (stream->size)
            next_ms = CAPTURE_GATHER_MS;
    }
    return next_ms;
}

bool capture_holds(const struct capture *capture)
{
    return capture->streams[0].size || capture->streams[1].size;
}

void capture_flush(struct capture *capture)
{
    for (int i = 0; i < 2; i++) {
        struct capture_stream *stream = &capture->streams[i];
        if (stream->pipe < 0)
            continue;
        /* A thread of the user's that never stops printing must not hold a reply back for ever. */
        size_t passed = 0;
        while (passed < 16 * CAPTURE_GATHER_BYTES && read_some(stream)) {
            if (stream->size == CAPTURE_GATHER_BYTES) {
                passed += stream->size;
                publish(capture, stream, false);
            }
        }
        publish(capture, stream, true);
    }
}

void capture_stop(struct capture *capture)
{
    for (int i = 0; i < 2; i++) {
        struct capture_stream *stream = &capture->streams[i];
        if (stream->original >= 0 && stream->pipe >= 0)
            dup2(stream->original, stream->target);
        if (stream->pipe >= 0) {
            close(stream->pipe);
            close(stream->writer);
        }
        stream->pipe = -1;
        free(stream->text);
        stream->text = NULL;
    }
}
