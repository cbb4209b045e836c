/* A trace of several threads: each step is in the file or counted as lost, while traces begin and
 * end. */
#include <criterion/criterion.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/path.h"
#include "base/trace.h"

#define THREADS 3
#define STEPS   20000

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
