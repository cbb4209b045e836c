/* What watching the hub on the event loop (hub_watch.c) and asking it without one (hub_alone.c)
 * share. */
#ifndef CLUSTER_WATCH_HUB_WATCH_PRIVATE_H
#define CLUSTER_WATCH_HUB_WATCH_PRIVATE_H

#include <uthash.h>

#include "cluster/watch/hub_watch.h"
#include "wire/connection.h"
#include "wire/seal.h"

/* How often the hub is asked anew: a subscription may begin after an engine was announced. */
#define HUB_ASK_MS 500

struct engine {
    UT_hash_handle hh;
    unsigned long order; /* in which it came */
    bool listed;         /* in the hub's last answer */
    bool told;           /* to end */
    int id;
    int64_t pid;
    bool ranked;
    char python[32], executable[256]; /* its version, and where it is; "": it does not say */
    long long idle_ms;                /* hub_measure.c; likewise the next */
    json_int_t completed;
    char set[64];
    char host[65];
    char job[256];
    char uuid[];
};

struct hub_watch {
    struct hub_watch_events events;
    const char *path; /* of the connection file; the owner's */
    struct connection connection;
    struct session *session;
    unsigned char life[SEAL_LIFE_BYTES]; /* the controller's */
    struct seal query_seal;
    struct seal control_seal;
    struct seal notification_seal;
    void *context;
    void *query;
    void *notification;
    void *control;
    void *monitor; /* PAIR: the end of the query's connection, and its return */
    uv_poll_t query_poll;
    uv_poll_t notification_poll;
    uv_timer_t ask;
    unsigned open_handles;
    bool answered;
    bool asking_soon;
    bool worked;
    bool measures; /* hub_measure.c: */
    unsigned mute; /* so many answers have not said it */
    struct hub_work work;
    double worked_s, tasks_done; /* the latest count most */
    unsigned long long done;     /* in the last answer */
    long long measured_ms;       /* when that came */
    char refusal[IPCL_ERROR_BYTES];
    long long away_ms; /* since when the connection has ended; 0: it has not */
    enum hub_presence presence;
    struct engine *engines;
    unsigned long mark; /* the next one's order */
    struct engine_names names;
    char asked[MESSAGE_ID_LENGTH + 1]; /* the msg_id of the last request */
    json_t *answers; /* to the last request of each kind, by their types, for hub_alone.c; NULL:
                        they are not kept */
};

/* Reads the connection file at `path` and makes the sockets. Returns 0 or -1 with `error` set. */
int hub_watch_connect(struct hub_watch *watch, struct registry *registry, const char *path,
                      struct ipcl_error *error);
/* Sends a request: to the engine of that uuid, or, where it is NULL, to the hub. */
void hub_watch_send(struct hub_watch *watch, void *socket, const char *engine, const char *msg_type,
                    const json_t *content);
/* Takes all that has come. ZMQ_FD tells of changes only, so this also follows each sending. */
void hub_watch_drain(struct hub_watch *watch, void *socket);
/* Takes what an answer says of work, after the engines. hub_measure.c */
void hub_measure_take(struct hub_watch *watch, const json_t *content);
/* Takes what an engine answers that was told to end. Likewise. */
void hub_measure_reply(struct hub_watch *watch, struct message *message, const json_t *content);
/* Without handles on a loop. */
void hub_watch_free(struct hub_watch *watch);

#endif
