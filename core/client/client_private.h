/* A client's two sides: what any thread may touch, and what is the I/O thread's alone. */
#ifndef CLIENT_CLIENT_PRIVATE_H
#define CLIENT_CLIENT_PRIVATE_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/log.h"
#include "base/path.h"
#include "client/future_private.h"
#include "wire/connection.h"
#include "wire/loop.h"
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

/* What is asked of a controller that was out of reach. I/O thread. */
struct client_restart {
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
struct client_io {
    struct tunnel *tunnel; /* NULL: the controller is reached without */
    void *context;         /* there before the thread */
    struct loop *loop;     /* has the sockets, and the monitor of the query socket */
    void *sockets[SOCKET_COUNT];
    void *monitors[SOCKET_COUNT]; /* of all while connecting, then of the query socket */
    struct client_way ways[SOCKET_COUNT];
    struct session *session;
    struct seal seals[SOCKET_COUNT];
    unsigned char life[SEAL_LIFE_BYTES]; /* the controller's */
    bool held; /* nothing is sent: what is submitted waits for the controller, or for its life */
    bool json; /* the cluster's serialization is JSON, so that texts need no packing */
    struct ipcl_future *awaited; /* a hash by number: not resolved, or with output to come */
    struct client_broadcast *broadcasts; /* a hash by number: with parts that are awaited */
    struct ipcl_future *oldest_resolved, *newest_resolved; /* of those whose output is to come */
    size_t resolved_count;
    size_t kept_bytes; /* of requests that may be sent again */
    size_t open_tasks; /* of the load balancer's, those that are not resolved */
    /* when to say that nobody can run them; 0: somebody can, -1: it is said */
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
/* Fails in a process that was forked. */
int client_check_process(const struct ipcl_client *client, struct ipcl_error *error);
/* Waits, with the lock, until something changes, a slice of time has passed or it is `deadline`
 * (-1: none). */
void client_wait_slice(struct ipcl_client *client, long long deadline);
/* Makes the I/O thread look at what there is to do. */
void client_wake(struct ipcl_client *client);

#endif
