/* The thread that keeps records of requests: it owns the store, hears from the hub what happens and
 * what clients ask of the records, and hands its answers back to the hub, whose sockets they leave
 * by. Where nothing is recorded there is no such thread.
 *
 * Both directions are inproc; a message's first frame is one of these structs. */
#ifndef CONTROLLER_RECORDS_RECORDS_H
#define CONTROLLER_RECORDS_RECORDS_H

#include "controller/exchange/channels.h"
#include "controller/exchange/controller.h"
#include "controller/exchange/notice.h"
#include "controller/exchange/refusal.h"
#include "controller/exchange/report.h"
#include "plugin/services.h"
#include "wire/loop.h"

struct records;
struct records_query;

/* Answers a query: sets `reply` and returns 0, or returns -1 with `error` set. */
typedef int records_answer(struct records *records, struct records_query *query,
                           struct ipcl_error *error);

/* From the hub. */
struct records_item {
    size_t bytes; /* what counts as its size in the backlog */
    /* A query: [item, context, client, message ...]; the context is JSON: what the hub knows that
     * the answer needs. */
    records_answer *answer;
    const char *reply_type; /* static */
    /* Something that happened, if `answer` is NULL: [item, message ...]. REPORT_DONE without a
     * message: the engine died. */
    struct report_record report;
    char engine[ENGINE_UUID_BYTES]; /* its uuid; "" if the hub does not know it */
};

/* To the hub. */
struct records_note {
    enum records_note_kind {
        RECORDS_SETTLED, /* this much of the backlog has been dealt with */
        RECORDS_REPLY,   /* [note, client, message ...] */
        RECORDS_TASK,    /* [note, message ...]: a task to submit */
    } kind;
    size_t bytes;
    size_t count;
    char msg_id[MESSAGE_ID_LENGTH + 1]; /* of the task */
};

/* A query, and the answer to it. */
struct records_query {
    json_t *content;
    json_t *context;
    json_t *reply;
    struct message buffers; /* frames for the answer */
    json_t *drops;          /* the answer is sent when these are dropped, see records_purge.c */
    const char *ename;      /* the name of an error */
};

/* records_queries.c, records_purge.c, records_resubmit.c */
records_answer records_answer_queue, records_answer_result, records_answer_history,
    records_answer_purge, records_answer_db, records_answer_resubmit;

/* The hooks of a restart: what happens to the requests that the previous controller left
 * unfinished. All of it is in restart/. */
struct records_hooks {
    /* Returns 0, or -1 with `error` set. */
    int (*open)(struct records *records, struct ipcl_error *error);
    void (*release)(struct records *records);
    /* Finds the unfinished requests, before anything else happens. */
    void (*begin)(struct records *records);
    /* Does some of the work. Returns the time of the next call, or CLOCK_NEVER. */
    long long (*tick)(struct records *records, long long now_ms);
    /* Whether an old request may still be answered. */
    bool (*expects)(const struct records *records, const char *msg_id);
    /* An engine has come back with a request, and will answer it. Returns whether that may be true:
     * if so, the record has no answer. */
    bool (*take_back)(struct records *records, const char *msg_id, const char *engine);
    /* A request is answered. */
    void (*end)(struct records *records, const char *msg_id);
    /* The previous controller had this engine; this engine has gone. */
    void (*know)(struct records *records, const char *engine);
    void (*lose)(struct records *records, const char *engine);
};
struct records_restart;

/* The thread's state, for its files: records_thread.c (sockets and the clock), records_keep.c (what
 * happens), records_queries.c, records_purge.c and records_resubmit.c (queries), and records.c (the
 * store), which the others use. */
struct records {
    struct controller *controller;
    const struct ipcl_store_operations *store;
    struct loop *loop;
    struct session *session;
    void *items; /* PULL */
    void *notes; /* PUSH */
    struct records_note settled;
    json_t *engines; /* its keys are the uuids of registered engines */
    bool begun;
    uint64_t handed_out; /* how many tasks the store knows as given to engines */
    const struct records_hooks *hooks;
    struct records_restart *restart; /* of the hooks */
    struct purge *purges;
    unsigned long long changes; /* since the last commit */
    long long commit_ms;        /* when to commit */
    bool untidy;                /* the store may have work for times when there is nothing else to
                                   do */
    unsigned long long lost;
    struct log_limit trouble;
};

/* Puts what is new into a record. If the store cannot, the change is counted as lost. Takes over
 * `record`'s fields and buffers. */
void records_put(struct records *records, const char *msg_id, struct ipcl_record *record);
/* Calls `found` for the records of the store that match `query`, as store.h's find does. Returns 0
 * or -1 with `error` set. */
int records_find(struct records *records, const json_t *query, const json_t *keys,
                 bool (*found)(void *context, const struct ipcl_record *record), void *context,
                 struct ipcl_error *error);
/* Whether a request's record names another engine than this one. */
bool records_is_anothers(struct records *records, const char *msg_id, const char *engine);
/* Sends the answer to a query; `message` is the query's. */
void records_send_reply(struct records *records, const struct records_item *item,
                        struct records_query *query, struct message *message);
/* Puts a request's recorded header and buffers into a message that session_build() made, and signs
 * it. Returns 0, or -1 with `error` set. */
int records_finish_message(struct records *records, const struct ipcl_record *record,
                           const json_t *header, struct message *message, struct ipcl_error *error);
/* Makes all changes safe, if the store does that. Returns 0, or -1 with `error` set if changes are
 * lost; they are counted. */
int records_commit(struct records *records, struct ipcl_error *error);
/* Counts changes of records that are lost. */
void records_count_lost(struct records *records, unsigned long long count, const char *why);

/* records_keep.c */
/* Records what has happened. */
void records_keep(struct records *records, const struct records_item *item,
                  struct message *message);
/* Records an error in place of a reply that will not come. `engine` "": none is known. */
void records_put_error(struct records *records, const char *msg_id, const char *engine,
                       const char *why);
/* The message's buffers by reference, for a record. */
struct ipcl_buffer *records_buffers(struct message *message, size_t *count);
/* Appends a record's buffer to a message: by reference if it came from a message. Returns 0 or
 * -1. */
int records_append_buffer(struct message *message, const struct ipcl_buffer *buffer);

/* records_purge.c */
/* Drops the records that the queries match, and then answers the request in `message`, which it
 * takes over. Returns 0, or -1 with the message unchanged and `error` set. */
int records_purge_begin(struct records *records, const struct records_item *item, json_t *drops,
                        struct message *message, struct ipcl_error *error);
/* Does some of the work. Returns whether there is more. */
bool records_purge_step(struct records *records);
void records_purge_release(struct records *records);

#endif
