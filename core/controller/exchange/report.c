/* Reports to the hub: records of kind, queue, lengths of text and uuid, engine, text, uuid. */
#include "controller/exchange/report.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#define HEAD_BYTES (4 + sizeof(int32_t))

static int report_append(struct report *report, enum report_kind kind, enum report_queue queue,
                         int engine, const char *uuid, const char *text, size_t text_size)
{
    size_t uuid_size = strlen(uuid), needed = report->size + HEAD_BYTES + text_size + uuid_size;
    if (needed > report->capacity) {
        unsigned char *grown = realloc(report->bytes, 2 * needed);
        if (!grown)
            return -1;
        report->bytes = grown;
        report->capacity = 2 * needed;
    }
    unsigned char *at = report->bytes + report->size;
    int32_t number = engine;
    at[0] = (unsigned char)kind;
    at[1] = (unsigned char)queue;
    at[2] = (unsigned char)text_size;
    at[3] = (unsigned char)uuid_size;
    memcpy(at + 4, &number, sizeof(number));
    memcpy(at + HEAD_BYTES, text, text_size);
    memcpy(at + HEAD_BYTES + text_size, uuid, uuid_size);
    report->size = needed;
    return 0;
}

/* One record and the frames that belong to it, without the identities. */
static int send_with_frames(struct report *report, struct message *frames)
{
    struct message message;
    message_init(&message);
    int failed = message_append(&message, report->bytes, report->size) ||
                 (frames && message_append_body(&message, frames)) ||
                 message_send(&message, report->socket);
    message_close(&message);
    report->size = 0;
    return failed ? -1 : 0;
}

static int report_put(struct report *report, enum report_kind kind, enum report_queue queue,
                      int engine, const char *uuid, const char *text, size_t text_size,
                      struct message *frames)
{
    if (text_size > REPORT_TEXT_MAX ||
        report_append(report, kind, queue, engine, uuid, text, text_size))
        return -1;
    return report->recording ? send_with_frames(report, frames) : 0;
}

int report_add(struct report *report, enum report_kind kind, enum report_queue queue, int engine,
               const char *text, size_t text_size, struct message *frames)
{
    return report_put(report, kind, queue, engine, "", text, text_size, frames);
}

int report_add_from(struct report *report, enum report_kind kind, enum report_queue queue,
                    const char *uuid, const char *text, size_t text_size, struct message *frames)
{
    return report_put(report, kind, queue, -1, uuid, text, text_size, frames);
}

void report_forgotten(struct report *report, const char *uuid)
{
    report_add(report, REPORT_FORGOTTEN, REPORT_DIRECT, -1, uuid, strlen(uuid), NULL);
}

void report_waiting(struct report *report, size_t count)
{
    report_add(report, REPORT_WAITING, REPORT_TASK, count < INT_MAX ? (int)count : INT_MAX, "", 0,
               NULL);
}

void report_flush(struct report *report)
{
    if (report->size)
        zmq_send(report->socket, report->bytes, report->size, ZMQ_DONTWAIT);
    report->size = 0;
}

void report_release(struct report *report)
{
    free(report->bytes);
    report->bytes = NULL;
    report->size = report->capacity = 0;
}

bool report_next(const void *data, size_t size, size_t *offset, struct report_record *record)
{
    const unsigned char *at = (const unsigned char *)data + *offset;
    int32_t engine;
    if (*offset + HEAD_BYTES > size || *offset + HEAD_BYTES + at[2] + at[3] > size ||
        at[3] >= sizeof(record->uuid))
        return false;
    memcpy(&engine, at + 4, sizeof(engine));
    record->kind = at[0];
    record->queue = at[1];
    record->engine = engine;
    memcpy(record->text, at + HEAD_BYTES, at[2]);
    record->text[at[2]] = '\0';
    memcpy(record->uuid, at + HEAD_BYTES + at[2], at[3]);
    record->uuid[at[3]] = '\0';
    record->doubtful = false;
    *offset += HEAD_BYTES + at[2] + at[3];
    return true;
}
