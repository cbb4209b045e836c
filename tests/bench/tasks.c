/* Measures a running cluster from C, through libipcluster: tasks CONNECTION-FILE ENGINES waits for
 * so many, and measures one thing more, and prints a JSON object, for each line that it reads.
 * IPCLUSTER_BENCH_SIZE=0.01 makes that shorter. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <ipcluster/client.h>

#define WINDOW      500 /* requests under way at once */
#define TRIPS       3000
#define SECONDS     4.0
#define ENGINES_MAX 64

static void need(int good, const char *error)
{
    if (!good) {
        fprintf(stderr, "tasks: %s\n", error);
        exit(1);
    }
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* How much longer than usual measurements are. */
static double size(void)
{
    const char *text = getenv("IPCLUSTER_BENCH_SIZE");
    return text ? strtod(text, NULL) : 1;
}

/* What this process has computed so far. */
static double cpu(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Where calls go: each to the next engine, or to the load balancer. */
struct target {
    struct ipcl_client *client;
    enum ipcl_channel channel;
    struct ipcl_engine engines[ENGINES_MAX];
    size_t count, turn;
};

/* A call that does nothing: bool(), pickled, and the description of its arguments, of which there
 * are none. */
static struct ipcl_future *submit(struct target *target)
{
    static const char function[] = "cbuiltins\nbool\n.";
    static const char info[] = "(dS'nargs'\nI0\nsS'narg_bufs'\nI0\nsS'kw_keys'\n(ls.";
    const struct ipcl_buffer buffers[] = {
        {.data = function, .size = sizeof(function) - 1},
        {.data = info, .size = sizeof(info) - 1},
    };
    struct ipcl_submission request = {.channel = target->channel,
                                      .engine_id =
                                          target->engines[target->turn++ % target->count].id,
                                      .msg_type = "apply_request",
                                      .buffers = buffers,
                                      .buffer_count = 2};
    struct ipcl_error error;
    struct ipcl_future *future = ipcl_submit(target->client, &request, &error);
    need(future != NULL, error.text);
    return future;
}

static void finish(struct ipcl_future *future)
{
    ipcl_future_wait(future, -1, NULL, NULL);
    const struct ipcl_result *result = ipcl_future_result(future);
    need(result->status == IPCL_OK, result->error);
    ipcl_future_release(future);
}

/* Keeps a window of requests under way for some seconds: a ring of futures, the oldest awaited
 * first. */
static void measure_tasks(struct target *target, const char *name)
{
    static struct ipcl_future *ring[WINDOW];
    size_t sent = 0, received = 0;
    double start = now(), start_cpu = cpu(), end = start + SECONDS * size();
    while (now() < end) {
        for (; sent - received < WINDOW; sent++)
            ring[sent % WINDOW] = submit(target);
        finish(ring[received++ % WINDOW]);
    }
    while (received < sent)
        finish(ring[received++ % WINDOW]);
    printf("{\"%s_tasks\": %.1f, \"%s_client_us\": %.3f, \"%s_sent\": %zu}\n", name,
           (double)sent / (now() - start), name, (cpu() - start_cpu) / (double)sent * 1e6, name,
           sent);
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void measure_trips(struct target *target, const char *name)
{
    static double trips[TRIPS];
    double wanted = TRIPS * size();
    size_t count = wanted < 1 ? 1 : wanted > TRIPS ? TRIPS : (size_t)wanted;
    for (size_t i = 0; i < count; i++) {
        double start = now();
        finish(submit(target));
        trips[i] = now() - start;
    }
    qsort(trips, count, sizeof(*trips), ascending);
    printf("{\"%s_trip_median_us\": %.1f, \"%s_trip_p99_us\": %.1f}\n", name,
           trips[count / 2] * 1e6, name, trips[count * 99 / 100] * 1e6);
}

int main(int argc, char **argv)
{
    struct ipcl_error error;
    struct ipcl_connect options = {.connection_file = argc > 1 ? argv[1] : NULL};
    struct ipcl_client *client = ipcl_client_connect(&options, NULL, NULL, &error);
    need(client != NULL, error.text);
    size_t engines = argc > 2 ? strtoul(argv[2], NULL, 10) : 1;
    need(ipcl_client_wait_for_engines(client, engines, 10000, NULL, NULL, &error) == 0, error.text);
    struct target balanced = {.client = client, .channel = IPCL_CHANNEL_TASK, .count = 1};
    struct target direct = {.client = client, .channel = IPCL_CHANNEL_DIRECT};
    direct.count = ipcl_client_engines(client, direct.engines, ENGINES_MAX);
    if (direct.count > ENGINES_MAX)
        direct.count = ENGINES_MAX;

    static const struct {
        void (*measure)(struct target *target, const char *name);
        bool balanced;
    } steps[] = {{measure_tasks, true},
                 {measure_tasks, false},
                 {measure_trips, true},
                 {measure_trips, false}};
    char line[16];
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]) && fgets(line, sizeof(line), stdin);
         i++) {
        steps[i].measure(steps[i].balanced ? &balanced : &direct,
                         steps[i].balanced ? "balanced" : "direct");
        fflush(stdout);
    }
    ipcl_client_close(client);
    return 0;
}
