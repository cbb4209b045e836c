/* A job: what travels between the engine's I/O thread and its main thread, one at a time, as a
 * pointer. */
#ifndef ENGINE_JOB_H
#define ENGINE_JOB_H

#include <stdbool.h>
#include <sys/queue.h>

#include <ipcluster/kernel.h>
#include <ipcluster/serial.h>

#include "base/clock.h"
#include "wire/message.h"

struct door;

enum job_kind {
    JOB_APPLY,
    JOB_EXECUTE,
    JOB_ANSWER, /* whatever else the kernel answers */
    JOB_CLEAR,  /* empties the namespace */
    JOB_REACH,  /* opens a tunnel, if the connection file asks for one; no request, like the next */
    JOB_QUIT    /* ends the main thread's loop; comes back when the kernel is destroyed */
};

/* Owned by the I/O thread, and lent to the main thread between being handed over and coming
 * back. */
struct job {
    TAILQ_ENTRY(job) entry;
    enum job_kind kind;
    uint64_t number;       /* from 1 on, once the main thread has it */
    long long received_ns; /* when it came (trace.h) */
    long long begun_us;    /* when the main thread got it (clock_precise_us()) */
    uint64_t counter;      /* of a task: its seal's */
    struct door *door;     /* how the request came */
    void *socket;          /* where it came from and its reply goes */
    const struct ipcl_serial_operations *serial;
    struct message message; /* the request as received, identities included */
    char *msg_id;
    char *msg_type;
    json_t *content; /* NULL where the kind does not read it */
    struct ipcl_buffer *buffers;
    size_t buffer_count;
    char started[CLOCK_DATE_BYTES];
    size_t published;        /* messages on iopub as its children, status apart */
    struct ipcl_reply reply; /* filled by the main thread */
};
TAILQ_HEAD(job_list, job);

/* Takes over the frames of a verified message. NULL where memory is short, the message
 * unchanged. */
struct job *job_create(struct door *door, void *socket, struct message *message);
/* Points the job's buffers at the message's. Returns 0 or -1 where memory is short. */
int job_find_buffers(struct job *job);
/* Releases everything, also what is left of the reply. Takes NULL. */
void job_destroy(struct job *job);

#endif
