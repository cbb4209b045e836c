/* libipcluster: a client of a running cluster.
 *
 * Each client has one I/O thread, which owns the sockets and takes no signals. All functions may be
 * called from any thread unless they say otherwise. Futures resolve by themselves: nobody needs to
 * poll. Objects are reference counted where the comments say so.
 *
 * A client does not survive fork(): in the child its functions fail with an error, and
 * ipcl_client_close() only forgets it. A child that needs the cluster connects again. */
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
 * name one (ipcontroller --ssh); it is used if the controller is not on this machine. One process
 * of OpenSSH's ssh forwards all ports. It ends with the client, also if this program is killed. It
 * asks for no password: it needs a key or an agent. If it ends by itself, the client's connection
 * ends with an error. It is a child of this process: a program that waits for any of its children
 * may see it end. */
struct ipcl_connect {
    const char *connection_file; /* a path; overrides the three below, and is not waited for */
    const char *profile;         /* a profile's name; NULL for "default" */
    const char *profile_dir;     /* a profile's folder; overrides `profile` */
    const char *cluster_id;      /* NULL or "" for none */
    /* how long to wait for the connection file and the hub's answer; 0 means 10,000. As long again
     * for SSH. If it is set and the file is left from a controller that has gone, the client waits
     * for another controller's file, too */
    int timeout_ms;
    /* [user@]host[:port], instead of the server in the file; NULL or "" for the server in the
     * file */
    const char *ssh_server;
    /* a private key's path; NULL or "" for the keys that ssh finds. With a key and no server, the
     * server is the controller's host */
    const char *ssh_key;
    /* requests that wait in the scheduler and on engines, direct ones too, are dropped when the
     * client is closed. Tasks in the scheduler are also dropped if the client's process has died or
     * stays out of reach (TaskScheduler.client_grace) */
    bool drop_tasks;
};

/* How to interrupt functions that block: `interrupted`, if not NULL, is called every 100 ms in the
 * calling thread. When it returns true, the wait ends. */

/* Connects. Returns a client that the caller closes, or NULL with `error` set: it says which file
 * is missing, which address did not answer, or what ssh said. Blocks up to the time-out. */
struct ipcl_client *ipcl_client_connect(const struct ipcl_connect *options,
                                        bool (*interrupted)(void *context), void *context,
                                        struct ipcl_error *error);
/* Ends the connection, and releases the caller's hold. What was submitted is still sent. Open
 * futures resolve with an error, and waits on this client end with an error. Takes NULL. Not from a
 * callback. */
void ipcl_client_close(struct ipcl_client *client);
/* Keeps a client's memory while another thread may close the client. The functions of a closed
 * client fail with an error. */
struct ipcl_client *ipcl_client_hold(struct ipcl_client *client);
void ipcl_client_release(struct ipcl_client *client); /* takes NULL */
/* True if the client was closed, or has lost its controller for good. */
bool ipcl_client_closed(const struct ipcl_client *client);
/* Returns 0 if the client can be used. Otherwise -1 with the reason in `error`: the client was
 * closed, has lost its controller for good, or was connected before a fork. */
int ipcl_client_check(struct ipcl_client *client, struct ipcl_error *error);
/* How many messages were dropped because they did not verify. */
unsigned long long ipcl_client_refused(const struct ipcl_client *client);
/* The connection file that was read; valid as long as the client is held. */
const char *ipcl_client_connection_file(const struct ipcl_client *client);

/* Writes a trace: each step of each message of this process's clients, in a file that Perfetto
 * shows (docs/howto/trace.md). The file is `path`. If `path` is a folder, or ends with a slash, it
 * is client-HOST-PID.trace.json in that folder. It has at most 256 MiB: the newest steps. NULL ends
 * the trace; so does the end of the process. If $IPCLUSTER_TRACE names a folder,
 * ipcl_client_connect() begins a trace. Returns 0, or -1 with `error` set: the file cannot be
 * written, or there is a trace already. Any thread. */
int ipcl_trace(const char *path, struct ipcl_error *error);

/* An engine, as the hub announced it. */
struct ipcl_engine {
    int id;
    char uuid[64];
};
/* Copies up to `capacity` engines, ordered by id. Returns how many engines there are: 0 if the
 * client is closed. */
size_t ipcl_client_engines(struct ipcl_client *client, struct ipcl_engine *engines,
                           size_t capacity);
