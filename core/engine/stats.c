/* The engine's table of metrics. */
#include "engine/stats.h"

struct engine_stats engine_stats;

static const char *const sockets[ENGINE_SOCKETS] = {
    [ENGINE_REGISTRAR] = "registrar", [ENGINE_PING] = "ping",   [ENGINE_SHELL] = "shell",
    [ENGINE_CONTROL] = "control",     [ENGINE_IOPUB] = "iopub",
};
static const char *const ends[REQUEST_ENDS] = {"ok", "failed", "not_run"};

static bool label_socket(size_t index, struct metric_labels *labels)
{
    metric_label(labels, "socket", sockets[index]);
    return true;
}

static const struct metric_group all = {&engine_stats, 1, sizeof(engine_stats), "", NULL, false};
static const struct metric_group of_sockets = {engine_stats.sockets,
                                               ENGINE_SOCKETS,
                                               sizeof(*engine_stats.sockets),
                                               "socket",
                                               label_socket,
                                               true};

#define NAMED(kind, name, help)                                                                    \
    {                                                                                              \
        "ipcluster_engine_" name, METRIC_##kind, help, ""                                          \
    }
#define OF_SOCKET(m)        &of_sockets, offsetof(struct engine_socket_stats, m), 1
#define OF_ALL(m, scale)    &all, offsetof(struct engine_stats, m), scale
#define OF_THREAD(m, scale) OF_ALL(m, scale)

static const struct metric_row rows[] = {
    {NAMED(COUNTER, "requests_finished",
           "Tasks and requests that have ended: ok, failed, or not run, as they were aborted, they "
           "were malformed, or the engine ended."),
     OF_ALL(requests_finished, 1), METRIC_OWN("end", ends)},
    {NAMED(GAUGE, "requests_waiting", "Tasks and requests that wait in the engine."),
     OF_ALL(requests_waiting, 1), METRIC_ONE},
    {NAMED(GAUGE, "requests_running", "1 while user code runs for a request, 0 while none does."),
     OF_ALL(requests_running, 1), METRIC_ONE},
    {NAMED(HISTOGRAM, "request_work_seconds", "How long tasks and requests ran."),
     OF_ALL(request_work_seconds, 1), METRIC_ONE},
    {NAMED(
         COUNTER, "work_seconds",
         "How long tasks and requests ran in all, with what runs now. Its rate says which part of "
         "the time user code is at work."),
     OF_ALL(work_us, 1e-6), METRIC_ONE},
    {NAMED(COUNTER, "messages_refused", "Messages that were not accepted; the log says why."),
     OF_ALL(messages_refused, 1), METRIC_ONE},
#include "wire/metric_rows.h"
};
const struct metric_table engine_stats_table = {rows, sizeof(rows) / sizeof(*rows)};

void engine_stats_watch(enum engine_socket watched, struct loop *loop, const void *socket)
{
    loop_count(loop, socket, &engine_stats.sockets[watched].traffic);
}
