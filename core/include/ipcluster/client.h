/* libipcluster: a client of a running cluster.
 *
 * One I/O thread per client owns the sockets; it takes no signals. All functions may be called from
 * any thread unless they say otherwise; results resolve futures without anybody polling. Objects
 * are reference counted where the comments say so.
 *
 * A client does not survive fork(): in the child its functions fail with an error, and
 * ipcl_client_close() only forgets it. A child that wants the cluster connects anew. */
#ifndef IPCLUSTER_CLIENT_H
#define IPCLUSTER_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <ipcluster/error.h>
#include <ipcluster/plugin.h>

#ifdef __cplusplus
extern "C" {
#endif
#ifdef __GNUC__
#pragma GCC visibility push(default) /* the library is built with all else hidden */
#endif

struct ipcl_client;
struct ipcl_future;

/* Where to connect. Zero-initialise and set what is known; strings are copied.
 *
 * ssh_server and ssh_key are for a controller that is reached through an SSH server. The file may
 * name one (ipcontroller --ssh), which is used where the controller is not on this machine. One
 * process of OpenSSH's ssh forwards all ports, and ends with the client, also where this program is
 * killed. It asks for no password: a key or an agent must do. Where it ends by itself, so does the
 * client's connection, with an error. It is a child of this process: a program that waits for any
 * child of its may be told of it. */
struct ipcl_connect {
    const char *connection_file; /* a path; overrides the three below, and is not waited for */
    const char *profile;         /* a profile's name; NULL for "default" */
    const char *profile_dir;     /* a profile's folder; overrides `profile` */
    const char *cluster_id;      /* NULL or "" for none */
    /* to wait for the connection file and the hub's answer; 0 means 10,000. As long again for SSH.
     * Where it is set and the file is left from a controller that has gone, also for another's */
    int timeout_ms;
    /* [user@]host[:port], in place of the file's; NULL or "" for the file's */
    const char *ssh_server;
    /* a private key's path; NULL or "" for those that ssh finds. Without a server: the controller's
     * host */
    const char *ssh_key;
    bool drop_tasks; /* what waits in the scheduler and on engines is dropped when the client is
                      * closed, and what waits in the scheduler also where its process has died or
                      * stays out of reach (TaskScheduler.client_grace) */
};

/* How the functions that block are interrupted: `interrupted`, where not NULL, is called every 100
 * ms from the calling thread, and ends the wait when it returns true. */

/* Connects. Returns a client that the caller closes, or NULL with `error` set: it says which file
 * was looked for, which address did not answer, or what ssh said. Blocks up to the time-out. */
struct ipcl_client *ipcl_client_connect(const struct ipcl_connect *options,
                                        bool (*interrupted)(void *context), void *context,
                                        struct ipcl_error *error);
/* Ends the connection: what was submitted is sent, futures that have not resolved resolve with an
 * error, waits on this client end with one, and the caller's hold is released. Takes NULL. Not from
 * a callback. */
void ipcl_client_close(struct ipcl_client *client);
/* Keep a client's memory while another thread might close it; a closed client's functions fail with
 * an error. */
struct ipcl_client *ipcl_client_hold(struct ipcl_client *client);
void ipcl_client_release(struct ipcl_client *client); /* takes NULL */
/* True once the client was closed or has lost its controller for good. */
bool ipcl_client_closed(const struct ipcl_client *client);
/* Returns 0 where the client can be used, or -1 with `error` set to why it cannot: it was closed,
 * has lost its controller for good, or was connected before a fork. */
int ipcl_client_check(struct ipcl_client *client, struct ipcl_error *error);
/* How many messages were dropped because they did not verify. */
unsigned long long ipcl_client_refused(const struct ipcl_client *client);
/* The file that was read to connect; valid as long as the client is held. */
const char *ipcl_client_connection_file(const struct ipcl_client *client);

/* Writes what happens to each message of this process's clients, step by step, to a file that
 * Perfetto shows (docs/howto/trace.md): `path`, or where that is a folder, or has a slash at its
 * end, client-HOST-PID.trace.json there. It has at most 256 MiB: the newest. NULL ends the trace,
 * as the process's end does. Where $IPCLUSTER_TRACE names a folder, ipcl_client_connect() begins
 * one. Returns 0, or -1 with `error` set: the file cannot be written, or there is a trace
 * already. Any thread. */
int ipcl_trace(const char *path, struct ipcl_error *error);

/* An engine, as the hub announced it. */
struct ipcl_engine {
    int id;
    char uuid[64];
};
/* Copies up to `capacity` engines, ordered by id, and returns how many there are: none once the
 * client is closed. */
size_t ipcl_client_engines(struct ipcl_client *client, struct ipcl_engine *engines,
                           size_t capacity);
/* What an engine said of itself when it registered, as the JSON text of an object, which the caller
 * frees with free(): "host", "pid", "implementation" and "implementation_version" ("ipcluster" and
 * its version), "language" and "language_version" ("python", "3.11.2"), "executable", and where
 * there are such "rank" (MPI's), "engine_set" and "job" ("Slurm job 88"). NULL where it said
 * nothing, as ipyparallel's engines do, or is not registered. */
char *ipcl_client_engine_info(struct ipcl_client *client, int id);
/* Blocks until at least `count` engines are registered or `timeout_ms` have passed (-1: no limit).
 * Returns 0, or -1 with `error` set. */
int ipcl_client_wait_for_engines(struct ipcl_client *client, size_t count, int timeout_ms,
                                 bool (*interrupted)(void *context), void *context,
                                 struct ipcl_error *error);

/* Something that arrived outside of replies. Valid during the callback only. */
struct ipcl_event {
    enum {
        /* an iopub message of a request of ours: `msg_type` tells which */
        IPCL_EVENT_OUTPUT,
        IPCL_EVENT_ENGINE_ADDED,   /* engine_id, engine_uuid */
        IPCL_EVENT_ENGINE_REMOVED, /* engine_id, engine_uuid */
        IPCL_EVENT_SHUTDOWN,       /* the controller said that it goes */
        /* a message that did not verify was dropped; `content` says why */
        IPCL_EVENT_REFUSED
    } kind;
    const char *msg_type;  /* "stream", "display_data", "execute_result", "error", ... */
    const char *parent_id; /* the msg_id of the request that it belongs to */
    const char *content;   /* JSON text */
    const char *metadata;  /* JSON text */
    const struct ipcl_buffer *buffers;
    size_t buffer_count;
    int engine_id; /* -1 where unknown */
    const char *engine_uuid;
};
/* Sets the function that hears of events, in the I/O thread: it must return soon and must not wait
 * for a future. One a client; NULL for none. */
void ipcl_client_on_event(struct ipcl_client *client,
                          void (*event)(void *context, const struct ipcl_event *event),
                          void *context);

/* Where a request goes. */
enum ipcl_channel {
    IPCL_CHANNEL_DIRECT,   /* one engine, `engine_id` */
    IPCL_CHANNEL_TASK,     /* the load balancer chooses; it serves an "abort_request" itself */
    IPCL_CHANNEL_CONTROL,  /* one engine, ahead of its queue */
    IPCL_CHANNEL_HUB,      /* the hub */
    IPCL_CHANNEL_BROADCAST /* several engines at once: ipcl_broadcast() */
};

/* Buffers up to this size are copied and released during ipcl_submit(). */
#define IPCL_COPY_BYTES 1024

/* A request. Borrowed during ipcl_submit(), except that the buffers are taken over: each is
 * released once sent, also when the submission fails. Larger payloads are not copied; they are
 * released in a thread of libzmq's. */
struct ipcl_submission {
    enum ipcl_channel channel;
    int engine_id;        /* IPCL_CHANNEL_DIRECT and _CONTROL */
    const char *msg_type; /* "apply_request", "execute_request", "abort_request", ... */
    const char *content;  /* JSON text of a mapping; NULL means {} */
    /* JSON text of a mapping; NULL means {}: retries, after, follow, targets, timeout, ... */
    const char *metadata;
    const struct ipcl_buffer *buffers;
    size_t buffer_count;
};
/* Sends a request. Returns a future that the caller releases; NULL with `error` set where there is
 * no such engine, or the text is not a JSON mapping, or the client is closed. */
struct ipcl_future *ipcl_submit(struct ipcl_client *client,
                                const struct ipcl_submission *submission, struct ipcl_error *error);

/* Sends one request to `count` engines, each named once: its payload leaves this process once, and
 * the controller hands it to each engine without a copy. `channel` and `engine_id` of the
 * submission are not looked at. Fills `futures`, one for each engine in the order of `engine_ids`,
 * which the caller releases. Returns 0, or -1 with `error` set and no future left behind. The
 * buffers are taken over in any case. */
int ipcl_broadcast(struct ipcl_client *client, const struct ipcl_submission *submission,
                   const int *engine_ids, size_t count, struct ipcl_future **futures,
                   struct ipcl_error *error);

/* Fetches the result of a request that this or another client sent, from the hub, which is asked
 * until there is one. Returns a future with that request's id, which the caller releases: its
 * result and output are what the hub has recorded, or an error where it keeps no records or does
 * not know the request. NULL with `error` set where the client is closed. Needs a controller that
 * keeps records. */
struct ipcl_future *ipcl_fetch(struct ipcl_client *client, const char *msg_id,
                               struct ipcl_error *error);

/* What a future resolved to. Valid as long as the future is held. */
struct ipcl_result {
    enum { IPCL_OK, IPCL_FAILED, IPCL_ABORTED } status;
    const char *msg_type;
    /* JSON text of the reply's header, metadata and content; for IPCL_FAILED, content */
    const char *header;
    /* has ename, evalue, traceback and engine_info, as Jupyter messages spell them */
    const char *metadata;
    const char *content;
    const struct ipcl_buffer *buffers; /* the reply's frames */
    size_t buffer_count;
    int engine_id;           /* -1 where unknown */
    const char *engine_uuid; /* "" where unknown */
    double submitted;        /* seconds since the epoch, this machine's clock; likewise received */
    double received;
    const char *error; /* one sentence that names the engine; "" for IPCL_OK */
};

/* the msg_id; valid as long as the future is held */
const char *ipcl_future_id(const struct ipcl_future *future);
/* Where it was sent: by which channel, and to which engine, -1 where it was none. */
enum ipcl_channel ipcl_future_sent_to(const struct ipcl_future *future, int *engine_id);
/* When it was submitted: seconds since the epoch, this machine's clock. */
double ipcl_future_submitted(const struct ipcl_future *future);
bool ipcl_future_ready(const struct ipcl_future *future);
/* Blocks until the future resolves or `timeout_ms` have passed (-1: no limit). Returns 0 when it
 * has resolved, 1 when time ran out, 2 when `interrupted` returned true, 3 in a child that was
 * forked since, in which nothing resolves any more. */
int ipcl_future_wait(struct ipcl_future *future, int timeout_ms, bool (*interrupted)(void *context),
                     void *context);
/* The result, or NULL while the future has not resolved. */
const struct ipcl_result *ipcl_future_result(const struct ipcl_future *future);
/* Calls `done` once when the future resolves: in the I/O thread, in the order of these calls, or at
 * once in the calling thread where it has. It must return soon. The future is held until then. */
void ipcl_future_on_done(struct ipcl_future *future,
                         void (*done)(void *context, struct ipcl_future *future), void *context);
struct ipcl_future *ipcl_future_hold(struct ipcl_future *future);
void ipcl_future_release(struct ipcl_future *future); /* takes NULL */

/* Something that a request's code published while it ran: "stream", "display_data",
 * "execute_result", "error", ... */
struct ipcl_output {
    const char *msg_type;
    const char *content;  /* JSON text */
    const char *metadata; /* JSON text */
    const struct ipcl_buffer *buffers;
    size_t buffer_count;
};
/* The output behind `previous` (NULL: the first), or NULL where no more has come yet. Valid as long
 * as the future is held. */
const struct ipcl_output *ipcl_future_output(const struct ipcl_future *future,
                                             const struct ipcl_output *previous);
/* True when no more output is waited for: all has come, a moment after the result; or the rest of
 * it has not for two seconds. */
bool ipcl_future_output_complete(const struct ipcl_future *future);
/* Then: how many messages of output are missing, as the engine counts them; -1: unknown, as the
 * engine died or did not say. What comes within another minute is still added, and counted here. */
long long ipcl_future_output_missing(const struct ipcl_future *future);
/* Blocks until there is output behind `previous` (NULL: any), or no more will come, or `timeout_ms`
 * have passed (-1: no limit). Returns as ipcl_future_wait(). */
int ipcl_future_wait_output(struct ipcl_future *future, const struct ipcl_output *previous,
                            int timeout_ms, bool (*interrupted)(void *context), void *context);

/* Views: what a C program mostly wants. A view is a set of engines, or the load balancer. */
struct ipcl_view;
/* A view on `count` engines, or on all that are registered now where `ids` is NULL. NULL with
 * `error` set where one is not there. */
struct ipcl_view *ipcl_view_direct(struct ipcl_client *client, const int *ids, size_t count,
                                   struct ipcl_error *error);
/* The same engines, by way of the broadcast scheduler: one request for all of them, where a direct
 * view sends one to each. For many engines, or large payloads. Each engine is named once. */
struct ipcl_view *ipcl_view_broadcast(struct ipcl_client *client, const int *ids, size_t count,
                                      struct ipcl_error *error);
struct ipcl_view *ipcl_view_balanced(struct ipcl_client *client, struct ipcl_error *error);
void ipcl_view_destroy(struct ipcl_view *view); /* takes NULL; before its client is closed */
/* engines of a direct or broadcast view; 1 for a balanced one */
size_t ipcl_view_count(const struct ipcl_view *view);

/* Each starts one request per engine of the view (one in all for a balanced view) and fills
 * `futures`, which has room for ipcl_view_count() pointers; the caller releases them. Return 0, or
 * -1 with `error` set and no future left behind. */
/* Runs source code in the engines' namespace. */
int ipcl_view_execute(struct ipcl_view *view, const char *code, struct ipcl_future **futures,
                      struct ipcl_error *error);
/* Calls the Python function `name` ("module.function") with the positional arguments of the JSON
 * array `arguments`. */
int ipcl_view_call(struct ipcl_view *view, const char *name, const char *arguments,
                   struct ipcl_future **futures, struct ipcl_error *error);
/* Binds `name` in the engines' namespace: to the value of a JSON text, or to a bytes object of
 * `size` bytes, which are taken over. */
int ipcl_view_push(struct ipcl_view *view, const char *name, const char *json,
                   struct ipcl_future **futures, struct ipcl_error *error);
int ipcl_view_push_bytes(struct ipcl_view *view, const char *name, struct ipcl_buffer bytes,
                         struct ipcl_future **futures, struct ipcl_error *error);
/* Fetches the value of an expression, which must be one that JSON can hold. */
int ipcl_view_pull(struct ipcl_view *view, const char *expression, struct ipcl_future **futures,
                   struct ipcl_error *error);
/* The value of a resolved ipcl_view_call() or ipcl_view_pull() as JSON text, which the caller frees
 * with free(). NULL with `error` set: the remote error, or that the value is not one that JSON can
 * hold. */
char *ipcl_future_value(struct ipcl_future *future, struct ipcl_error *error);

#ifdef __GNUC__
#pragma GCC visibility pop
#endif
#ifdef __cplusplus
}
#endif
#endif
