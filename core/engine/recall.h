/* A recall_request: a new controller asks about the tasks that the previous controller gave to this
 * engine. I/O thread. */
#ifndef ENGINE_RECALL_H
#define ENGINE_RECALL_H

#include <stddef.h>
#include <stdint.h>

#include "wire/message.h"
#include "wire/seal.h"

/* How many answers are kept, in case they are lost when a controller ends: the newest of those with
 * at most RECALL_ANSWER_BYTES. */
#define RECALL_ANSWERS      SESSION_TASKS_AT_HAND
#define RECALL_ANSWER_BYTES (64 * 1024)

struct io;
struct job;

struct answered {
    char *msg_id;     /* of the task; NULL: none is kept here */
    uint64_t counter; /* with which it came: a task that is retried may come more than once */
    struct message message;
};

struct recall {
    char life[SEAL_LIFE_TEXT]; /* of the controller that has asked */
    uint64_t before; /* the counter of the last task that came before this controller asked */
    uint64_t newest; /* the counter of the last task that came (seal.h) */
    struct answered answers[RECALL_ANSWERS];
    size_t next; /* where the next goes */
};

/* A task has come. */
void recall_note(struct io *io, struct job *job);
/* The answer to a task is about to be sent, and may be needed once more. */
void recall_keep(struct io *io, const struct job *job, struct message *message);
/* Serves a recall_request, and frees the job. For the tasks that it names, it sends the kept
 * answers once more; then it says which tasks have not come, and which are not here any more. After
 * a controller's first such request, tasks that were sent before it are no longer accepted. */
void recall_serve(struct io *io, struct job *job);
void recall_release(struct io *io);

#endif
