/* What a request and the engine may take. */
#include "engine/bounds.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "engine/io.h"
#include "wire/metric.h"

/* How often the engine's memory is looked at. */
#define LOOK_MS 250
/* Of the limit: where there is a warning, and where, below it, the next may come. */
#define WARN_PART  0.8
#define AGAIN_PART 0.7
/* How long what was interrupted may take to end, before the engine does. */
#define TIME_GRACE_MS 5000
/* So often is it interrupted in this time: code that Python calls on the way, such as a callback of
 * IPython's, may swallow one. */
#define INTERRUPTS  2
#define SECONDS_MAX 1e9
/* How long before the end of its job an engine ends that has not finished: what runs has two
 * seconds to be interrupted, and its answer leaves. */
#define ANSWERS_MS 5000

static long long host_bytes(void)
{
    return (long long)sysconf(_SC_PHYS_PAGES) * sysconf(_SC_PAGESIZE);
}

/* "512M", "4G", "80%" of the host's memory, or bytes. Returns 0 or -1. */
static int read_amount(const char *text, long long *bytes)
{
    static const struct {
        const char *unit;
        double bytes;
    } units[] = {{"", 1},
                 {"K", 1024.0},
                 {"M", 1024.0 * 1024},
                 {"G", 1024.0 * 1024 * 1024},
                 {"T", 1024.0 * 1024 * 1024 * 1024}};
    char *end;
    double number = strtod(text, &end), amount = -1;
    for (size_t i = 0; i < sizeof(units) / sizeof(*units); i++)
        if (end != text && !strcmp(end, units[i].unit))
            amount = number * units[i].bytes;
    if (end != text && !strcmp(end, "%") && number <= 100)
        amount = number / 100 * (double)host_bytes();
    if (!(amount >= 1 && amount < 9e18))
        return -1;
    *bytes = (long long)amount;
    return 0;
}

int bounds_read_memory(const struct settings *settings, long long *bytes, struct ipcl_error *error)
{
    const char *text = settings_string(settings, "IPEngine", "memory_limit");
    *bytes = 0;
    if (!*text || !read_amount(text, bytes))
        return 0;
    return ipcl_error_set(error,
                          "IPEngine.memory_limit must be a number of bytes, an amount such as "
                          "512M (with K, M, G or T), or a part of this host's memory such as "
                          "80%%, not '%.100s'",
                          text);
}

void bounds_read_end(struct engine *engine, const struct settings *settings)
{
    double notice = settings_real(settings, "IPEngine", "end_notice");
    const char *text = getenv("SLURM_JOB_END_TIME");
    double left = (text ? strtod(text, NULL) : 0) - clock_wall();
    if (!(notice > 0 && left > 0 && left <= SECONDS_MAX))
        return;
    engine->end_ms = clock_ms() + (long long)(left * 1000);
    engine->notice_ms = engine->end_ms - (long long)(1000 * (notice < left ? notice : left));
    if (engine->notice_ms < 1)
        engine->notice_ms = 1;
}

long long bounds_until(const struct engine *engine, long long until_ms)
{
    long long last_ms = engine->end_ms - ANSWERS_MS;
    return engine->end_ms && last_ms < until_ms ? last_ms : until_ms;
}

void bounds_begin(struct io *io, struct job *job)
{
    struct ipcl_member limit = {.name = "time_limit"};
    struct bounds *bounds = &io->bounds;
    bounds->seconds = 0;
    bounds->interrupted = 0;
    if (job->kind == JOB_CLEAR || job->kind == JOB_QUIT ||
        session_find(job->door->session, message_part(&job->message, MESSAGE_METADATA), &limit,
                     1) ||
        limit.state != IPCL_MEMBER_OTHER)
        return;
    json_t *value = job->serial->unpack(limit.data, limit.size, NULL);
    double seconds = json_is_number(value) ? json_number_value(value) : 0;
    json_decref(value);
    if (!(seconds > 0 && seconds <= SECONDS_MAX))
        return;
    bounds->seconds = seconds;
    bounds->due_ms = clock_ms() + (long long)(seconds * 1000) + 1;
    loop_wake(io->loop); /* where the main thread is in its place, it waits for something later */
}

