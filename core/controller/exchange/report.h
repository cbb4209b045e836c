/* What the hub hears from the other threads, over inproc: hearts that begin and stop, and each step
 * of each task.
 *
 * A message's first frame holds one record or more. Where a store keeps records, a message holds
 * one, and the task's frames by reference behind it; otherwise the records of a round travel
 * together, as the hub only counts them. */
#ifndef CONTROLLER_EXCHANGE_REPORT_H
#define CONTROLLER_EXCHANGE_REPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "controller/exchange/notice.h"
#include "wire/message.h"

enum report_kind {
    REPORT_KNOWN,     /* the previous controller had an engine: the hub's to the records */
    REPORT_BORN,      /* text: the engine's uuid */
    REPORT_STOPPED,   /* likewise */
    REPORT_SUBMITTED, /* text: the request's msg_id; likewise for all below. engine -1: not yet
                         assigned */
    REPORT_ASSIGNED,  /* engine -1: it waits again */
    REPORT_RESTORED,  /* a task of the previous controller, whose record is there */
    REPORT_DONE,
    REPORT_OUTPUT,
    REPORT_FORGOTTEN, /* text: the uuid of an engine that has gone; nothing of it counts any more */
    REPORT_CLOSED,    /* likewise; its connection has ended, and so has its process */
    REPORT_WAITING,   /* engine: how many tasks wait, and would go to an engine that came */
};
enum report_queue { REPORT_DIRECT, REPORT_TASK };

#define REPORT_TEXT_MAX 255

struct report_record {
    enum report_kind kind;
    enum report_queue queue;
    int engine;
    char text[REPORT_TEXT_MAX + 1];
    char uuid[ENGINE_UUID_BYTES]; /* of the engine where it is not told by its id; "" otherwise */
    bool doubtful; /* for the hub to note: the record tells whether this engine has the request */
};

/* A thread's way to the hub. */
struct report {
    void *socket;   /* PUSH */
    bool recording; /* frames go along */
    unsigned char *bytes;
    size_t size;
    size_t capacity;
};

/* Adds a record. `frames`, where not NULL, is what a store records: it is only looked at when the
 * thread is recording. `text` has at most REPORT_TEXT_MAX bytes. Returns 0, or -1 where the record
 * is lost: memory is short. */
int report_add(struct report *report, enum report_kind kind, enum report_queue queue, int engine,
               const char *text, size_t text_size, struct message *frames);
/* The same of an engine that the hub may not have by an id, or not any more. */
int report_add_from(struct report *report, enum report_kind kind, enum report_queue queue,
                    const char *uuid, const char *text, size_t text_size, struct message *frames);
/* Tells that an engine which has gone has been forgotten. */
void report_forgotten(struct report *report, const char *uuid);
/* Tells how many tasks wait. */
void report_waiting(struct report *report, size_t count);
/* Sends what has been added. */
void report_flush(struct report *report);
void report_release(struct report *report);

/* Reads the record at `*offset` of a received first frame and steps over it. Returns false at the
 * end. */
bool report_next(const void *data, size_t size, size_t *offset, struct report_record *record);

#endif
