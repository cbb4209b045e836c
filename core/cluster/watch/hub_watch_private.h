/* What the files share that watch the hub on the event loop (hub_watch.c), and that ask it without
 * one (hub_alone.c). */
#ifndef CLUSTER_WATCH_HUB_WATCH_PRIVATE_H
#define CLUSTER_WATCH_HUB_WATCH_PRIVATE_H

#include <uthash.h>

#include "cluster/watch/hub_link.h"
#include "cluster/watch/hub_watch.h"

/* How often the hub is asked again: a subscription may begin after an engine was announced. */
#define HUB_ASK_MS 500

struct watched_engine {
    UT_hash_handle hh;
    unsigned long order; /* in which it came */
    bool listed;         /* in the hub's last answer */
    bool told;           /* it was asked to end */
    int id;
    int64_t pid;
    bool ranked;
    char python[32], executable[256]; /* its Python's version and path; "": it does not say */
    long long idle_ms;                /* for hub_measure.c, like the next */
    json_int_t completed;
    char set[64];
    char host[65];
    char job[256];
    char uuid[];
};

struct hub_watch {
    struct hub_watch_events events;
    struct hub_link link;
    void *monitor;     /* PAIR: the end of the query's connection, and its return */
    uv_poll_t arrival; /* of messages */
    uv_prepare_t before_wait;
    uv_timer_t ask;
    unsigned open_handles;
    bool answered;
    bool asking_soon;
    bool worked;
    bool measures; /* hub_measure.c: */
    unsigned mute; /* how many answers have not said it */
    struct hub_work work;
    double worked_s, tasks_done; /* the latest count most */
    unsigned long long done;     /* in the last answer */
    long long measured_ms;       /* when that came */
    char refusal[IPCL_ERROR_BYTES];
    long long away_ms; /* since when the connection has ended; 0: it has not */
    enum hub_presence presence;
    struct watched_engine *engines;
    unsigned long mark; /* the next one's order */
    struct engine_names names;
    json_t *answers; /* the last ones of each type, by type, for hub_alone.c; NULL: not kept */
};

/* Takes a message (hub_link.h). */
hub_link_take hub_watch_take;
/* hub_measure.c: takes what an answer says about work. Call it after the engines are taken. */
void hub_measure_take(struct hub_watch *watch, const json_t *content);
/* hub_measure.c: takes the answer of an engine that was told to end. */
void hub_measure_reply(struct hub_watch *watch, const struct hub_message *message);
/* Frees it. It must have no handles on a loop. */
void hub_watch_free(struct hub_watch *watch);

#endif
