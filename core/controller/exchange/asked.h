/* Which engine has which client's request: only the engine that was asked may answer. For a thread
 * that relays requests and stores nothing else of them. */
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
    bool restarted;     /* engines may have requests of the previous controller, which are not known
                       here */
    unsigned char *key; /* the key that was looked up last */
    size_t capacity;
};

/* The verdict on an answer. */
enum asked_verdict { ASKED_ANSWER, ASKED_UNKNOWN, ASKED_OTHER };

/* Whether a message of this type is answered. Others, such as those of comms, are not: they would
 * be pending for ever. */
bool asked_is_request(const struct ipcl_member *msg_type);
/* Returns 0, or -1 with `error` set. */
int asked_init(struct asked *asked, bool restarted, struct ipcl_error *error);
/* Adds a request of this msg_id that goes from a client to an engine; the frames are their names. A
 * message that is no request has no answer, and is not added. Returns 0 or -1 (memory is short). */
int asked_add(struct asked *asked, zmq_msg_t *client, const char *engine,
              const struct ipcl_member *msg_id, const struct ipcl_member *msg_type);
/* Takes an answer, [engine, client, delimiter ...], to the request of this msg_id. From the engine
 * that was asked it is ASKED_ANSWER, once. Any other is ASKED_UNKNOWN if there was a previous
 * controller, whose request it may answer, and otherwise ASKED_OTHER. */
enum asked_verdict asked_take(struct asked *asked, struct message *message,
                              const struct ipcl_member *msg_id);
/* Reports an engine's answer. `engine` is its id at the hub (-1: it has none). If the request is
 * not known here, the hub or the record knows which engine has it. */
void asked_report(struct report *report, enum asked_verdict verdict, int engine,
                  const struct ipcl_member *msg_id, struct message *message);
/* Ends the oldest request that an engine has: its answer is lost (gate.h). The client and msg_id
 * are valid until the next lookup. Returns false if the engine has no request. */
bool asked_lose(struct asked *asked, const char *uuid, struct ipcl_member *client,
                struct ipcl_member *msg_id);
/* Removes all requests of an engine that has gone. */
void asked_forget(struct asked *asked, const char *uuid);
void asked_release(struct asked *asked);

#endif
