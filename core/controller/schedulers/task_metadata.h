/* What the task scheduler reads of a message's metadata: of a task, which engines it may run on,
 * which tasks it depends on, how often it may be tried again, how long it may wait and whether it
 * outlives its client; of a reply, whether it succeeded.
 * Nothing is unpacked where a member has its common, empty value. */
#ifndef CONTROLLER_SCHEDULERS_TASK_METADATA_H
#define CONTROLLER_SCHEDULERS_TASK_METADATA_H

#include <stdbool.h>
#include <zmq.h>

#include <ipcluster/serial.h>

#include "controller/balancer/balancer.h"

/* Values as the serializer packs them, for comparison. One for each thread. */
struct task_metadata_reader {
    const struct ipcl_serial_operations *serial;
    struct packed_value {
        char *bytes;
        size_t size;
    } empty_list, empty_mapping, null, zero, real_zero, no, yes;
};

/* Returns 0 or -1 with `error` set. */
int task_metadata_prepare(struct task_metadata_reader *reader,
                          const struct ipcl_serial_operations *serial, struct ipcl_error *error);
void task_metadata_release(struct task_metadata_reader *reader);

struct task_metadata {
    json_t *targets;                 /* a list of uuids that is not empty; NULL for any engine */
    struct dependency after, follow; /* with no tasks if there are none */
    int retries;
    bool dropped;    /* when its client has gone */
    int again;       /* how often its client has sent it again because it was lost with a
                        controller */
    double timeout;  /* seconds; 0 for none */
    json_t *kept[2]; /* the dependencies' texts */
};

/* Reads a task's metadata; task_metadata_clear() releases it in any case. Returns 0, or -1 with the
 * name of an exception and a sentence that says what is wrong. */
int task_metadata_read(const struct task_metadata_reader *reader, zmq_msg_t *part,
                       struct task_metadata *metadata, const char **ename, const char **evalue);
void task_metadata_clear(struct task_metadata *metadata);
/* Whether it asks for nothing special. */
bool task_metadata_is_plain(const struct task_metadata *metadata);
/* How a task has ended at an engine. */
enum task_end {
    END_SUCCESS,
    END_FAILURE,
    END_ABORTED,
    END_UNMET,    /* the engine does not meet its dependencies */
    END_UNBEGUN,  /* the engine ends or drains, and takes no more tasks */
    END_RETURNED, /* the engine has not begun it, and was asked for it (task_window.c) */
    END_CUT       /* the engine ends, and has interrupted the task */
};
struct task_reply {
    uint64_t repeats; /* for an answer that its engine sends again (task_recall.c): the counter of
                         the task that it answers; otherwise 0 */
    bool last;        /* the engine drains, and takes no more tasks */
};
/* Reads a reply's metadata. If they cannot be read, the end is END_SUCCESS: the client must look at
 * the content anyway. */
enum task_end task_metadata_of_reply(const struct task_metadata_reader *reader, zmq_msg_t *part,
                                     struct task_reply *reply);

#endif
