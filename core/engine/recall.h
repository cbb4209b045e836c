/* What a controller that has taken another's place asks of the tasks that this one gave to the
 * engine, and what there is to answer. I/O thread. */
#ifndef ENGINE_RECALL_H
#define ENGINE_RECALL_H

#include <stddef.h>
#include <stdint.h>

#include "wire/message.h"
#include "wire/seal.h"

/* The answers that are kept in case that they get lost with a controller: the newest, of those that
 * are not larger. */
#define RECALL_ANSWERS      64
#define RECALL_ANSWER_BYTES (64 * 1024)

struct io;
struct job;

struct answered {
    char *msg_id;     /* of the task; NULL: none is kept here */
    uint64_t counter; /* under which it came: it may come more than once, to be tried again */
    struct message message;
};

struct recall {
    char life[SEAL_LIFE_TEXT]; /* of the controller that has asked */
    uint64_t
        before; /* the counter of the last task that came before it did, so from an earlier one */
    uint64_t newest; /* the counter of the last task that came (seal.h) */
    struct answered answers[RECALL_ANSWERS];
    size_t next; /* where the next goes */
};

/* A task has come. */
void recall_note(struct io *io, struct job *job);
/* The answer to a task is about to be sent, and may be needed once more. */
void recall_keep(struct io *io, const struct job *job, struct message *message);
/* Serves a recall_request, and is done with the job: of the tasks that it names sends those answers
 * once more that are kept, and then says which have not come, and of which there is nothing here
 * any more. Nothing that was sent before a controller's first such request is taken after it. */
void recall_serve(struct io *io, struct job *job);
void recall_release(struct io *io);

#endif
