/* A client's two sides: what any thread may touch, and what is the I/O thread's alone. */
#ifndef CLIENT_CLIENT_H
#define CLIENT_CLIENT_H

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>

#include "base/log.h"
#include "base/path.h"
#include "client/future.h"
#include "plugin/registry.h"
#include "wire/connection.h"
#include "wire/reach.h"
#include "wire/seal.h"
#include "wire/socket.h"
#include "wire/tunnel.h"

enum client_state { CLIENT_CONNECTING, CLIENT_CONNECTED, CLIENT_FAILED, CLIENT_CLOSED };

enum client_socket {
    SOCKET_QUERY,
    SOCKET_NOTIFICATION,
    SOCKET_IOPUB,
    SOCKET_DIRECT,
    SOCKET_TASK,
    SOCKET_CONTROL,
    SOCKET_BROADCAST,
    SOCKET_COUNT
};
/* What the I/O thread polls: the sockets' descriptors, and behind them three more. */
enum { POLLED_WAKE = SOCKET_COUNT, POLLED_MONITOR, POLLED_TUNNEL, POLLED_COUNT };

/* A request to several engines, each of which answers for itself. The I/O thread's once it is
 * submitted. */
struct broadcast {
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
    /* in the future's place, with a hold on each part; otherwise NULL */
    struct broadcast *broadcast;
    const char *msg_type; /* texts are behind the buffers */
    const char *content;  /* JSON; "" for {} */
    const char *metadata;
    size_t buffer_count;
    zmq_msg_t buffers[];
};

/* An engine that was announced, also after it has gone. I/O thread. */
struct known_engine {
    char uuid[ENGINE_UUID_BYTES];
    int id;
    /* once it has died: when what it has not answered fails; 0: never, -1: done */
    long long fail_at_ms;
    char *end;    /* then: the hub's sentence that says so; NULL where it is not known */
    json_t *left; /* while leaving: msg_ids of what waits there, or NULL */
    UT_hash_handle hh;
};

/* JSON text in the cluster's serialization, kept as most requests have the same. I/O thread. */
struct packed_text {
    char *text;
    char *packed;
    size_t size;
};

/* An engine that is registered. */
struct listed_engine {
    struct ipcl_engine public;
    char *info; /* JSON text; NULL: it said nothing of itself */
};

/* How long after the news of an engine's death or of a request's being unknown its last replies may
 * still be on their way: they come through another thread of the controller's and another
 * connection. */
#define LAST_REPLIES_MS 250

/* What is asked of a controller that was out of reach. I/O thread. */
struct restart {
    char hub_session[SESSION_ID_LENGTH + 1];
    char asked_engines[MESSAGE_ID_LENGTH + 1]; /* a query that is not answered yet; "" for none */
    char asked_pending[MESSAGE_ID_LENGTH + 1];
    bool final;      /* engines have had their time to come back */
    bool widened;    /* `number` is that of when they had had it */
    uint64_t number; /* requests of lower numbers are in doubt */
    uint64_t next_number;
    long long due_ms;   /* when to ask; 0: not */
    long long judge_ms; /* when what was not named as pending fails; 0: not */
};

/* The I/O thread's own. */
struct io {
    struct tunnel *tunnel; /* NULL: the controller is reached without */
    void *context;         /* there before the thread */
    void *sockets[SOCKET_COUNT];
    void *monitors[SOCKET_COUNT]; /* of all while connecting, then of the query socket */
    struct pollfd polled[POLLED_COUNT];
    unsigned used; /* sockets that may have messages: a bit each */
    struct session *session;
    struct seal seals[SOCKET_COUNT];
    unsigned char life[SEAL_LIFE_BYTES]; /* the controller's */
    bool held; /* nothing is sent: what is submitted waits for the controller, or for its life */
    bool json; /* the cluster's serialization is JSON, so that texts need no packing */
    struct ipcl_future *awaited;  /* a hash by number: not resolved, or with output to come */
    struct broadcast *broadcasts; /* a hash by number: with parts that are awaited */
    struct ipcl_future *oldest_resolved, *newest_resolved; /* of those whose output is to come */
    size_t resolved_count;
    size_t kept_bytes; /* of requests that may be sent again */
    size_t open_tasks; /* of the load balancer's, those that are not resolved */
    /* when to say that nobody can run them; 0: somebody can, -1: it is said */
    long long alone_ms;
    struct known_engine *engines; /* a hash by uuid */
    long long next_failure_ms;    /* when the next dead engine's requests fail; 0: none has died */
    struct restart restart;
    /* since when the controller has been out of reach; 0: it is not */
    long long lost_since_ms;
    struct packed_text content_cache, metadata_cache;
    struct log_limit refusal_limit;
    /* While connecting: */
    unsigned handshakes; /* a bit for each socket whose handshake has succeeded */
    unsigned expected;   /* the same for each that is to succeed */
    int connections;     /* how often the query socket's was made and ended before its handshake */
    bool turned_away;    /* another's was */
    struct reach *reach; /* of a controller's addresses on another host; NULL: none is tried */
    bool reached;        /* something listens at the address */
    bool rejected;       /* the handshake failed for a reason that the other side gave */
};

