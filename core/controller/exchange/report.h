/* What the other threads tell the hub, over inproc: hearts that begin and stop, and each step of
 * each task.
 *
 * A message's first frame holds one record or more. If a store keeps records, a message holds one
 * record, and behind it the task's frames, by reference. Otherwise all records of a round go
 * together, because the hub only counts them. */
#ifndef CONTROLLER_EXCHANGE_REPORT_H
#define CONTROLLER_EXCHANGE_REPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "controller/exchange/notice.h"
#include "wire/message.h"

enum report_kind {
    REPORT_KNOWN,     /* from the hub to the records: the previous controller had this engine */
    REPORT_BORN,      /* text: the engine's uuid */
    REPORT_STOPPED,   /* the same */
    REPORT_SUBMITTED, /* text: the request's msg_id, as in all below. engine -1: no engine has it
                         yet */
    REPORT_ASSIGNED,  /* engine -1: it waits again */
    REPORT_RESTORED,  /* a task of the previous controller that has a record */
    REPORT_DONE,
    REPORT_OUTPUT,
    REPORT_FORGOTTEN, /* text: the uuid of an engine that has gone; what it still sends is not
                         counted */
    REPORT_CLOSED,    /* text: the uuid of an engine that has gone, whose connection and process
                         have ended */
    REPORT_WAITING,   /* engine: how many waiting tasks would go to a new engine */
};
enum report_queue { REPORT_DIRECT, REPORT_TASK };

#define REPORT_TEXT_MAX 255

struct report_record {
    enum report_kind kind;
    enum report_queue queue;
    int engine;
    char text[REPORT_TEXT_MAX + 1];
    char uuid[ENGINE_UUID_BYTES]; /* the engine's, if `engine` does not say which it is; otherwise
                                     "" */
    bool doubtful; /* set by the hub: only the record tells whether this engine has the request */
};

/* A thread's connection to the hub. */
struct report {
    void *socket;   /* PUSH */
    bool recording; /* a store is used: frames are sent too */
    unsigned char *bytes;
    size_t size;
    size_t capacity;
};

/* Adds a record. `frames`, if not NULL, is what a store records; it is used only if the thread is
 * recording. `text` has at most REPORT_TEXT_MAX bytes. Returns 0, or -1 if the record is lost:
 * memory is short. */
int report_add(struct report *report, enum report_kind kind, enum report_queue queue, int engine,
               const char *text, size_t text_size, struct message *frames);
/* The same for an engine that may have no id at the hub, or none any more. */
int report_add_from(struct report *report, enum report_kind kind, enum report_queue queue,
                    const char *uuid, const char *text, size_t text_size, struct message *frames);
/* Reports that an engine which has gone is forgotten here. */
void report_forgotten(struct report *report, const char *uuid);
/* Reports how many tasks wait. */
void report_waiting(struct report *report, size_t count);
/* Sends all records that were added. */
void report_flush(struct report *report);
void report_release(struct report *report);

/* Reads the record at `*offset` of a received first frame, and moves the offset behind it. Returns
 * false at the end. */
bool report_next(const void *data, size_t size, size_t *offset, struct report_record *record);

#endif
