/* The thread that keeps records of requests: it owns the store, hears from the hub what happens and
 * what clients ask of the records, and hands its answers back to the hub, whose sockets they leave
 * by. Where nothing is recorded there is no such thread.
 *
 * Both directions are inproc; a message's first frame is one of these structs. */
#ifndef CONTROLLER_RECORDS_RECORDS_H
#define CONTROLLER_RECORDS_RECORDS_H

#include "controller/controller.h"
#include "controller/exchange/notice.h"
#include "controller/exchange/refusal.h"
#include "controller/exchange/report.h"
#include "plugin/services.h"
#include "wire/loop.h"

struct records;
struct records_query;

/* Answers a query: fills `reply` and returns 0, or returns -1 with `error` set. */
typedef int records_answer(struct records *records, struct records_query *query,
                           struct ipcl_error *error);

/* From the hub. */
struct records_item {
    size_t bytes; /* what it weighs in the backlog */
    /* A query: [item, context, client, message ...]; the context is JSON, what the hub knows of the
     * question. */
    records_answer *answer;
    const char *reply_type; /* static */
    /* What happened, where `answer` is NULL: [item, message ...]. Done without a message: the
     * engine died. */
    struct report_record report;
    char engine[ENGINE_UUID_BYTES]; /* its uuid; "" where the hub does not know it */
};

/* To the hub. */
struct records_note {
    enum records_note_kind {
        RECORDS_SETTLED, /* so much of the backlog has been dealt with */
        RECORDS_REPLY,   /* [note, client, message ...] */
        RECORDS_TASK,    /* [note, message ...]: to be submitted */
    } kind;
    size_t bytes;
    size_t count;
    char msg_id[MESSAGE_ID_LENGTH + 1]; /* of the task */
};

/* A query, and its answer as it is made. */
struct records_query {
    json_t *content;
    json_t *context;
    json_t *reply;
    struct message buffers; /* frames for the answer */
    json_t *drops;          /* it is answered when these have been done, see records_purge.c */
    const char *ename;      /* of an error */
};

/* records_queries.c, records_purge.c, records_resubmit.c */
records_answer records_answer_queue, records_answer_result, records_answer_history,
    records_answer_purge, records_answer_db, records_answer_resubmit;

/* The thread's state, for the files that make it up. */
struct records {
    struct controller *controller;
    const struct ipcl_store_operations *store;
    struct loop *loop;
    struct session *session;
    void *items; /* PULL */
    void *notes; /* PUSH */
    struct records_note settled;
    json_t *engines; /* a mapping with the uuids of those that are registered */
    json_t *known;   /* likewise of those that the previous controller had */
    bool begun;
    json_t *unfinished; /* a mapping with the msg_ids that were unfinished when an earlier
                           controller ended, see records_restore.c */
    void *restored;     /* PUSH to the task thread, which hears of that one's tasks; or NULL */
    json_t *untold;     /* those tasks that it has not yet heard of, in their order */
    size_t told;        /* so many of these it has */
    bool telling;
    bool outcomes_done;
    int64_t outcomes_told; /* how far the store has told how tasks ended */
    uint64_t handed_out;   /* how many tasks the store knows to have gone to engines */
    long long give_up_ms;  /* until then an engine may return with one; 0: that time is over */
    struct purge *purges;
    unsigned long long changes; /* since the last commit */
    long long commit_ms;        /* when it is due */
    bool untidy;                /* the store may have something to do when nothing else is */
    unsigned long long lost;
    struct log_limit trouble;
};

/* Puts what is new into a record, and counts it as lost where the store cannot. Takes over
 * `record`'s fields and buffers. */
void records_put(struct records *records, const char *msg_id, struct ipcl_record *record);
/* Calls `found` for the records of the store that match `query`, as store.h's find does. Returns 0
 * or -1 with `error` set. */
int records_find(struct records *records, const json_t *query, const json_t *keys,
                 bool (*found)(void *context, const struct ipcl_record *record), void *context,
                 struct ipcl_error *error);
/* Whether a request's record names another engine than this. */
bool records_is_anothers(struct records *records, const char *msg_id, const char *engine);
/* Sends the answer to a query, whose message this is. */
void records_send_reply(struct records *records, const struct records_item *item,
                        struct records_query *query, struct message *message);
/* The message's buffers by reference, for a record. */
struct ipcl_buffer *records_buffers(struct message *message, size_t *count);
/* Puts a request's recorded header and buffers into a message that session_build() made, and signs
 * it. Returns 0, or -1 with `error` set. */
int records_finish_message(struct records *records, const struct ipcl_record *record,
                           const json_t *header, struct message *message, struct ipcl_error *error);
/* Makes what was put and dropped safe, where the store does that. Returns 0, or -1 with `error` set
 * where changes are lost; they are counted. */
int records_commit(struct records *records, struct ipcl_error *error);
/* Some changes of records are lost. */
void records_count_lost(struct records *records, unsigned long long count, const char *why);

/* records_restore.c */
/* Finds what an earlier controller left unfinished. */
void records_restore_begin(struct records *records);
/* Tells the task scheduler some more. Returns whether there is more. */
bool records_restore_step(struct records *records);
/* Whether an earlier controller's request may yet be answered. */
bool records_restore_expects(const struct records *records, const char *msg_id);
/* An engine has come back with a request. Returns whether it is one that was left unfinished, and
 * may be this engine's. */
bool records_restore_returned(struct records *records, const char *msg_id, const char *engine);
void records_restore_engine_gone(struct records *records, const char *engine);
/* What is left may not be answered any more: tells the scheduler of tasks, and calls `fail` for the
 * others. Returns how many there are. */
size_t records_restore_give_up(struct records *records,
                               void (*fail)(struct records *records, const char *msg_id));

/* Appends a record's buffer to a message: by reference where it came from a message. Returns 0 or
 * -1. */
int records_append_buffer(struct message *message, const struct ipcl_buffer *buffer);

/* records_purge.c */
/* Drops what the queries match, and then answers the request that `message` holds, which it takes
 * over. Returns 0, or -1 with the message as it is and `error` set. */
int records_purge_begin(struct records *records, const struct records_item *item, json_t *drops,
                        struct message *message, struct ipcl_error *error);
/* Does some of it. Returns whether there is more. */
bool records_purge_step(struct records *records);
void records_purge_release(struct records *records);

#endif
