/* The table of metrics: the rows of table.h, and metrics that others count. */
#include "controller/stats/stats.h"

struct stats stats;

static const struct {
    const char *socket, *side, *name;
} sockets[STATS_SOCKETS] = {
    [STATS_QUERIES] = {"hub", "client", "hub, queries"},
    [STATS_REGISTRATION] = {"hub", "engine", "hub, registration"},
    [STATS_NOTIFICATION] = {"notification", "client", "hub, notifications"},
    [STATS_PING] = {"ping", "engine", "heart, ping"},
    [STATS_PONG] = {"pong", "engine", "heart, pong"},
    [STATS_DIRECT_CLIENTS] = {"direct", "client", "direct, client side"},
    [STATS_DIRECT_ENGINES] = {"direct", "engine", "direct, engine side"},
    [STATS_CONTROL_CLIENTS] = {"control", "client", "control, client side"},
    [STATS_CONTROL_ENGINES] = {"control", "engine", "control, engine side"},
    [STATS_TASK_CLIENTS] = {"task", "client", "task, client side"},
    [STATS_TASK_ENGINES] = {"task", "engine", "task, engine side"},
    [STATS_BROADCAST_CLIENTS] = {"broadcast", "client", "broadcast, client side"},
    [STATS_BROADCAST_ENGINES] = {"broadcast", "engine", "broadcast, engine side"},
    [STATS_IOPUB_CLIENTS] = {"iopub", "client", "iopub, client side"},
    [STATS_IOPUB_ENGINES] = {"iopub", "engine", "iopub, engine side"},
};

const char *stats_socket_name(enum stats_socket socket)
{
    return sockets[socket].name;
}

void stats_watch(enum stats_socket watched, struct loop *loop, const void *socket,
                 struct seal *seal)
{
    struct traffic *traffic = &stats.sockets[watched].traffic;
    loop_count(loop, socket, traffic);
    if (seal)
        seal->traffic = traffic;
}

const char *const stats_refusals[STATS_REFUSALS] = {
    [SESSION_TRUNCATED] = "truncated", [SESSION_UNSIGNED] = "unsigned",
    [SESSION_FORGED] = "forged",       [SESSION_REPEATED] = "repeated",
    [SESSION_STALE] = "stale",         [SESSION_UNBOUND] = "unbound",
    [SESSION_MALFORMED] = "malformed", [REFUSED_IDENTITIES] = "identities",
    [REFUSED_TOO_LARGE] = "too_large", [REFUSED_STRANGER] = "stranger",
    [REFUSED_NOT_ASKED] = "not_asked", [REFUSED_SUBSCRIPTION] = "subscription",
    [REFUSED_TOPIC] = "topic",         [REFUSED_PONG] = "pong",
    [REFUSED_UNREAD] = "unread",       [REFUSED_QUERY] = "query",
    [REFUSED_MEMORY] = "memory",
};
const char *const stats_ends[STATS_ENDS] = {"ok", "failed"};
const char *const stats_engine_states[STATS_ENGINE_STATES] = {"starting", "idle", "busy"};

static bool label_socket(size_t index, struct metric_labels *labels)
{
    metric_label(labels, "socket", sockets[index].socket);
    metric_label(labels, "side", sockets[index].side);
    return true;
}

static bool label_thread(size_t index, struct metric_labels *labels)
{
    const char *name = stats.threads[index].name;
    if (name)
        metric_label(labels, "thread", name);
    return name;
}

/* Groups of metrics: for the controller, for each socket, and for each thread. */
static const struct metric_group all = {&stats, 1, sizeof(stats), "", NULL, false};
static const struct metric_group of_sockets = {
    stats.sockets, STATS_SOCKETS, sizeof(*stats.sockets), "socket, side", label_socket, true};
static const struct metric_group of_threads = {stats.threads, STATS_THREADS, sizeof(*stats.threads),
                                               "thread",      label_thread,  false};

#define NAMED(kind, name, help)                                                                    \
    {                                                                                              \
        "ipcluster_" name, METRIC_##kind, help, ""                                                 \
    }
#define OF_SOCKET(m)        &of_sockets, offsetof(struct stats_of_socket, m), 1
#define OF_THREAD(m, scale) &of_threads, offsetof(struct stats_of_thread, m), scale
#define OF_ALL(m, scale)    &all, offsetof(struct stats, m), scale

static const struct metric_row rows[] = {
#define METRIC(kind, member, help) {NAMED(kind, #member, help), OF_ALL(member, 1), METRIC_ONE},
#define METRIC_BY(kind, member, label, names, help)                                                \
    {NAMED(kind, #member, help), OF_ALL(member, 1), METRIC_OWN(label, names)},
#define SOCKET_METRIC(kind, member, help)                                                          \
    {NAMED(kind, #member, help), OF_SOCKET(member), METRIC_ONE},
#define SOCKET_METRIC_BY(kind, member, label, names, help)                                         \
    {NAMED(kind, #member, help), OF_SOCKET(member), METRIC_OWN(label, names)},
#include "controller/stats/table.h"
#include "wire/metric_rows.h"
};
const struct metric_table stats_table = {rows, sizeof(rows) / sizeof(*rows)};

static void write_metric(void *self, const struct metric *metric)
{
    fprintf(self, "# TYPE %s %s\n", metric->name, metric_kind_name(metric->kind));
    if (*metric_unit(metric))
        fprintf(self, "# UNIT %s %s\n", metric->name, metric_unit(metric));
    fprintf(self, "# HELP %s %s\n", metric->name, metric->help);
}

static void write_value(void *self, const char *series, double value)
{
    /* So many digits write a time since the epoch to the millisecond, and counts exactly. */
    fprintf(self, "%s %.15g\n", series, value);
}

void stats_write(FILE *stream)
{
    const struct metric_visitor visitor = {write_metric, write_value, stream};
    metric_visit(&stats_table, &visitor);
    fputs("# EOF\n", stream);
}
