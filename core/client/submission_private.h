/* Requests on their way to the I/O thread. */
#ifndef CLIENT_SUBMISSION_PRIVATE_H
#define CLIENT_SUBMISSION_PRIVATE_H

#include "client/client_private.h"

/* A request to several engines, which each answer. Once it is submitted, it belongs to the I/O
 * thread. */
struct client_broadcast {
    uint64_t number;   /* the request's; those of its parts follow */
    UT_hash_handle hh; /* in io->broadcasts */
    size_t open;       /* parts that are awaited */
    size_t count;
    struct ipcl_future *parts[]; /* ordered by their engines' uuids */
};

/* A request on its way to the I/O thread, in one allocation. */
struct submission {
    struct submission *next;
    struct ipcl_future *future; /* a hold */
    /* instead of `future`, with a hold on each part; otherwise NULL */
    struct client_broadcast *broadcast;
    const char *msg_type; /* texts are behind the buffers */
    const char *content;  /* JSON; "" for {} */
    const char *metadata;
    size_t buffer_count;
    zmq_msg_t buffers[];
};

/* Any thread: */
/* Addresses a future's request to an engine, if requests of its channel go to one. Returns 0 or -1
 * with `error` set. */
int submission_address(struct ipcl_client *client, struct ipcl_future *future, int engine_id,
                       struct ipcl_error *error);
/* Hands a request to the I/O thread, which takes over the future's or the broadcast's holds. The
 * buffers are taken over in any case. Returns 0 or -1 with `error` set. */
int submission_push(struct ipcl_client *client, const struct ipcl_submission *request,
                    struct ipcl_future *future, struct client_broadcast *broadcast,
                    struct ipcl_error *error);
/* Makes frames of a request's buffers, which are taken over in any case. `several` engines will get
 * them. Returns 0, or -1 with `error` set. */
int submission_make_buffers(const struct ipcl_client *client, const struct ipcl_submission *request,
                            zmq_msg_t *buffers, bool several, struct ipcl_error *error);
/* The same as submission_push() with frames that other requests have, too, in place of buffers. */
int submission_push_shared(struct ipcl_client *client, const struct ipcl_submission *request,
                           zmq_msg_t *buffers, struct ipcl_future *future,
                           struct ipcl_error *error);
/* Releases the buffers of a request that is not sent, from the `first` on. */
void submission_release_buffers(const struct ipcl_submission *request, size_t first);
/* Frees what was submitted, failing its futures. Any thread, once the client is closing. */
void submission_drop_all(struct ipcl_client *client, const char *reason);

/* I/O thread: */
/* All that was submitted, the oldest first. */
struct submission *submission_take_all(struct ipcl_client *client);
void submission_destroy(struct submission *submission);
/* How much memory it takes to keep it. */
size_t submission_bytes(struct submission *submission);
/* Forgets the request that was kept in case a controller loses it. */
void submission_forget(struct client_io *io, struct ipcl_future *future);

#endif
