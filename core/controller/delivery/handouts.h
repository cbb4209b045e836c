/* Which tasks were given to which engines lately: a file that is mapped into memory, so that it
 * outlives a controller that is killed, and costs a task no system call.
 *
 * The store says of a task that it waits until it is told, a moment later, that an engine has it;
 * and of one that has just come it may not know at all, when its client sends it again to the next
 * controller, or the one after that. A controller that finds the task here does not run it a second
 * time. What is not certain counts as given out. An engine that is found alive can say whether a
 * task has come to it: by the counter under which the task was sealed. */
#ifndef CONTROLLER_DELIVERY_HANDOUTS_H
#define CONTROLLER_DELIVERY_HANDOUTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <ipcluster/error.h>

struct handouts;

/* What is known about a task that was given out. */
struct handout {
    uint64_t engine;  /* handouts_hash() of its uuid; 0: the task was taken back from an engine */
    uint64_t counter; /* of its seal; 0: it had none */
    int retries;      /* that were left at that time */
    int deaths;       /* of engines that had it before */
};

/* Opens or makes the file. `session` is this controller's; `before` is that of the controller which
 * had the store last, 0 for none. If the file is another controller's, or the host was restarted
 * since, nothing in it is certain. Main thread. NULL with `error` set on failure. The other
 * functions take NULL, which means that no file is kept: then nothing is certain either. */
struct handouts *handouts_open(const char *path, int64_t session, int64_t before,
                               struct ipcl_error *error);
void handouts_close(struct handouts *handouts);

uint64_t handouts_hash(const char *text, size_t size);

/* Call before a task is sent to an engine, or when it is taken back from one. The task thread. */
void handouts_add(struct handouts *handouts, const char *msg_id, size_t size,
                  const struct handout *handout);
/* Call right after that, if the task could not be sent. */
void handouts_undo(struct handouts *handouts);

/* The store does not get all that happens, so the next controller cannot be certain. Any thread. */
void handouts_doubt(struct handouts *handouts);

/* Whether a previous controller may have given out a task without the store knowing it. The records
 * thread, as all below. */
bool handouts_may_have(const struct handouts *handouts, const char *msg_id);
/* The last known state of a task under the previous controllers. Returns false if it is not known,
 * as after handouts_forget(). */
bool handouts_find(const struct handouts *handouts, const char *msg_id, struct handout *handout);
void handouts_forget(struct handouts *handouts);
/* The store now has everything that was known about the previous controllers. */
void handouts_begin(struct handouts *handouts);
/* The store has the first `count` of the hand-outs that were added here. After handouts_begin(). */
void handouts_settle(struct handouts *handouts, uint64_t count);

#endif
