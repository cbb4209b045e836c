/* The hub's state, for the files that make it up: hub.c (sockets and engines), hub_queries.c (what
 * clients ask), hub_records.c (what a store keeps). All of it belongs to the hub's thread. */
#ifndef CONTROLLER_HUB_H
#define CONTROLLER_HUB_H

#include "controller/controller.h"
#include "controller/engine_table.h"
#include "controller/engines.h"
#include "controller/ledger.h"
#include "wire/loop.h"
#include "controller/refusal.h"
#include "controller/report.h"

enum hub_listener {
    HUB_HEART,
    HUB_DIRECT,
    HUB_CONTROL,
    HUB_TASK,
    HUB_BROADCAST,
    HUB_LISTENERS
};

struct hub {
    struct controller *controller;
    struct loop *loop;
    struct session *session;
    void *query;                    /* ROUTER */
    void *notification;             /* PUB */
    void *reports;                  /* PULL */
    void *listeners[HUB_LISTENERS]; /* PUSH: notices to the other threads */
    void *main;                     /* PAIR: a message here asks main to stop the controller */
    bool goodbye_said;
    struct engines engines;
    struct engine_table table;
    long long expiry_ms;     /* when to look for engines whose heart has not begun to beat */
    long long subscribed_ms; /* when the first client subscribed that was not told of late engines;
                                0: none has */
    bool asked_to_stop;
    struct ledger ledger;
    struct refusal bad_query;
    struct refusal bad_subscription;
    struct log_limit store_trouble;
};

/* A query, and its answer as it is made. */
struct query {
    struct message *message;
    json_t *content;
    const char *reply_type;
    json_t *reply;          /* the answer's content; NULL for no answer */
    struct message buffers; /* frames for the answer */
    const char *ename;      /* of an error */
};

/* Answers a query: fills `reply` and returns 0, or returns -1 with `error` set, which becomes a
 * hub_error. */
typedef int hub_answer(struct hub *hub, struct query *query, struct ipcl_error *error);
/* The function that answers this message type, and the type of its reply; NULL for an unknown one.
 */
hub_answer *hub_find_query(const char *msg_type, size_t size, const char **reply_type);

/* Registration, in hub.c. */
hub_answer hub_answer_registration, hub_answer_unregistration, hub_answer_connection,
    hub_answer_shutdown;

/* Keeps what a report says in the store. `frames` is the received message, whose first frame is the
 * report. */
void hub_record(struct hub *hub, const struct report_record *report, struct message *frames);
/* Records that an engine's direct requests will not be answered. Before the ledger forgets the
 * engine. */
void hub_record_death(struct hub *hub, const struct engine *engine);

#endif
