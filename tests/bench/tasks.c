/* Measures a running cluster from C, through libipcluster: tasks CONNECTION-FILE prints one JSON object. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <ipcluster/client.h>

#define WINDOW  500 /* requests under way at once; a multiple of the engines */
#define TRIPS   3000
#define SECONDS 4.0

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

/* A call that does nothing, on each engine of the view. */
static void submit(struct ipcl_view *view, struct ipcl_future **futures)
{
    struct ipcl_error error;
    need(ipcl_view_call(view, "builtins.bool", "[]", futures, &error) == 0, error.text);
}

static void finish(struct ipcl_future *future)
{
    ipcl_future_wait(future, -1, NULL, NULL);
    const struct ipcl_result *result = ipcl_future_result(future);
    need(result->status == IPCL_OK, result->error);
    ipcl_future_release(future);
}

/* Keeps a window of requests under way for some seconds: a ring of futures, the oldest awaited first. */
static double tasks_per_second(struct ipcl_view *view)
{
    static struct ipcl_future *ring[WINDOW];
    size_t width = ipcl_view_count(view), room = WINDOW / width * width;
    size_t sent = 0, received = 0;
    double start = now();
    while (now() - start < SECONDS) {
        for (; sent - received + width <= room; sent += width)
            submit(view, ring + sent % room);
        for (size_t i = 0; i < width; i++)
            finish(ring[received++ % room]);
    }
    while (received < sent)
        finish(ring[received++ % room]);
    return (double)sent / (now() - start);
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void measure_trips(struct ipcl_view *view, const char *name)
{
    static double trips[TRIPS];
    for (size_t i = 0; i < TRIPS; i++) {
        struct ipcl_future *future;
        double start = now();
        submit(view, &future);
        finish(future);
        trips[i] = now() - start;
    }
    qsort(trips, TRIPS, sizeof(*trips), ascending);
    printf("\"%s_trip_median_us\": %.1f, \"%s_trip_p99_us\": %.1f, ", name, trips[TRIPS / 2] * 1e6, name,
           trips[TRIPS * 99 / 100] * 1e6);
}

int main(int argc, char **argv)
{
    struct ipcl_error error;
    struct ipcl_connect options = {.connection_file = argc > 1 ? argv[1] : NULL};
    struct ipcl_client *client = ipcl_client_connect(&options, NULL, NULL, &error);
    need(client != NULL, error.text);
    struct ipcl_engine first;
    need(ipcl_client_wait_for_engines(client, 1, 10000, NULL, NULL, &error) == 0, error.text);
    ipcl_client_engines(client, &first, 1);
    struct ipcl_view *balanced = ipcl_view_balanced(client, &error);
    need(balanced != NULL, error.text);
    struct ipcl_view *all = ipcl_view_direct(client, NULL, 0, &error);
    need(all != NULL, error.text);
    struct ipcl_view *one = ipcl_view_direct(client, &first.id, 1, &error);
    need(one != NULL, error.text);

    printf("{");
    measure_trips(balanced, "balanced");
    measure_trips(one, "direct");
    printf("\"balanced_tasks\": %.1f, ", tasks_per_second(balanced));
    printf("\"direct_tasks\": %.1f}\n", tasks_per_second(all));

    ipcl_view_destroy(one);
    ipcl_view_destroy(all);
    ipcl_view_destroy(balanced);
    ipcl_client_close(client);
    return 0;
}
