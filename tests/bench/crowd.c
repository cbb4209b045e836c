/* A client of many engines, through libipcluster: crowd CONNECTION-FILE does what each line that it
 * reads says, and prints a JSON object with what it saw:
 *
 * engines COUNT SECONDS  waits, at most so long, until there are exactly so many
 * ask                    asks each engine directly, all at once
 * tasks COUNT            has so many no-op tasks run by the load balancer
 * trips COUNT            likewise, one at a time
 * direct COUNT           asks engine 0 directly, so many times */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <ipcluster/client.h>

#define WINDOW      4000 /* requests under way at once */
#define ENGINES_MAX 4096

static atomic_ulong added, removed;
static _Atomic double removed_at; /* when the client heard of the last; CLOCK_MONOTONIC */

static void need(int good, const char *error)
{
    if (!good) {
        fprintf(stderr, "crowd: %s\n", error);
        exit(1);
    }
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void count_event(void *context, const struct ipcl_event *event)
{
    (void)context;
    if (event->kind == IPCL_EVENT_ENGINE_ADDED)
        atomic_fetch_add(&added, 1);
    else if (event->kind == IPCL_EVENT_ENGINE_REMOVED) {
        atomic_store(&removed_at, now());
        atomic_fetch_add(&removed, 1);
    }
}

/* A call that does nothing: bool(), pickled, and the description of its arguments, of which there
 * are none. */
static struct ipcl_future *submit(struct ipcl_client *client, enum ipcl_channel channel,
                                  int engine_id)
{
    static const char function[] = "cbuiltins\nbool\n.";
    static const char info[] = "(dS'nargs'\nI0\nsS'narg_bufs'\nI0\nsS'kw_keys'\n(ls.";
    const struct ipcl_buffer buffers[] = {
        {.data = function, .size = sizeof(function) - 1},
        {.data = info, .size = sizeof(info) - 1},
    };
    struct ipcl_submission request = {.channel = channel,
                                      .engine_id = engine_id,
                                      .msg_type = "apply_request",
                                      .buffers = buffers,
                                      .buffer_count = 2};
    struct ipcl_error error;
    struct ipcl_future *future = ipcl_submit(client, &request, &error);
    need(future != NULL, error.text);
    return future;
}

/* Returns whether it succeeded. */
static bool finish(struct ipcl_future *future)
{
    ipcl_future_wait(future, -1, NULL, NULL);
    bool good = ipcl_future_result(future)->status == IPCL_OK;
    ipcl_future_release(future);
    return good;
}

static void wait_for(struct ipcl_client *client, unsigned long count, double seconds)
{
    struct timespec moment = {.tv_nsec = 5 * 1000000};
    double start = now();
    while (ipcl_client_engines(client, NULL, 0) != count && now() - start < seconds)
        nanosleep(&moment, NULL);
    printf("{\"engines\": %zu, \"added\": %lu, \"removed\": %lu, \"removed_at\": %.3f}\n",
           ipcl_client_engines(client, NULL, 0), atomic_load(&added), atomic_load(&removed),
           atomic_load(&removed_at));
}

static void ask(struct ipcl_client *client)
{
    static struct ipcl_engine engines[ENGINES_MAX];
    static struct ipcl_future *futures[ENGINES_MAX];
    size_t count = ipcl_client_engines(client, engines, ENGINES_MAX), answered = 0;
    double start = now();
    for (size_t i = 0; i < count; i++)
        futures[i] = submit(client, IPCL_CHANNEL_DIRECT, engines[i].id);
    for (size_t i = 0; i < count; i++)
        answered += finish(futures[i]);
    printf("{\"asked\": %zu, \"answered\": %zu, \"seconds\": %.3f}\n", count, answered,
           now() - start);
}

/* Keeps at most `window` requests under way. */
static void run(struct ipcl_client *client, enum ipcl_channel channel, int engine_id,
                unsigned long window, unsigned long count)
{
    static struct ipcl_future *ring[WINDOW];
    unsigned long sent = 0, received = 0, failed = 0;
    double start = now();
    while (received < count) {
        for (; sent < count && sent - received < window; sent++)
            ring[sent % WINDOW] = submit(client, channel, engine_id);
        failed += !finish(ring[received++ % WINDOW]);
    }
    printf("{\"tasks\": %lu, \"failed\": %lu, \"seconds\": %.3f}\n", count, failed, now() - start);
}

int main(int argc, char **argv)
{
    struct ipcl_error error;
    struct ipcl_connect options = {.connection_file = argc > 1 ? argv[1] : NULL};
    struct ipcl_client *client = ipcl_client_connect(&options, NULL, NULL, &error);
    char line[64];
    unsigned long count;
    double seconds;
    need(client != NULL, error.text);
    ipcl_client_on_event(client, count_event, NULL);
    while (fgets(line, sizeof(line), stdin)) {
        if (sscanf(line, "engines %lu %lf", &count, &seconds) == 2)
            wait_for(client, count, seconds);
        else if (sscanf(line, "tasks %lu", &count) == 1)
            run(client, IPCL_CHANNEL_TASK, -1, WINDOW, count);
        else if (sscanf(line, "trips %lu", &count) == 1)
            run(client, IPCL_CHANNEL_TASK, -1, 1, count);
        else if (sscanf(line, "direct %lu", &count) == 1)
            run(client, IPCL_CHANNEL_DIRECT, 0, WINDOW, count);
        else
            ask(client);
        fflush(stdout);
    }
    ipcl_client_close(client);
    return 0;
}
