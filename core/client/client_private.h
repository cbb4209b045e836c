/* A client's two sides: what any thread may use, and what only the I/O thread may use. */
#ifndef CLIENT_CLIENT_PRIVATE_H
#define CLIENT_CLIENT_PRIVATE_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/log.h"
#include "base/path.h"
#include "client/future_private.h"
#include "wire/connection.h"
#include "wire/envelope.h"
#include "wire/loop.h"
#include "wire/reach.h"
#include "wire/seal.h"
#include "wire/segment_link.h"
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
/* What the loop calls a socket's function with. */
struct client_way {
    struct ipcl_client *client;
    enum client_socket index;
};

struct client_broadcast;
struct submission;

/* An engine that was announced, also after it has gone. I/O thread. */
struct known_engine {
    char uuid[ENGINE_UUID_BYTES];
    int id;
    /* once it has died: when the requests that it has not answered fail; 0: never, -1: done */
    long long fail_at_ms;
    char *end;    /* once it has died: the hub's sentence on that; NULL: not known */
    json_t *left; /* while this client leaves: msg_ids of what waits there, or NULL */
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

/* What a controller that was out of reach is asked. I/O thread. */
struct client_restart {
    char hub_session[SESSION_ID_LENGTH + 1];
    char asked_engines[MESSAGE_ID_LENGTH + 1]; /* a query that is not answered yet; "" for none */
    char asked_pending[MESSAGE_ID_LENGTH + 1];
    bool final;      /* the time for engines to come back is over */
    bool widened;    /* `number` is from the end of that time */
    uint64_t number; /* requests with lower numbers are in doubt */
    uint64_t next_number;
    long long due_ms;   /* when to ask; 0: never */
    long long judge_ms; /* when requests that were not named as pending fail; 0: never */
};

/* Only the I/O thread uses it. */
struct client_io {
    struct tunnel *tunnel; /* NULL: the controller is reached without one */
    void *context;         /* exists before the thread */
    struct loop *loop;     /* has the sockets, and the monitor of the query socket */
    void *sockets[SOCKET_COUNT];
    void *monitors[SOCKET_COUNT]; /* of all while connecting, then of the query socket */
    struct client_way ways[SOCKET_COUNT];
    struct session *session;
    struct segment_link segments; /* large buffers come and go beside the sockets */
    struct seal seals[SOCKET_COUNT];
    unsigned char life[SEAL_LIFE_BYTES];     /* the controller's */
    struct envelopes requests[SOCKET_COUNT]; /* what is submitted and not sent yet */
    bool held; /* nothing is sent: submissions wait for the controller, or to know its life */
    bool json; /* the cluster's serialization is JSON, so texts need no packing */
    struct ipcl_future *awaited; /* a hash by number: not resolved, or with incomplete output */
    struct client_broadcast *broadcasts; /* a hash by number: with parts that are awaited */
    struct ipcl_future *oldest_resolved, *newest_resolved; /* those with incomplete output */
    size_t resolved_count;
    size_t kept_bytes; /* of requests that may be sent again */
    size_t open_tasks; /* tasks that are not resolved */
    /* when to say that no engine can run these tasks; 0: not now, -1: it was said */
    long long alone_ms;
    struct known_engine *engines; /* a hash by uuid */
    long long next_failure_ms;    /* when the next dead engine's requests fail; 0: none has died */
    struct client_restart restart;
    /* since when the controller has been out of reach; 0: it is not */
    long long lost_since_ms;
    struct packed_text content_cache, metadata_cache;
    struct log_limit refusal_limit;
    /* While connecting: */
    unsigned handshakes; /* a bit for each socket whose handshake has succeeded */
    unsigned expected;   /* a bit for each socket whose handshake must succeed */
    int connections;     /* how often the query socket's connection ended before its handshake */
    bool turned_away;    /* another socket's connection did */
    struct reach *reach; /* tries a controller's addresses on another host; NULL: none is tried */
    bool reached;        /* something listens at the address */
    bool rejected;       /* a handshake failed for a reason that the other side gave */
};

struct ipcl_client {
    atomic_int holds;
    unsigned forks; /* forks_so_far() when it connected: a forked child has another */
    char path[PATH_BYTES];
    struct connection connection; /* only the I/O thread's once that runs */
    bool tunnelled;               /* the controller is reached through SSH */
    char ssh_key[PATH_BYTES];     /* the key for that; "": those that ssh finds */
    char session_id[SESSION_ID_LENGTH + 1];
    int timeout_ms;
    bool drops_tasks; /* waiting tasks are dropped when it leaves */
    const struct ipcl_serial_operations *serial;
    atomic_ullong next_number; /* of messages */
    atomic_ullong refused;
    /* Submissions, newest first; the I/O thread takes all at once. `wake_fd` is written when the
     * list was empty. */
    _Atomic(struct submission *) submissions;
    int wake_fd;
    atomic_bool closing;
    atomic_bool shares; /* large buffers are made segments when they are submitted */
    /* when to ask the hub again; 0: never */
    _Atomic long long next_fetch_ms;
    pthread_t thread;
    bool thread_started;
    /* Under the lock, which no message needs except to look up an engine's uuid: */
    pthread_mutex_t lock;
    pthread_cond_t changed; /* state or engines */
    enum client_state state;
    bool out_of_reach;             /* the controller is: it is not known which engines there are */
    struct ipcl_error error;       /* why connecting failed, or why the client was closed */
    struct fetch *fetches;         /* results that the hub did not have yet */
    struct listed_engine *engines; /* ordered by id */
    size_t engine_count, engine_capacity;
    void (*event)(void *context, const struct ipcl_event *event);
    void *event_context;
    struct client_io io;
};

/* Any thread: */
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
/* Returns 0, or -1 with `error` set in a process that was forked. */
int client_check_process(const struct ipcl_client *client, struct ipcl_error *error);
/* Waits, with the lock, until something changes, a slice of time has passed or it is `deadline`
 * (-1: none). */
void client_wait_slice(struct ipcl_client *client, long long deadline);
/* Wakes the I/O thread, to see what there is to do. */
void client_wake(struct ipcl_client *client);

#endif
