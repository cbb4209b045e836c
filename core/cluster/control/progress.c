/* How far a cluster's start has come: a bar on a terminal, plain lines elsewhere. */
#include "cluster/control/progress.h"

#include <stdarg.h>
#include <stdlib.h>

#include "base/clock.h"
#include "cluster/state/json_text.h"

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

/* Hands a line to `tell`: {"say": "..."} or {"fail": "..."}. It may quote output that is not
 * UTF-8. */
static void tell_elsewhere(struct progress *progress, const char *what, const char *format,
                           va_list args)
{
    char *text = NULL;
    if (vasprintf(&text, format, args) < 0)
        return;
    progress->tell(progress->context, json_pack("{s:o}", what, json_text(text)));
    free(text);
}

static void show(struct progress *progress, const char *kind, FILE *stream, const char *format,
                 va_list args)
{
    if (progress->tell) {
        tell_elsewhere(progress, kind, format, args);
        return;
    }
    progress_break(progress);
    vfprintf(stream, format, args);
    fputc('\n', stream);
    fflush(stream);
}

void progress_say(struct progress *progress, const char *format, ...)
{
    va_list args;
    if (progress->quiet)
        return;
    va_start(args, format);
    show(progress, "say", progress->stream, format, args);
    va_end(args);
}

void progress_fail(struct progress *progress, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    show(progress, "fail", progress->errors, format, args);
    va_end(args);
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
    if (progress->tell) {
        progress->tell(progress->context,
                       json_pack("{s:[I,I]}", "engines", (json_int_t)count, (json_int_t)total));
    } else if (progress->terminal) {
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

void progress_hear(struct progress *progress, const json_t *line)
{
    const char *said, *failed;
    json_int_t count, total;
    if (json_unpack((json_t *)line, "{s:s}", "say", &said) == 0)
        progress_say(progress, "%s", said);
    else if (json_unpack((json_t *)line, "{s:s}", "fail", &failed) == 0)
        progress_fail(progress, "%s", failed);
    else if (json_unpack((json_t *)line, "{s:[I,I]}", "engines", &count, &total) == 0)
        progress_engines(progress, (unsigned)count, (unsigned)total);
}
