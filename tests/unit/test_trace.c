/* A trace of several threads: each step is in the file or counted as lost, while traces begin and
 * end. */
#include <criterion/criterion.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/path.h"
#include "base/trace.h"
#include "base/trace_private.h"

#define THREADS     3
#define STEPS       20000
#define SMALL_BYTES (1 << 16) /* a file that is large soon */

static char file[] = "/tmp/ipcl-trace-XXXXXX";

static void *take_steps(void *unused)
{
    for (int i = 0; i < STEPS; i++) {
        trace_arrived();
        trace_step_since(TRACE_DISPATCH, "an \"id\"", 7, i, trace_now());
    }
    return unused;
}

static void run_threads(void)
{
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, take_steps, NULL), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
}

/* How many steps are there, and how many are said to be lost. */
static void count(const char *text, long *steps, long *lost)
{
    *steps = *lost = 0;
    for (const char *at = text; (at = strstr(at, "\"name\":\"to engine ")); at++)
        ++*steps;
    for (const char *at = text; (at = strstr(at, "{\"steps\":")); at++)
        *lost += atol(at + strlen("{\"steps\":"));
}

/* On a busy machine the thread that writes may need longer than trace_stop() waits for it. */
#define TRIES    600
#define PAUSE_US 100000

static void start_trace(void)
{
    struct ipcl_error error = {""};
    int tries = TRIES;
    while (trace_start("tester", file, 1LL << 30, &error) && --tries)
        usleep(PAUSE_US);
    cr_assert(tries, "%s", error.text);
    cr_assert_eq(trace_start("tester", file, 1LL << 30, &error), -1, "there is one already");
}

Test(trace, every_step_is_written_or_counted_as_lost)
{
    close(mkstemp(file));
    for (int round = 0; round < 3; round++) {
        long steps = 0, lost = 0;
        size_t size;
        start_trace();
        run_threads();
        trace_stop();
        for (int tries = TRIES; tries && steps + lost != (long)THREADS * STEPS; tries--) {
            usleep(tries < TRIES ? PAUSE_US : 0);
            char *text = path_read_file(file, (size_t)1 << 30, &size, NULL);
            cr_assert_not_null(text);
            count(text, &steps, &lost);
            cr_expect_not_null(strstr(text, "an ?id?"));
            cr_expect_null(strstr(text, "an \""));
            free(text);
        }
        cr_expect_eq(steps + lost, (long)THREADS * STEPS, "%ld and %ld", steps, lost);
    }
    unlink(file);
}

static long count_of(const char *text, const char *part)
{
    long count = 0;
    for (const char *at = text; (at = strstr(at, part)); at++)
        count++;
    return count;
}

/* The file, once the trace has ended. */
static char *written(void)
{
    size_t size;
    trace_stop();
    char *text = path_read_file(file, (size_t)1 << 30, &size, NULL);
    cr_assert_not_null(text);
    return text;
}

Test(trace, a_thread_has_its_name_in_each_trace)
{
    close(mkstemp(file));
    for (int round = 0; round < 3; round++) {
        start_trace();
        trace_step(TRACE_SUBMIT, "id", 2, -1);
        char *text = written();
        cr_expect_eq(count_of(text, "\"name\":\"submit\""), 1);
        cr_expect_eq(count_of(text, "\"name\":\"thread_name\""), 1, "round %d", round);
        free(text);
    }
    unlink(file);
}

Test(trace, the_first_part_of_an_earlier_trace_is_none_of_the_next)
{
    char previous[sizeof(file) + 2];
    struct ipcl_error error = {""};
    close(mkstemp(file));
    snprintf(previous, sizeof(previous), "%s.1", file);
    cr_assert_eq(trace_start("tester", file, SMALL_BYTES, &error), 0, "%s", error.text);
    for (int i = 0; i < STEPS && !path_exists(previous); i++) {
        trace_step(TRACE_DISPATCH, "id", 2, i);
        usleep(100);
    }
    free(written());
    cr_assert(path_exists(previous), "the file became too large");
    start_trace();
    cr_expect_not(path_exists(previous));
    free(written());
    unlink(file);
}

Test(trace, a_file_that_is_begun_anew_says_at_once_whose_it_is)
{
    struct trace_file *part = calloc(1, sizeof(*part));
    struct ipcl_error error = {""};
    char previous[sizeof(file) + 2];
    size_t size;
    close(mkstemp(file));
    snprintf(previous, sizeof(previous), "%s.1", file);
    strcpy(part->path, file);
    part->bytes_max = SMALL_BYTES;
    cr_assert_eq(trace_file_open(part, &error), 0, "%s", error.text);
    for (int i = 0; i < STEPS && !path_exists(previous); i++) {
        trace_file_lost(part, 1);
        cr_assert_eq(trace_file_flush(part, &error), 0, "%s", error.text);
    }
    cr_assert(path_exists(previous), "the file became too large");
    char *text = path_read_file(file, SMALL_BYTES, &size, &error);
    cr_assert_not_null(text, "%s", error.text);
    cr_expect_eq(count_of(text, "\"name\":\"ipcluster_trace\""), 1);
    free(text);
    close(part->fd);
    free(part);
    unlink(file);
    unlink(previous);
}
