/* What the engine counts, for people to look at while it runs: the answer to a stats_request. To
 * add a metric: a member here, its row in stats.c, and the line where it counts. */
#ifndef ENGINE_STATS_H
#define ENGINE_STATS_H

#include "wire/loop.h"
#include "wire/metric.h"

enum engine_socket {
    ENGINE_REGISTRAR,
    ENGINE_PING, /* the echoes are not counted: there are as many */
    ENGINE_SHELL,
    ENGINE_CONTROL,
    ENGINE_IOPUB,
    ENGINE_SOCKETS
};

/* How a request has ended here. If the engine ends, its client may get another answer. */
enum request_end { REQUEST_OK, REQUEST_FAILED, REQUEST_NOT_RUN, REQUEST_ENDS };

struct engine_socket_stats {
    struct traffic traffic;
};

/* The I/O thread, or the main thread in its place, writes all of it except `started_us`, which is
 * written before there is an I/O thread. */
struct engine_stats {
    struct counter started_us; /* since the epoch */
    struct engine_socket_stats sockets[ENGINE_SOCKETS];
    struct rounds rounds;
    struct counter messages_refused;
    struct counter requests_finished[REQUEST_ENDS];
    /* Set when somebody asks: */
    struct counter requests_waiting, requests_running;
    struct counter work_us; /* includes what runs now */
    struct histogram request_work_seconds;
};
extern struct engine_stats engine_stats;
extern const struct metric_table engine_stats_table;

/* Counts what goes through a socket of the loop. */
void engine_stats_watch(enum engine_socket watched, struct loop *loop, const void *socket);

#endif
