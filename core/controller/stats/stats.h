/* What the controller counts, for people to look at while it runs. Each number has one thread that
 * writes it; the hub and the metrics' thread read them all, and no lock stands on a message's way.
 *
 * To add a metric: a row in table.h, and the line where it counts. Metrics of threads and of the
 * process are rows of wire/metric_rows.h. */
#ifndef CONTROLLER_STATS_STATS_H
#define CONTROLLER_STATS_STATS_H

#include <stdio.h>

#include "wire/loop.h"
#include "wire/metric.h"
#include "wire/seal.h"

/* The sockets to which others connect. */
enum stats_socket {
    STATS_QUERIES,
    STATS_REGISTRATION,
    STATS_NOTIFICATION,
    STATS_PING,
    STATS_PONG,
    STATS_DIRECT_CLIENTS,
    STATS_DIRECT_ENGINES,
    STATS_CONTROL_CLIENTS,
    STATS_CONTROL_ENGINES,
    STATS_TASK_CLIENTS,
    STATS_TASK_ENGINES,
    STATS_BROADCAST_CLIENTS,
    STATS_BROADCAST_ENGINES,
    STATS_IOPUB_CLIENTS,
    STATS_IOPUB_ENGINES,
    STATS_SOCKETS
};
/* What a log line calls it: "task, client side". */
const char *stats_socket_name(enum stats_socket socket);

/* Why a message is not taken: a verdict on its signature, or one of these. */
enum stats_refusal {
    REFUSED_IDENTITIES = SESSION_VERDICTS,
    REFUSED_TOO_LARGE,
    REFUSED_STRANGER,  /* no engine that is registered */
    REFUSED_NOT_ASKED, /* it answers nothing that its sender was asked */
    REFUSED_SUBSCRIPTION,
    REFUSED_TOPIC,
    REFUSED_PONG,
    REFUSED_UNREAD, /* whoever it is for does not read */
    REFUSED_QUERY,  /* the hub answered it with an error */
    REFUSED_MEMORY,
    STATS_REFUSALS
};

#define STATS_THREADS 8

struct stats_of_thread {
    const char *name;
    struct rounds rounds;
};

enum stats_end { STATS_END_OK, STATS_END_FAILED, STATS_ENDS };
enum stats_engine_state { STATS_STARTING, STATS_IDLE, STATS_BUSY, STATS_ENGINE_STATES };

/* What labels have, by the number in the array. */
extern const char *const stats_refusals[STATS_REFUSALS];
extern const char *const stats_ends[STATS_ENDS];
extern const char *const stats_engine_states[STATS_ENGINE_STATES];

/* A row of the table as a member. */
#define STATS_MEMBER_COUNTER            struct counter
#define STATS_MEMBER_GAUGE              struct counter
#define STATS_MEMBER_HISTOGRAM          struct histogram
#define STATS_MEMBER(kind, member, ...) STATS_MEMBER_##kind member;
#define STATS_ARRAY(kind, member, label, names, ...)                                               \
    STATS_MEMBER_##kind member[sizeof(names) / sizeof(*(names))];

struct stats_of_socket {
    struct traffic traffic;
#define SOCKET_METRIC    STATS_MEMBER
#define SOCKET_METRIC_BY STATS_ARRAY
#include "controller/stats/table.h"
};

struct stats {
    /* Main's, before the threads start: */
    char metrics_url[64];      /* "": metrics are not offered */
    struct counter started_us; /* since the epoch */
    struct stats_of_socket sockets[STATS_SOCKETS];
    struct stats_of_thread threads[STATS_THREADS];
#define METRIC    STATS_MEMBER
#define METRIC_BY STATS_ARRAY
#include "controller/stats/table.h"
};
extern struct stats stats;

/* Counts what goes through a socket of the loop, and what `seal` accepts, where it is not NULL. */
void stats_watch(enum stats_socket watched, struct loop *loop, const void *socket,
                 struct seal *seal);

/* The table of metrics, to be read by any thread. */
extern const struct metric_table stats_table;
/* Writes the metrics' text (OpenMetrics 1.0). */
void stats_write(FILE *stream);

#endif
