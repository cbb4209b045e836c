/* The hub's state, for the files that make it up: hub.c (sockets), hub_engines.c (engines that come
 * and go), hub_ends.c (engines that have ended), hub_queries.c (what clients ask), hub_records.c
 * (the way to the records thread). All of it belongs to the hub's thread. */
#ifndef CONTROLLER_HUB_HUB_H
#define CONTROLLER_HUB_HUB_H

#include "controller/exchange/channels.h"
#include "controller/exchange/controller.h"
#include "controller/hub/departures.h"
#include "controller/hub/engine_table.h"
#include "controller/hub/engines.h"
#include "controller/hub/ledger.h"
#include "wire/loop.h"
#include "controller/records/records.h"
#include "controller/exchange/refusal.h"
#include "controller/delivery/replies.h"
#include "controller/exchange/report.h"
#include "controller/exchange/routes.h"

/* The threads that forward requests, of those that hear of engines. */
#define HUB_SCHEDULERS (CHANNEL_LISTENERS - CHANNEL_DIRECT)

/* Where those of one role come: engines to register, clients to ask. */
struct hub_door {
    struct hub *hub;
    enum connection_role role;
    void *socket; /* ROUTER */
    struct session *session;
    struct seal seal;
    struct replies replies;
    struct refusal bad_query;
};

struct engine_ending; /* hub_ends.c, and likewise: */
struct explainer;

struct hub_ends {
    struct engine_ending *endings; /* engines of which it is not known yet why they have ended */
    struct explainer *explainers;  /* those that say why */
    size_t explainer_count;
};

struct hub {
    struct controller *controller;
    struct loop *loop;
    struct hub_door doors[CONNECTION_ROLES];
    void *notification; /* PUB */
    struct seal notification_seal;
    void *reports;                      /* PULL */
    void *listeners[CHANNEL_LISTENERS]; /* PUSH: notices to the other threads */
    void *main;                         /* PAIR: a message here asks main to stop the controller */
    bool goodbye_said;
    struct engines engines;
    struct engine_table table;
    struct routes routes; /* also of the previous controller's engines that have not come back */
    const struct hub_hooks *hooks; /* NULL: this controller follows no other */
    struct previous *previous;     /* theirs */
    struct departures departures;
    struct hub_ends ends;
    long long silence_ms;    /* when to give up waiting for how an engine died; 0: no wait */
    long long expiry_ms;     /* when to look for engines whose heart has not begun to beat */
    long long subscribed_ms; /* when the first client subscribed that was not told of late engines;
                                0: none has */
    bool asked_to_stop;
    char refusal[IPCL_ERROR_BYTES]; /* why the engine that came last was not let in; "": it was */
    long long end_ms;               /* since when; 0: main has been told, or nobody has asked */
    size_t leaving;              /* engines that have gone and whose connections have not ended */
    unsigned long long requests; /* that there have been */
    int waiting;                 /* tasks that would go to an engine that came */
    unsigned long long queries;  /* those that name engines */
    struct ledger ledger;
    struct refusal bad_subscription;
    struct log_limit trouble;
    /* Where records are kept: */
    void *records;        /* PUSH to the records thread; NULL where nothing is recorded */
    void *tasks;          /* DEALER: a client of the task scheduler */
    size_t backlog_bytes; /* what the records thread has not dealt with */
    unsigned long long dropped;
    struct log_limit store_trouble;
};

/* The places at which a restart hooks in: what becomes of the engines that the previous controller
 * had. All of it is in restart/. */
struct hub_hooks {
    /* Begins, with all sockets open. Returns 0, or -1 with `error` set. */
    int (*open)(struct hub *hub, struct ipcl_error *error);
    void (*release)(struct hub *hub);
    /* Does what is due. Returns when to be called again, or CLOCK_NEVER. */
    long long (*tick)(struct hub *hub, long long now_ms);
    /* One that has not come back yet, or NULL. */
    const struct hub_engine *(*awaited)(const struct hub *hub, const char *uuid);
    /* One is back that has proved by its route that it is the same: the requests that it has, it
     * answers some time, or dies. */
    void (*take_back)(struct hub *hub, const json_t *content, struct hub_engine *engine);
    /* An engine is registered. */
    void (*meet)(struct hub *hub, const char *uuid);
    /* An engine has ended, as the sentence says. Returns whether it was awaited. */
    bool (*end)(struct hub *hub, const char *uuid, const char *sentence);
    /* Adds to what clients are told of the engines. */
    void (*describe)(const struct hub *hub, json_t *content);
};

