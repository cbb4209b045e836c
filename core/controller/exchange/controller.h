/* What the controller's threads share: settings and keys. The main thread sets them before the
 * others start, and nothing changes them afterwards. channels.h has the sockets between threads. */
#ifndef CONTROLLER_EXCHANGE_CONTROLLER_H
#define CONTROLLER_EXCHANGE_CONTROLLER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <ipcluster/error.h>
#include <ipcluster/serial.h>
#include <ipcluster/store.h>

#include "base/numbers.h"
#include "base/path.h"
#include "wire/connection.h"
#include "wire/seal.h"
#include "wire/session.h"
#include "wire/socket.h"

struct handouts;
struct balancer_scheme;
struct hub_hooks;
struct task_hooks;
struct records_hooks;

/* Ports to listen on, used in order; when they run out the system chooses. */
struct port_pool {
    struct numbers ports;
    size_t next;
    bool warned; /* a warning has said that there are no ports left */
};

struct controller {
    void *context;
    long long started_ms; /* on the clock of clock_ms() */
    const struct ipcl_serial_operations *serial;
    struct curve
        curves[CONNECTION_ROLES]; /* one for each side: a holder of the engines' file cannot connect
                                     as a client */
    bool encrypted;
    bool local_sockets; /* programs of this host are to connect by sockets in a private folder */
    bool shared_memory; /* these hand each other large buffers as segments (wire/segment.h) */
    unsigned char life[SEAL_LIFE_BYTES]; /* of this controller only */
    uint64_t counter;                    /* where the counters of its seals begin; 0: at the
                                            clock */
    int64_t frame_bytes_max; /* a larger frame is answered with an error, or ends its connection */
    int heart_period_ms;
    int heart_misses;
    int registration_timeout_ms;
    int window;          /* tasks at an engine at a time; 0: no limit; -1: it follows the work */
    int deaths_max;      /* engines that one task may kill; 0: any number */
    int client_grace_ms; /* how long a client may be away before tasks that are to end with it are
                            dropped */
    const struct balancer_scheme *scheme;
    size_t finished_max;                       /* finished tasks that are remembered for tasks that
                                                  depend on them */
    const struct ipcl_store_operations *store; /* NULL: nothing is recorded */
    void *records;                             /* the store's object; only the records thread calls
                                                  it */
    size_t backlog_bytes;                      /* how many bytes may wait for the store */
    size_t unread_bytes;       /* how many bytes may wait in a thread for peers that do not read */
    struct handouts *handouts; /* NULL: hand-outs are not noted */
    bool reuse;                /* another controller may take this one's place */
    bool restarted; /* it has taken a previous controller's place: requests of that one may still
                       arrive */
    const struct hub_hooks *hub_hooks;   /* NULL: there is no previous controller (restart.h) */
    const struct task_hooks *task_hooks; /* likewise */
    const struct records_hooks *records_hooks;
    bool restore_engines;
    char engine_table[PATH_BYTES];             /* "": none is kept */
    char handouts_file[PATH_BYTES];            /* likewise */
    struct port_pool engine_pool, client_pool; /* for one side; used before `pool` */
    struct port_pool pool;
    struct connection
        clients; /* the contents of the connection files; modules fill in their ports when they are
                    made */
    struct connection engines;
};

/* How long engines and clients of the previous controller may take to reconnect. */
#define CONTROLLER_RETURN_MS 10000

/* A module has one thread. `create` and `destroy` run in the main thread, before the thread starts
 * and after it has ended; the thread runs `loop`. */
struct module {
    const char *name;
    void *(*create)(struct controller *controller, struct ipcl_error *error);
    struct loop *(*loop)(void *self);
    void (*destroy)(void *self);
};
extern const struct module hub_module;
extern const struct module records_module; /* only if there is a store */
extern const struct module heart_module;
extern const struct module direct_module;
extern const struct module control_module;
extern const struct module task_module;
extern const struct module broadcast_module;
extern const struct module iopub_module;

/* Sets the largest frame. Call when it is known whether there is encryption, and before there is a
 * socket. */
void controller_bound_frames(struct controller *controller);
/* A socket that listens for clients or engines. `identity` may be NULL. `*port` is the port, or
 * receives it if it is 0. NULL with `error` set on failure. */
void *controller_listen(struct controller *controller, enum connection_role role, int type,
                        const char *identity, int *port, struct ipcl_error *error);
/* The same for a ROUTER to engines that reports lost messages: sending to an engine that is not
 * connected fails. */
void *controller_listen_mandatory(struct controller *controller, const char *identity, int *port,
                                  struct ipcl_error *error);
/* Zeroed memory for a thread's state; NULL with `error` set. */
void *controller_allocate(size_t bytes, struct ipcl_error *error);
/* A session with the key of one side, for one thread. NULL with `error` set on failure. */
struct session *controller_session(const struct controller *controller, enum connection_role role,
                                   struct ipcl_error *error);
/* The controller's end of a channel to one side, for the thread of `session`. */
struct seal controller_seal(const struct controller *controller, enum seal_channel channel,
                            enum connection_role role, struct session *session);
/* The sessions of a thread that serves both sides. Each verifies what comes from its side and signs
 * what goes there: so what one side knows is of no use at the other. */
struct sessions {
    struct session *clients;
    struct session *engines;
    struct seal client_seal;
    struct seal engine_seal;
};
/* Returns 0, or -1 with `error` set. */
int controller_sessions(const struct controller *controller, enum seal_channel channel,
                        struct sessions *sessions, struct ipcl_error *error);
void sessions_destroy(struct sessions *sessions);

#endif