struct ipcl_client {
    atomic_int holds;
    unsigned forks; /* forks_so_far() when it connected: in a child it is another */
    char path[PATH_BYTES];
    struct connection connection; /* the I/O thread's once it runs */
    bool tunnelled;               /* it is reached through SSH, */
    char ssh_key[PATH_BYTES];     /* with this key; "": those that ssh finds */
    char session_id[SESSION_ID_LENGTH + 1];
    int timeout_ms;
    bool drops_tasks; /* what waits when it goes */
    const struct ipcl_serial_operations *serial;
    atomic_ullong next_number; /* of messages */
    atomic_ullong refused;
    /* Submissions, newest first; the I/O thread takes all at once. `wake_fd` is written when the
     * list was empty. */
    _Atomic(struct submission *) submissions;
    int wake_fd;
    atomic_bool closing;
    /* when the hub is to be asked again; 0: nothing waits for that */
    _Atomic long long next_fetch_ms;
    pthread_t thread;
    bool thread_started;
    /* Under the lock, which is not on a message's way except to look up an engine's uuid: */
    pthread_mutex_t lock;
    pthread_cond_t changed; /* state or engines */
    enum client_state state;
    bool out_of_reach;             /* the controller: which engines there are now is not known */
    struct ipcl_error error;       /* why connecting failed, or why the client was closed */
    struct fetch *fetches;         /* results that the hub did not have yet */
    struct listed_engine *engines; /* ordered by id */
    size_t engine_count, engine_capacity;
    void (*event)(void *context, const struct ipcl_event *event);
    void *event_context;
    struct io io;
};

/* client.c, any thread: */
void client_set_state(struct ipcl_client *client, enum client_state state,
                      const struct ipcl_error *error);
void client_set_reach(struct ipcl_client *client, bool out_of_reach);
/* Copies the uuid of an engine. Returns 0, or -1 with `error` set. */
int client_find_engine(struct ipcl_client *client, int id, char uuid[ENGINE_UUID_BYTES],
                       struct ipcl_error *error);
/* Takes over `info`: JSON text, or NULL. */
void client_add_engine(struct ipcl_client *client, int id, const char *uuid, char *info);
void client_remove_engine(struct ipcl_client *client, int id, const char *uuid);
void client_emit(struct ipcl_client *client, const struct ipcl_event *event);
/* Fails in a process that was forked. */
int client_check_process(const struct ipcl_client *client, struct ipcl_error *error);

/* tracing.c: */
/* Begins the trace that the environment asks for, once a process. Returns 0 or -1 with `error`
 * set. */
int client_trace_by_environment(struct ipcl_error *error);

/* fetch.c, I/O thread: */
/* Asks the hub again for results that it did not have. */
void fetch_tick(struct ipcl_client *client);
void fetch_fail_all(struct ipcl_client *client, const char *text);

/* submit.c: */
/* Addresses a future's request to an engine, where its channel has one. Returns 0 or -1 with
 * `error` set. */
int submit_address(struct ipcl_client *client, struct ipcl_future *future, int engine_id,
                   struct ipcl_error *error);
/* Hands a request to the I/O thread, which takes over the future's or the broadcast's holds. The
 * buffers are taken over in any case. Returns 0 or -1 with `error` set. */
int submit_push(struct ipcl_client *client, const struct ipcl_submission *request,
                struct ipcl_future *future, struct broadcast *broadcast, struct ipcl_error *error);
/* Releases what a request that is not sent would have. */
void submit_release_buffers(const struct ipcl_submission *request, size_t first);
/* Makes the I/O thread look at what there is to do. Any thread. */
void client_wake(struct ipcl_client *client);
/* Sends everything that was submitted. I/O thread. */
void submit_flush(struct ipcl_client *client);
/* Sends a task once more that no controller knows any more, and says that in its metadata. Returns
 * whether it does: not where it was not kept. I/O thread. */
