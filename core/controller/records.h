/* The thread that keeps records of requests: it owns the store, hears from the hub what happens and
 * what clients ask of the records, and hands its answers back to the hub, whose sockets they leave
 * by. Where nothing is recorded there is no such thread.
 *
 * Both directions are inproc; a message's first frame is one of these structs. */
#ifndef CONTROLLER_RECORDS_H
#define CONTROLLER_RECORDS_H

#include "controller/controller.h"
#include "controller/notice.h"
#include "controller/refusal.h"
#include "controller/report.h"
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
    const char *ename;      /* of an error */
};

/* records_queries.c */
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
    bool begun;
    json_t *unfinished;         /* a mapping with the msg_ids that were unfinished when an earlier
                                   controller ended */
    long long give_up_ms;       /* until then an engine may return with one; 0: that time is over */
    unsigned long long changes; /* since the last commit */
    long long commit_ms;        /* when it is due */
    unsigned long long lost;
    struct log_limit trouble;
};

/* Puts what is new into a record, and counts it as lost where the store cannot. Takes over
 * `record`'s fields and buffers. */
void records_put(struct records *records, const char *msg_id, struct ipcl_record *record);
/* The message's buffers by reference, for a record. */
struct ipcl_buffer *records_buffers(struct message *message, size_t *count);
/* Appends a record's buffer to a message: by reference where it came from a message. Returns 0 or
 * -1. */
int records_append_buffer(struct message *message, const struct ipcl_buffer *buffer);

#endif