bool bounds_end(struct io *io, const struct job *job)
{
    const char *ename = json_string_value(json_object_get(job->reply.content, "ename"));
    bool cut = io->bounds.interrupted && ename && !strcmp(ename, "KeyboardInterrupt");
    io->bounds.seconds = 0;
    io->bounds.interrupted = 0;
    return cut;
}

/* Of what the engine runs. */
static void end_engine(struct io *io, const char *text)
{
    io->cause = IO_OWN;
    io_stop(io, ENGINE_EXIT_LIMIT, text);
}

static void look_at_time(struct io *io, long long now_ms)
{
    struct bounds *bounds = &io->bounds;
    char text[256];
    if (now_ms < bounds->due_ms)
        return;
    if (!bounds->interrupted)
        log_warn("%s %s is interrupted: it has run longer than its time limit of %g s",
                 io->running->msg_type, io->running->msg_id, bounds->seconds);
    if (bounds->interrupted < INTERRUPTS) {
        bounds->interrupted++;
        bounds->due_ms = now_ms + TIME_GRACE_MS / INTERRUPTS;
        io_interrupt(io);
        return;
    }
    snprintf(text, sizeof(text),
             "the engine ends: a request ran longer than its time limit of %g s, and was still "
             "running %d s after it was interrupted",
             bounds->seconds, TIME_GRACE_MS / 1000);
    end_engine(io, text);
}

static void look_at_memory(struct io *io, long long now_ms)
{
    struct bounds *bounds = &io->bounds;
    char text[256];
    if (now_ms < bounds->look_ms)
        return;
    bounds->look_ms = now_ms + LOOK_MS;
    double mib = 1024 * 1024, bytes = metric_resident_bytes();
    double limit = (double)io->engine->memory_limit_bytes;
    if (bytes > limit) {
        snprintf(text, sizeof(text),
                 "the engine ends: it uses %.0f MiB of memory, more than its limit of %.0f MiB "
                 "(IPEngine.memory_limit)",
                 bytes / mib, limit / mib);
        end_engine(io, text);
    } else if (bytes > WARN_PART * limit && !bounds->warned) {
        bounds->warned = true;
        log_warn("the engine uses %.0f MiB of memory; above %.0f MiB it ends "
                 "(IPEngine.memory_limit)",
                 bytes / mib, limit / mib);
    } else if (bytes < AGAIN_PART * limit) {
        bounds->warned = false;
    }
}

/* What does not finish is interrupted in time to be answered. */
static void look_at_end(struct io *io, long long now_ms)
{
    char text[64];
    time_t end = time(NULL) + (time_t)((io->engine->end_ms - now_ms) / 1000);
    struct tm local;
    if (now_ms < io->engine->notice_ms)
        return;
    strftime(text, sizeof(text), "its batch job ends at %H:%M:%S", localtime_r(&end, &local));
    io_drain(io, ENGINE_EXIT_LIMIT, text, io->engine->end_ms);
}

long long bounds_tick(struct io *io, long long now_ms)
{
    struct bounds *bounds = &io->bounds;
    if (io->state == IO_STOPPING)
        return CLOCK_NEVER;
    if (bounds->seconds)
        look_at_time(io, now_ms);
    if (io->engine->memory_limit_bytes)
        look_at_memory(io, now_ms);
    if (io->engine->notice_ms && io->state == IO_SERVING && !io->draining)
        look_at_end(io, now_ms);
    bool goes_on = io->state == IO_SERVING && !io->draining;
    long long next_ms = clock_due(io->engine->memory_limit_bytes ? bounds->look_ms : 0);
    next_ms = clock_sooner(next_ms, clock_due(bounds->seconds > 0 ? bounds->due_ms : 0));
    return clock_sooner(next_ms, clock_due(goes_on ? io->engine->notice_ms : 0));
}
