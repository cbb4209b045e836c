/* Reading the metrics of the table (table.h), and those that others count. Any thread. */
#include "controller/stats/stats.h"

#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define SERIES_BYTES 256

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

static double process_seconds(void)
{
    struct timespec used;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    return (double)used.tv_sec + (double)used.tv_nsec / 1e9;
}

static double resident_bytes(void)
{
    unsigned long pages = 0;
    FILE *file = fopen("/proc/self/statm", "re");
    if (file && fscanf(file, "%*u %lu", &pages) != 1)
        pages = 0;
    if (file)
        fclose(file);
    return (double)pages * (double)sysconf(_SC_PAGESIZE);
}

/* Of what there is one of each: of all, of each socket, or of each thread. */
enum scope { ALL, SOCKETS, THREADS };

/* A metric, and where its values are: `at` in what its scope names, or `read`. Where it has a label
 * of its own there are several, one behind the other. */
struct row {
    struct stats_metric metric;
    enum scope scope;
    size_t at;
    double scale; /* what a value is multiplied by */
    const char *label;
    const char *const *names; /* the label's values; NULL: there is no such value */
    size_t count;
    double (*read)(void);
};

#define NAMED(kind, name, help)                                                                    \
    {                                                                                              \
        "ipcluster_" name, STATS_##kind, help, ""                                                  \
    }
#define OF_SOCKET(m)    SOCKETS, offsetof(struct stats_of_socket, m), 1
#define OF_THREAD(m)    THREADS, offsetof(struct stats_of_thread, m), 1
#define US_OF_THREAD(m) THREADS, offsetof(struct stats_of_thread, m), 1e-6
#define OF_ALL(m)       ALL, offsetof(struct stats, m), 1
#define ONE             NULL, NULL, 1, NULL
#define BY(label, of)   label, of, sizeof(of) / sizeof(*(of)), NULL