bool submit_again(struct ipcl_client *client, struct ipcl_future *future);
/* Forgets what was kept for that. I/O thread. */
void submit_forget(struct io *io, struct ipcl_future *future);
/* Frees what was submitted, failing its futures. Any thread, once the client is closing. */
void submit_drop(struct ipcl_client *client, const char *reason);

/* await.c, I/O thread: the requests that have not been answered, or whose output is to come */
void await_add(struct io *io, struct ipcl_future *future);
/* All parts of a broadcast, which is taken over. */
void await_add_broadcast(struct io *io, struct broadcast *broadcast);
/* Calls `each` for the parts that have not resolved. */
void await_each_part(struct io *io, struct broadcast *broadcast,
                     void (*each)(void *context, struct ipcl_future *part), void *context);
/* The broadcast with this msg_id, or NULL. */
struct broadcast *await_find_broadcast(struct ipcl_client *client, const char *msg_id, size_t size);
/* NULL where `msg_id`, of `size` bytes, is not one of ours that is awaited. */
struct ipcl_future *await_find(struct ipcl_client *client, const char *msg_id, size_t size);
/* Resolves it, and forgets it once its output is complete. */
void await_resolve(struct io *io, struct ipcl_future *future, struct outcome *outcome);
void await_output_complete(struct io *io, struct ipcl_future *future);
/* One message of output more has come; so many there will have been. */
void await_output_added(struct io *io, struct ipcl_future *future);
void await_output_expect(struct io *io, struct ipcl_future *future, long long count);
/* Gives up on output that was published before its client was heard of. Returns when to be called
 * next, or 0. */
long long await_output_give_up(struct io *io, long long now_ms);
void await_fail_engine(struct io *io, const char *uuid, const char *text);
void await_fail_all(struct io *io, const char *text);
/* Whether a request of a lower number awaits its reply. */
bool await_any_before(const struct io *io, uint64_t number);
/* Sends those of lower numbers again that are not `known`, or fails them, and forgets which are. */
void await_fail_unknown(struct ipcl_client *client, uint64_t number, const char *text);

/* receive.c, I/O thread: */
/* Receives and handles what has come on a socket, up to a number of messages. Returns whether the
 * socket is empty now. */
bool receive_all(struct ipcl_client *client, enum client_socket index);
/* Notes the engines of the hub's answer to our connecting. Returns 0 or -1 with `error` set. */
int receive_connection_reply(struct ipcl_client *client, struct message *message,
                             struct ipcl_error *error);
/* Handles what has come on all sockets. */
void receive_everything(struct ipcl_client *client);
/* Notes the engines of a connection_reply as the hub's now; others are gone where it says so, and
 * where `complete` unless it awaits them. */
void receive_engines(struct ipcl_client *client, struct message *message, bool complete);
/* One sentence on what failed: "" where nothing did. Any thread. */
void receive_describe(char *sentence, size_t size, int status, const json_t *content,
                      int engine_id);
/* Verifies; counts and tells of a message that is refused. */
bool receive_verify(struct ipcl_client *client, enum client_socket index, struct message *message);
/* Notes the life that a connection_reply names: what is submitted may be sent. */
void receive_life(struct ipcl_client *client, const json_t *content);

/* restart.c, I/O thread: */
/* Takes note of which controller has answered. */
void restart_note_hub(struct ipcl_client *client, struct message *message);
/* The connection is back. */
void restart_begin(struct ipcl_client *client);
/* Returns whether a message of the hub's answers a query of ours. */
bool restart_receive(struct ipcl_client *client, struct message *message);
/* Does what is due: at restart.due_ms or restart.judge_ms. */
void restart_tick(struct ipcl_client *client);

/* sockets.c, I/O thread: */
/* Signs a request that is complete. Returns 0 or -1 with `error` set. */
int sockets_sign(struct ipcl_client *client, enum client_socket index, struct message *message,
                 struct ipcl_error *error);
/* The same of what asks for the controller's life. */
int sockets_introduce(struct ipcl_client *client, struct message *message,
                      struct ipcl_error *error);
int sockets_open(struct ipcl_client *client, struct ipcl_error *error);
void sockets_close(struct ipcl_client *client);
/* Waits until the hub has answered, the time-out or closing. Returns 0 or -1 with `error` set. */
int sockets_connect(struct ipcl_client *client, struct ipcl_error *error);
/* Takes note of connections that ended or came back. */
void sockets_read_monitors(struct ipcl_client *client);

/* leave.c, I/O thread: */
/* Has dropped what waits, in the task scheduler and on engines. */
void leave(struct ipcl_client *client);

/* io.c: */
void *io_main(void *client);

#endif