/* What an engine told about itself when it registered: the JSON text of an object, which the caller
 * frees with free(). Its members are "host", "pid", "implementation" and "implementation_version"
 * ("ipcluster" and its version), "language" and "language_version" ("python", "3.11.2"),
 * "executable", and, if the engine has them, "rank" (MPI's), "engine_set" and "job" ("Slurm job
 * 88"). NULL if the engine told nothing, as ipyparallel's engines do, or is not registered. */
char *ipcl_client_engine_info(struct ipcl_client *client, int id);
/* Blocks until at least `count` engines are registered or `timeout_ms` have passed (-1: no limit).
 * Returns 0, or -1 with `error` set. */
int ipcl_client_wait_for_engines(struct ipcl_client *client, size_t count, int timeout_ms,
                                 bool (*interrupted)(void *context), void *context,
                                 struct ipcl_error *error);

/* Something that arrived outside of replies. Valid during the callback only. */
struct ipcl_event {
    enum {
        /* an iopub message of a request of this client: `msg_type` says which kind */
        IPCL_EVENT_OUTPUT,
        IPCL_EVENT_ENGINE_ADDED,   /* engine_id, engine_uuid */
        IPCL_EVENT_ENGINE_REMOVED, /* engine_id, engine_uuid */
        IPCL_EVENT_SHUTDOWN,       /* the controller said that it ends */
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
/* Sets the function that is called with each event, in the I/O thread. It must return soon, and
 * must not wait for a future. A client has one; NULL for none. */
void ipcl_client_on_event(struct ipcl_client *client,
                          void (*event)(void *context, const struct ipcl_event *event),
                          void *context);

/* Where a request goes. */
enum ipcl_channel {
    IPCL_CHANNEL_DIRECT, /* one engine, `engine_id` */
    /* the load balancer chooses the engine; it answers an "abort_request" itself */
    IPCL_CHANNEL_TASK,
    IPCL_CHANNEL_CONTROL,  /* one engine, ahead of its queue */
    IPCL_CHANNEL_HUB,      /* the hub */
    IPCL_CHANNEL_BROADCAST /* several engines at once: ipcl_broadcast() */
};

/* Buffers up to this size are copied and released during ipcl_submit(). */
#define IPCL_COPY_BYTES 1024

/* A request. It is borrowed during ipcl_submit(), but its buffers are taken over: each is released
 * when it was sent, also when the submission fails. Buffers above IPCL_COPY_BYTES are not copied;
 * they are released in a thread of libzmq. The exception are buffers of 32 MiB or more, or of
 * 1 MiB or more for several engines, if the controller is on this host and shares memory: they are
 * copied there, and released, at once. */
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
/* Sends a request. Returns a future that the caller releases. NULL with `error` set if there is no
 * such engine, a text is not a JSON mapping, or the client is closed. */
struct ipcl_future *ipcl_submit(struct ipcl_client *client,
                                const struct ipcl_submission *submission, struct ipcl_error *error);

/* Sends a request to each of `count` engines. It is ipcl_submit() for each, by the same channel
 * (IPCL_CHANNEL_DIRECT or _CONTROL), but the requests have their buffers in common. `engine_id` of
 * the submission has no effect. Fills `futures`, one for each engine in the order of `engine_ids`;
 * the caller releases them. Returns 0, or -1 with `error` set and no future left behind; then the
 * first engines may have got their request. The buffers are taken over in any case. */
int ipcl_submit_each(struct ipcl_client *client, const struct ipcl_submission *submission,
                     const int *engine_ids, size_t count, struct ipcl_future **futures,
                     struct ipcl_error *error);

/* Sends one request to `count` engines; name each engine once. The payload leaves this process
 * once, and the controller hands it to each engine without a copy. `channel` and `engine_id` of the
 * submission have no effect. Fills `futures`, one for each engine in the order of `engine_ids`; the
 * caller releases them. Returns 0, or -1 with `error` set and no future left behind. The buffers
 * are taken over in any case. */
int ipcl_broadcast(struct ipcl_client *client, const struct ipcl_submission *submission,
                   const int *engine_ids, size_t count, struct ipcl_future **futures,
                   struct ipcl_error *error);

/* Fetches the result of a request that this or another client sent. The hub is asked until it has
 * the result. Returns a future with that request's id, which the caller releases. Its result and
 * output are what the hub has recorded; it is an error if the hub keeps no records or does not know
 * the request. NULL with `error` set if the client is closed. Needs a controller that keeps
 * records. */
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
/* Where the request was sent: by which channel, and to which engine (-1 for none). */
enum ipcl_channel ipcl_future_sent_to(const struct ipcl_future *future, int *engine_id);
/* When it was submitted: seconds since the epoch, this machine's clock. */
double ipcl_future_submitted(const struct ipcl_future *future);
bool ipcl_future_ready(const struct ipcl_future *future);
/* Blocks until the future resolves or `timeout_ms` have passed (-1: no limit). Returns 0 if it has
 * resolved, 1 if time ran out, 2 if `interrupted` returned true, 3 in a child that was forked
 * later, where no future resolves. */
int ipcl_future_wait(struct ipcl_future *future, int timeout_ms, bool (*interrupted)(void *context),
                     void *context);
/* The result, or NULL while the future has not resolved. */
const struct ipcl_result *ipcl_future_result(const struct ipcl_future *future);
/* Calls `done` once, when the future resolves: in the I/O thread, in the order of these calls. If
 * the future has resolved already, `done` is called at once, in the calling thread. It must return
 * soon. The future is held until then. */
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
/* The output after `previous` (NULL: the first), or NULL if no more has come yet. Valid as long as
 * the future is held. */
const struct ipcl_output *ipcl_future_output(const struct ipcl_future *future,
                                             const struct ipcl_output *previous);
/* True when no more output is waited for. Either all has come, a moment after the result, or the
 * rest did not come for two seconds. */
bool ipcl_future_output_complete(const struct ipcl_future *future);
/* How many messages of output are missing when the output is complete, by the engine's count. -1 if
 * unknown: the engine died or did not say. Output that comes within another minute is still added,
 * and counted here. */
long long ipcl_future_output_missing(const struct ipcl_future *future);
/* Blocks until there is output after `previous` (NULL: any), or no more will come, or `timeout_ms`
 * have passed (-1: no limit). Returns what ipcl_future_wait() returns. */
int ipcl_future_wait_output(struct ipcl_future *future, const struct ipcl_output *previous,
                            int timeout_ms, bool (*interrupted)(void *context), void *context);

/* Views: what most C programs use. A view is a set of engines, or the load balancer. */
struct ipcl_view;
/* A view on `count` engines, or, if `ids` is NULL, on all that are registered now. NULL with
 * `error` set if an engine is not there. */
struct ipcl_view *ipcl_view_direct(struct ipcl_client *client, const int *ids, size_t count,
                                   struct ipcl_error *error);
/* The same, through the broadcast scheduler: one request for all engines. (A direct view sends one
 * to each.) For many engines, or large payloads. Name each engine once. */
struct ipcl_view *ipcl_view_broadcast(struct ipcl_client *client, const int *ids, size_t count,
                                      struct ipcl_error *error);
struct ipcl_view *ipcl_view_balanced(struct ipcl_client *client, struct ipcl_error *error);
void ipcl_view_destroy(struct ipcl_view *view); /* takes NULL; before its client is closed */
/* engines of a direct or broadcast view; 1 for a balanced one */
size_t ipcl_view_count(const struct ipcl_view *view);

/* The following functions start one request for each engine of the view (one in all for a balanced
 * view). They fill `futures`, which has room for ipcl_view_count() pointers; the caller releases
 * the futures. They return 0, or -1 with `error` set and no future left behind. */
/* Runs source code in the engines' namespace. */
int ipcl_view_execute(struct ipcl_view *view, const char *code, struct ipcl_future **futures,
                      struct ipcl_error *error);
/* Calls the Python function `name` ("module.function") with the positional arguments of the JSON
 * array `arguments`. */
int ipcl_view_call(struct ipcl_view *view, const char *name, const char *arguments,
                   struct ipcl_future **futures, struct ipcl_error *error);
/* Binds `name` in the engines' namespace: to the value of a JSON text, or to a bytes object of
 * `bytes.size` bytes, which are taken over. */
int ipcl_view_push(struct ipcl_view *view, const char *name, const char *json,
                   struct ipcl_future **futures, struct ipcl_error *error);
int ipcl_view_push_bytes(struct ipcl_view *view, const char *name, struct ipcl_buffer bytes,
                         struct ipcl_future **futures, struct ipcl_error *error);
/* Fetches the value of an expression. It must be a value that JSON can hold. */
int ipcl_view_pull(struct ipcl_view *view, const char *expression, struct ipcl_future **futures,
                   struct ipcl_error *error);
/* The value of a resolved ipcl_view_call() or ipcl_view_pull() as JSON text, which the caller frees
 * with free(). NULL with `error` set: the remote error, or that JSON cannot hold the value. */
char *ipcl_future_value(struct ipcl_future *future, struct ipcl_error *error);

#ifdef __GNUC__
#pragma GCC visibility pop
#endif
#ifdef __cplusplus
}
#endif
#endif
