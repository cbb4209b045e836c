/* Futures: the result that a request will have, and the output that it has published so far. */
#ifndef CLIENT_FUTURE_PRIVATE_H
#define CLIENT_FUTURE_PRIVATE_H

#include <jansson.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <uthash.h>
#include <zmq.h>

#include <ipcluster/client.h>

#include "wire/session.h"

#define ENGINE_UUID_BYTES sizeof(((struct ipcl_engine *)0)->uuid)

/* A received message's texts and buffers in one allocation. */
struct parcel {
    zmq_msg_t *memory; /* of the buffers */
    struct ipcl_buffer *buffers;
    size_t buffer_count;
};

struct future_outcome {
    struct ipcl_result result; /* its texts and buffers are behind the struct */
    struct parcel parcel;
    struct ipcl_future *source; /* the buffers are those of its result: a hold; or NULL */
};

struct future_output {
    struct ipcl_output public; /* first: ipcl_future_output() hands out this */
    struct parcel parcel;
    _Atomic(struct future_output *) next;
};

struct callback;

struct ipcl_future {
    atomic_int holds; /* of the program, and of the I/O thread until it has resolved */
    /* one for all `holds` together, and one for the I/O thread while output may come */
    atomic_int io_holds;
    atomic_bool resolved; /* `outcome` is set */
    atomic_bool output_complete;
    _Atomic long long output_missing; /* how many published messages have not come; -1: not known */
    atomic_int waiters;               /* threads that wait on `changed`, or are about to */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    _Atomic(struct callback *) callbacks;
    _Atomic(struct future_output *) first_output;
    struct future_outcome *outcome; /* freed with the last hold */
    char id[MESSAGE_ID_LENGTH + 1];
    /* used instead: a broadcast part's, or that of the request whose result this fetches; otherwise
     * NULL */
    char *other_id;
    enum ipcl_channel channel;
    /* where it was sent; "" for the load balancer and the hub */
    char engine_uuid[ENGINE_UUID_BYTES];
    int engine_id;
    double submitted;
    unsigned forks; /* forks_so_far() when it was made */
    /* Only the I/O thread uses these: */
    uint64_t number;                    /* its key in the table of awaited requests */
    struct client_broadcast *broadcast; /* that it is a part of, or NULL */
    UT_hash_handle hh;
    struct future_output *last_output;
    size_t output_count;
    bool known; /* the controller that has come back says that it is pending */
    /* the request, to send it again if a controller loses it; NULL: it cannot be sent again */
    struct submission *kept;
    int sent_again;            /* how often it was */
    long long output_expected; /* as the reply says; -1 while that is not known */
    long long answered_ms;
    long long resolved_ms;             /* or later: when it was last checked for output */
    long long output_ms;               /* when output last came */
    struct ipcl_future *next_resolved; /* of the futures that wait for the end of their output */
};

/* How many forks there were between the process that first asked and this one. So a child has
 * another number than its parent, without a system call. Any thread. */
unsigned forks_so_far(void);

/* NULL where memory is short. The caller has the one hold. */
struct ipcl_future *future_create(enum ipcl_channel channel);
/* The I/O thread's hold on a future: from before it is submitted until no more output is
 * awaited. */
void future_io_hold(struct ipcl_future *future);
void future_io_release(struct ipcl_future *future);
/* Resolves with an outcome, which is taken over (NULL: memory was short), and calls the callbacks.
 * I/O thread, once, with a hold. */
void future_resolve(struct ipcl_future *future, struct future_outcome *outcome);
/* Takes over `output`. I/O thread. */
void future_add_output(struct ipcl_future *future, struct future_output *output);
/* No more output is awaited. `missing`: how many messages have not come (-1: not known). I/O
 * thread. */
void future_complete_output(struct ipcl_future *future, long long missing);

/* An outcome without a message, of a request that failed here. NULL if memory is short. */
struct future_outcome *outcome_create_failed(const struct ipcl_future *future, const char *ename,
                                             const char *text);
/* An outcome of texts, which are copied, and the buffers of `source`'s result. NULL where memory is
 * short. `texts`: header, metadata, content, msg_type, engine_uuid, error. */
struct future_outcome *outcome_create(const struct ipcl_result *result, struct ipcl_future *source,
                                      const char *const texts[6]);
/* One sentence on what failed; "" if nothing did. */
void outcome_describe(char *sentence, size_t size, int status, const json_t *content,
                      int engine_id);
void outcome_destroy(struct future_outcome *outcome); /* takes NULL */
/* Output without buffers. NULL where memory is short. */
struct future_output *output_create(const char *msg_type, const json_t *content);
void output_destroy(struct future_output *output); /* takes NULL */

#endif
