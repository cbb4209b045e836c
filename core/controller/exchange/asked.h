/* Which engine has which client's request: only the engine that was asked answers. Of a thread that
 * relays requests and keeps no more of them than that. */
#ifndef CONTROLLER_EXCHANGE_ASKED_H
#define CONTROLLER_EXCHANGE_ASKED_H

#include <ipcluster/error.h>
#include <stdbool.h>

#include "base/table.h"
#include "controller/exchange/report.h"
#include "wire/message.h"

struct asked_engine;

struct asked {
    struct table requests;
    struct asked_engine *engines;
    bool restarted; /* engines may have requests of the previous controller, which are not known */
    unsigned char *key; /* the last that was looked for */
    size_t capacity;
};

/* What became of an answer. */
enum asked_verdict { ASKED_ANSWER, ASKED_UNKNOWN, ASKED_OTHER };

/* Whether a message of this type is answered. Others, as those of comms, are not: they would be
 * pending for ever. */
bool asked_is_request(const struct ipcl_member *msg_type);
/* Returns 0, or -1 with `error` set. */
int asked_init(struct asked *asked, bool restarted, struct ipcl_error *error);
/* Enters a request of this msg_id that goes from a client to an engine; the frames are their names.
 * What is no request has no answer, and is not entered. Returns 0 or -1 (memory is short). */
int asked_add(struct asked *asked, zmq_msg_t *client, const char *engine,
              const struct ipcl_member *msg_id, const struct ipcl_member *msg_type);
/* Takes an answer, [engine, client, delimiter ...], to the request of this msg_id. From the engine
 * that was asked it is an answer once. From another it may be to a request of the previous
 * controller, where there was one; otherwise it is none. */
enum asked_verdict asked_take(struct asked *asked, struct message *message,
                              const struct ipcl_member *msg_id);
/* Reports the answer of an engine, which the hub has by this id (-1: not at all). Which engine has
 * what is not known here the hub knows, or the record. */
void asked_report(struct report *report, enum asked_verdict verdict, int engine,
                  const struct ipcl_member *msg_id, struct message *message);
/* The oldest request that an engine has, which ends: its client and its msg_id, until another is
 * looked for. Returns false where it has none. */
bool asked_lose(struct asked *asked, const char *uuid, struct ipcl_member *client,
                struct ipcl_member *msg_id);
/* An engine has gone. */
void asked_forget(struct asked *asked, const char *uuid);
void asked_release(struct asked *asked);

#endif
