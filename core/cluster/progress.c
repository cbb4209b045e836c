/* How far a cluster's start has come: a bar on a terminal, plain lines elsewhere. */
#include "cluster/progress.h"

#include <stdarg.h>

#include "base/clock.h"

#define BAR_WIDTH 40
#define LINE_MS   200 /* at most one plain line in this time, and always the last */

void progress_init(struct progress *progress, FILE *stream, FILE *errors, bool terminal, bool quiet)
{
    *progress =
        (struct progress){.stream = stream, .errors = errors, .terminal = terminal, .quiet = quiet};
}

void progress_break(struct progress *progress)
{
    if (progress->bar_open)
        fputc('\n', progress->stream);
    progress->bar_open = false;
    fflush(progress->stream);
}

void progress_say(struct progress *progress, const char *format, ...)
{
    va_list args;
    if (progress->quiet)
        return;
    progress_break(progress);
    va_start(args, format);
    vfprintf(progress->stream, format, args);
    va_end(args);
    fputc('\n', progress->stream);
    fflush(progress->stream);
}

void progress_fail(struct progress *progress, const char *format, ...)
{
    va_list args;
    progress_break(progress);
    va_start(args, format);
    vfprintf(progress->errors, format, args);
    va_end(args);
    fputc('\n', progress->errors);
    fflush(progress->errors);
}

static void draw_bar(struct progress *progress, unsigned count, unsigned total)
{
    unsigned filled = total ? (unsigned)((unsigned long long)count * BAR_WIDTH / total) : BAR_WIDTH;
    fputs("\r[", progress->stream);
    for (unsigned i = 0; i < BAR_WIDTH; i++)
        fputc(i < filled ? '#' : '.', progress->stream);
    fprintf(progress->stream, "] %u of %u engine%s", count, total, total == 1 ? "" : "s");
    progress->bar_open = true;
    fflush(progress->stream);
}

void progress_engines(struct progress *progress, unsigned count, unsigned total)
{
    long long now = clock_ms();
    if (progress->quiet || (progress->total == total && progress->shown == count))
        return;
    if (progress->terminal) {
        draw_bar(progress, count, total);
    } else {
        if (count < total && progress->total == total && now - progress->shown_ms < LINE_MS)
            return;
        progress_say(progress, "%u of %u engine%s registered", count, total,
                     total == 1 ? " has" : "s have");
    }
    progress->shown = count;
    progress->total = total;
    progress->shown_ms = now;
}
