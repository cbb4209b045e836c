/* The hub's state, for the files that make it up: hub.c (sockets), hub_queries.c (what clients
 * ask), hub_engines.c (engines that come and go), hub_ends.c (engines that have ended), hub_tell.c
 * (what clients and the other threads are told), hub_records.c (the way to the records thread). All
 * of it belongs to the hub's thread. */
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

/* How many of the threads that are told about engines forward requests. */
#define HUB_SCHEDULERS (CHANNEL_LISTENERS - CHANNEL_DIRECT)

/* A socket of the hub: engines connect to one to register, clients to the other to ask. */
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
    struct engine_ending *endings; /* engines that have ended, if the reason is not known yet */
    struct explainer *explainers;  /* clients that say why engines end */
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
    const struct hub_hooks *hooks; /* NULL: there is no previous controller */
    struct previous *previous;     /* of the hooks */
    struct departures departures;
    struct hub_ends ends;
    long long silence_ms;    /* when to stop waiting for the reason why an engine died; 0: no
                                wait */
    long long expiry_ms;     /* when to look for engines whose heart has not begun to beat */
    long long subscribed_ms; /* when the first client subscribed that was not told of late engines;
                                0: none */
    bool asked_to_stop;
    char refusal[IPCL_ERROR_BYTES]; /* why the engine that asked last was refused; "": it was
                                       accepted */
    long long end_ms;               /* since when the controller is to end; 0: the main thread has
                                       been told, or nobody has asked */
    size_t leaving;              /* engines that have gone, but whose connections have not ended */
    unsigned long long requests; /* how many there have been */
    int waiting;                 /* how many tasks would go to a new engine */
    unsigned long long queries;  /* how many have named engines */
    struct ledger ledger;
    struct refusal bad_subscription;
    struct log_limit trouble;
    /* If records are kept: */
    void *records;        /* PUSH to the records thread; NULL: nothing is recorded */
    void *tasks;          /* DEALER: a client of the task scheduler */
    size_t backlog_bytes; /* bytes that the records thread has not dealt with */
    unsigned long long dropped;
    struct log_limit store_trouble;
};

/* The hooks of a restart: what happens to the engines of the previous controller. All of it is in
 * restart/. */
struct hub_hooks {
    /* Called first, when all sockets are open. Returns 0, or -1 with `error` set. */
    int (*open)(struct hub *hub, struct ipcl_error *error);
    void (*release)(struct hub *hub);
    /* Does what is due. Returns the time of the next call, or CLOCK_NEVER. */
    long long (*tick)(struct hub *hub, long long now_ms);
    /* An engine that has not come back yet, or NULL. */
    const struct hub_engine *(*awaited)(const struct hub *hub, const char *uuid);
    /* An engine is back, and has proved by its route that it is the same. It will answer the
     * requests that it has, or die. */
    void (*take_back)(struct hub *hub, const json_t *content, struct hub_engine *engine);
    /* An engine is registered. */
    void (*meet)(struct hub *hub, const char *uuid);
    /* An engine has ended; the sentence says how. Returns whether it was awaited. */
    bool (*end)(struct hub *hub, const char *uuid, const char *sentence);
    /* Adds to what clients are told about the engines. */
    void (*describe)(const struct hub *hub, json_t *content);
};

/* A query, and the answer to it. */
struct query {
    struct hub_door *door;
    struct message *message;
    json_t *content;
    const char *reply_type;
    json_t *reply;          /* the answer's content; NULL for no answer */
    const char *ename;      /* the name of an error */
    const char *error_type; /* the message type of an error */
    records_answer *then;   /* if set, the records thread makes the answer, and gets `context` */
    json_t *context;
};

/* Answers a query: sets `reply`, or `then` and `context`, and returns 0; or returns -1 with `error`
 * set. */
typedef int hub_answer(struct hub *hub, struct query *query, struct ipcl_error *error);
/* The function that answers this message type; NULL with `error` set if the type is unknown, or is
 * not allowed for those who use the query's door. Sets the query's reply_type and error_type. */
hub_answer *hub_find_query(const struct ipcl_member *msg_type, struct query *query,
                           struct ipcl_error *error);

/* In hub_queries.c. Makes each type of query counted on its own. */
void hub_tell_queries_apart(void);

/* In hub_tell.c. */
/* Publishes to all clients. Takes over `content`. */
void hub_notify(struct hub *hub, const char *msg_type, json_t *content);
/* Sends a notice about an engine to the other threads. The notice needs no id and no uuid yet. */
void hub_tell_threads(struct hub *hub, const struct hub_engine *engine, struct notice *notice);
/* How many requests of each kind an engine has, and how many it has completed. A new reference. */
json_t *hub_queue_of(const struct hub_engine *engine);
/* The content of the answer to a connection_request, with the work that there is if `works`: a new
 * reference, or NULL. */
json_t *hub_connection_content(struct hub *hub, bool works);

/* In hub_engines.c. */
hub_answer hub_answer_registration, hub_answer_unregistration, hub_answer_connection;
/* An engine will connect: tells the threads that it connects to. */
void hub_expect_engine(struct hub *hub, const struct hub_engine *engine);
/* The time by which an engine that asks now must have connected. */
long long hub_expires_ms(const struct hub *hub);
/* A heart begins to beat. */
void hub_engine_born(struct hub *hub, const char *uuid);
/* A heart beats no more. */
void hub_engine_silent(struct hub *hub, const char *uuid);
/* Tells clients that subscribed lately about the engines that came before they did. */
void hub_tell_late_engines(struct hub *hub);
/* Gives up engines whose time is over. Returns the time of the next call, or CLOCK_NEVER. */
long long hub_engines_tick(struct hub *hub, long long now_ms);

/* In hub_ends.c. */
hub_answer hub_answer_explain;
/* Tells clients which engines have gone; `all`: without waiting, because another engine will be
 * announced, which may be the same one. */
void hub_tell_departures(struct hub *hub, long long now_ms, bool all);

/* In hub_records.c. */
/* Gives a report to the records thread, if there is one. `frames` is the received message, whose
 * first frame is the report; it is left empty. */
void hub_record(struct hub *hub, const struct report_record *report, struct message *frames);
/* Records that an engine's direct requests will not be answered, and why. Before the ledger
 * forgets the engine. */
void hub_record_death(struct hub *hub, const struct hub_engine *engine, const char *why);
/* Tells the records thread, if there is one, about an engine: REPORT_BORN, REPORT_STOPPED, or
 * REPORT_KNOWN. */
void hub_record_engine(struct hub *hub, const char *uuid, enum report_kind kind);
/* Records that a reconnecting engine has a request of the previous controller. */
void hub_record_return(struct hub *hub, const char *msg_id, const struct hub_engine *engine);
/* Gives a query to the records thread. Returns 0, or -1 with `error` set. */
int hub_ask_records(struct hub *hub, struct query *query, struct ipcl_error *error);
/* Opens the sockets for records. Returns 0, or -1 with `error` set. */
int hub_open_records(struct hub *hub, struct ipcl_error *error);

#endif