static const struct row rows[] = {
    {NAMED(COUNTER, "messages_received", "Messages that have come, accepted or refused."),
     OF_SOCKET(traffic.messages[TRAFFIC_IN]), ONE},
    {NAMED(COUNTER, "messages_sent", "Messages that were sent."),
     OF_SOCKET(traffic.messages[TRAFFIC_OUT]), ONE},
    {NAMED(COUNTER, "received_bytes", "Bytes of the messages that have come."),
     OF_SOCKET(traffic.bytes[TRAFFIC_IN]), ONE},
    {NAMED(COUNTER, "sent_bytes", "Bytes of the messages that were sent."),
     OF_SOCKET(traffic.bytes[TRAFFIC_OUT]), ONE},
    {NAMED(COUNTER, "messages_accepted",
           "Messages whose signature is right, by type. A type is shown after its first message."),
     OF_SOCKET(traffic.accepted), BY("type", traffic_types)},

#define METRIC(kind, member, help) {NAMED(kind, #member, help), OF_ALL(member), ONE},
#define METRIC_BY(kind, member, label, names, help)                                                \
    {NAMED(kind, #member, help), OF_ALL(member), BY(label, names)},
#define SOCKET_METRIC(kind, member, help) {NAMED(kind, #member, help), OF_SOCKET(member), ONE},
#define SOCKET_METRIC_BY(kind, member, label, names, help)                                         \
    {NAMED(kind, #member, help), OF_SOCKET(member), BY(label, names)},
#include "controller/stats/table.h"

    {NAMED(COUNTER, "loop_rounds", "How often the thread was woken."), OF_THREAD(rounds.count),
     ONE},
    {NAMED(COUNTER, "loop_busy_seconds",
           "How long the thread was awake. Its rate says how busy the thread is: 1 is all the "
           "time."),
     US_OF_THREAD(rounds.busy_us), ONE},
    {NAMED(GAUGE, "loop_longest_seconds",
           "The longest time that the thread did not look at its sockets."),
     US_OF_THREAD(rounds.longest_us), ONE},
    {NAMED(COUNTER, "loop_stalls",
           "How often it did not look at its sockets for a tenth of a second or longer."),
     OF_THREAD(rounds.stalls), ONE},

    {{"process_cpu_seconds", STATS_COUNTER, "Processor time of the controller.", ""},
     ALL,
     0,
     1,
     NULL,
     NULL,
     1,
     process_seconds},
    {{"process_resident_memory_bytes", STATS_GAUGE, "Memory of the controller.", ""},
     ALL,
     0,
     1,
     NULL,
     NULL,
     1,
     resident_bytes},
    {{"process_start_time_seconds", STATS_GAUGE, "When the controller started, since the epoch.",
      ""},
     ALL,
     offsetof(struct stats, started_us),
     1e-6,
     ONE},
};

/* "a=\"b\",c=\"d\"", without a comma at the end. */
struct labels {
    char text[SERIES_BYTES];
};

static void add_label(struct labels *labels, const char *name, const char *value)
{
    size_t length = strlen(labels->text);
    snprintf(labels->text + length, sizeof(labels->text) - length, "%s%s=\"%s\"", length ? "," : "",
             name, value);
}

static void tell(const struct stats_visitor *visitor, const struct row *row, const char *suffix,
                 const struct labels *labels, double value)
{
    char series[2 * SERIES_BYTES];
    const char *open = *labels->text ? "{" : "", *close = *labels->text ? "}" : "";
    snprintf(series, sizeof(series), "%s%s%s%s%s", row->metric.name, suffix, open, labels->text,
             close);
    visitor->value(visitor->self, series, value);
}

static void visit_histogram(const struct stats_visitor *visitor, const struct row *row,
                            const struct histogram *histogram, const struct labels *labels)
{
    unsigned long long count = 0;
    for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        unsigned long long bound = histogram_bound_us(i);
        struct labels with = *labels;
        char text[32] = "+Inf";
        if (bound)
            snprintf(text, sizeof(text), "%.6f", (double)bound / 1e6);
        add_label(&with, "le", text);
        count += counter_get(&histogram->buckets[i]);
        tell(visitor, row, "_bucket", &with, (double)count);
    }
    tell(visitor, row, "_count", labels, (double)count);
    tell(visitor, row, "_sum", labels, (double)counter_get(&histogram->sum_us) / 1e6);
}

/* The values of one row that are in `base`. */
static void visit_values(const struct stats_visitor *visitor, const struct row *row,
                         const char *base, const struct labels *labels)
{
    const char *suffix = row->metric.kind == STATS_COUNTER ? "_total" : "";
    const struct counter *counters = (const struct counter *)(const void *)(base + row->at);
    if (row->metric.kind == STATS_HISTOGRAM) {
        visit_histogram(visitor, row, (const struct histogram *)(const void *)counters, labels);
        return;
    }
    for (size_t i = 0; i < row->count; i++) {
        struct labels with = *labels;
        double value = row->read ? row->read() : (double)counter_get(&counters[i]) * row->scale;
        if (row->label && (!row->names[i] || (row->scope == SOCKETS && value == 0)))
            continue;
        if (row->label)
            add_label(&with, row->label, row->names[i]);
        tell(visitor, row, suffix, &with, value);
    }
}

static void visit_row(const struct stats_visitor *visitor, const struct row *row)
{
    if (row->scope == ALL) {
        struct labels none = {""};
        visit_values(visitor, row, (const char *)&stats, &none);
    }
    for (size_t i = 0; i < STATS_SOCKETS && row->scope == SOCKETS; i++) {
        struct labels labels = {""};
        add_label(&labels, "socket", sockets[i].socket);
        add_label(&labels, "side", sockets[i].side);
        visit_values(visitor, row, (const char *)&stats.sockets[i], &labels);
    }
    for (size_t i = 0; i < STATS_THREADS && row->scope == THREADS; i++) {
        struct labels labels = {""};
        if (!stats.threads[i].name)
            continue;
        add_label(&labels, "thread", stats.threads[i].name);
        visit_values(visitor, row, (const char *)&stats.threads[i], &labels);
    }
}

static void tell_metric(const struct stats_visitor *visitor, const struct row *row)
{
    static const char *const scopes[] = {
        [ALL] = "", [SOCKETS] = "socket, side", [THREADS] = "thread"};
    struct stats_metric metric = row->metric;
    char labels[64];
    snprintf(labels, sizeof(labels), "%s%s%s", scopes[row->scope],
             row->label && row->scope != ALL ? ", " : "", row->label ? row->label : "");
    metric.labels = labels;
    visitor->metric(visitor->self, &metric);
}

void stats_visit(const struct stats_visitor *visitor)
{
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        if (visitor->metric)
            tell_metric(visitor, &rows[i]);
        if (visitor->value)
            visit_row(visitor, &rows[i]);
    }
}

const char *stats_unit(const struct stats_metric *metric)
{
    const char *last = strrchr(metric->name, '_') + 1;
    return !strcmp(last, "seconds") || !strcmp(last, "bytes") ? last : "";
}

const char *stats_kind_name(enum stats_kind kind)
{
    static const char *const names[] = {
        [STATS_COUNTER] = "counter", [STATS_GAUGE] = "gauge", [STATS_HISTOGRAM] = "histogram"};
    return names[kind];
}

static void write_metric(void *self, const struct stats_metric *metric)
{
    fprintf(self, "# TYPE %s %s\n", metric->name, stats_kind_name(metric->kind));
    if (*stats_unit(metric))
        fprintf(self, "# UNIT %s %s\n", metric->name, stats_unit(metric));
    fprintf(self, "# HELP %s %s\n", metric->name, metric->help);
}

static void write_value(void *self, const char *series, double value)
{
    /* A time since the epoch to the millisecond, and counts to the last digit. */
    fprintf(self, "%s %.15g\n", series, value);
}

void stats_write(FILE *stream)
{
    const struct stats_visitor visitor = {write_metric, write_value, stream};
    stats_visit(&visitor);
    fputs("# EOF\n", stream);
}