/* A query, and its answer as it is made. */
struct query {
    struct hub_door *door;
    struct message *message;
    json_t *content;
    const char *reply_type;
    json_t *reply;          /* the answer's content; NULL for no answer */
    const char *ename;      /* of an error */
    const char *error_type; /* the message type of an error */
    records_answer *then;   /* the records thread answers, and is told `context` */
    json_t *context;
};

/* Answers a query: fills `reply`, or `then` and `context`, and returns 0, or returns -1 with
 * `error` set. */
typedef int hub_answer(struct hub *hub, struct query *query, struct ipcl_error *error);
/* The function that answers this message type; NULL with `error` set for an unknown one, and for
 * one that does not come from those of the query's door. Fills the query's reply_type and
 * error_type. */
hub_answer *hub_find_query(const struct ipcl_member *msg_type, struct query *query,
                           struct ipcl_error *error);

/* In hub_queries.c. Has each query counted by itself. */
void hub_tell_queries_apart(void);
/* What there is to do, and what engines have of it. A new reference. */
json_t *hub_work(struct hub *hub);

/* In hub.c. */
hub_answer hub_answer_shutdown;
/* Publishes to all clients. Takes over `content`. */
void hub_notify(struct hub *hub, const char *msg_type, json_t *content);
/* Tells the other threads of an engine what the notice says, which needs no id and no uuid yet. */
void hub_tell_threads(struct hub *hub, const struct hub_engine *engine, struct notice *notice);
/* Takes in a message of reports. */
loop_receive hub_on_report;

/* In hub_engines.c. */
hub_answer hub_answer_registration, hub_answer_unregistration, hub_answer_connection;
/* What the last of them says, where it is asked for with what there is to do: a new reference, or
 * NULL. */
json_t *hub_connection_content(struct hub *hub, bool works);
/* An engine is to connect: the threads that see it do so hear of it. */
void hub_expect_engine(struct hub *hub, const struct hub_engine *engine);
/* When whoever asks now has to be there. */
long long hub_expires_ms(const struct hub *hub);
/* A heart begins to beat. */
void hub_engine_born(struct hub *hub, const char *uuid);
/* A heart beats no more. */
void hub_engine_silent(struct hub *hub, const char *uuid);
/* Tells clients that subscribed lately of the engines that came before that. */
void hub_tell_late_engines(struct hub *hub);
/* Gives up on those whose time is over. Returns when to be called again, or CLOCK_NEVER. */
long long hub_engines_tick(struct hub *hub, long long now_ms);

/* In hub_ends.c. */
hub_answer hub_answer_explain;
/* Tells clients which engines have gone; of all, where another is to be announced, which may be the
 * same. */
void hub_tell_departures(struct hub *hub, long long now_ms, bool all);

/* Hands a report to the records thread, where there is one. `frames` is the received message, whose
 * first frame is the report; it is left empty. */
void hub_record(struct hub *hub, const struct report_record *report, struct message *frames);
/* Records that an engine's direct requests will not be answered, and why. Before the ledger
 * forgets the engine. */
void hub_record_death(struct hub *hub, const struct hub_engine *engine, const char *why);
/* Tells the records thread, where there is one, of an engine: REPORT_BORN, REPORT_STOPPED, or
 * REPORT_KNOWN. */
void hub_record_engine(struct hub *hub, const char *uuid, enum report_kind kind);
/* Records that a reconnecting engine has a request of the previous controller. */
void hub_record_return(struct hub *hub, const char *msg_id, const struct hub_engine *engine);
/* Hands a query to the records thread. Returns 0, or -1 with `error` set. */
int hub_ask_records(struct hub *hub, struct query *query, struct ipcl_error *error);
/* Hands on the reports that came last: the threads have ended. */
void hub_finish_records(struct hub *hub);
/* Opens the sockets for all that. Returns 0, or -1 with `error` set. */
int hub_open_records(struct hub *hub, struct ipcl_error *error);

#endif
