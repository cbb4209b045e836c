/* What the controller's threads share: settings and keys that main sets up before they start and
 * that nothing changes afterwards. channels.h has the sockets over which they talk. */
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
    bool warned; /* that it has run out */
};

struct controller {
    void *context;
    long long started_ms; /* as clock_ms() has it */
    const struct ipcl_serial_operations *serial;
    struct curve
        curves[CONNECTION_ROLES]; /* whoever has the engines' file cannot connect as a client */
    bool encrypted;
    unsigned char life[SEAL_LIFE_BYTES]; /* this controller's, and no other's */
    uint64_t counter;                    /* where those of its seals begin; 0: with the clock */
    int64_t frame_bytes_max; /* what is larger is answered with an error, or ends its connection */
    int heart_period_ms;
    int heart_misses;
    int registration_timeout_ms;
    int high_water;      /* tasks at an engine at a time; 0: no limit */
    int deaths_max;      /* engines that one task may kill; 0: any number */
    int client_grace_ms; /* how long a client may be away that wants its tasks dropped then */
    const struct balancer_scheme *scheme;
    size_t finished_max;                       /* tasks remembered for those that depend on them */
    const struct ipcl_store_operations *store; /* NULL: nothing is recorded */
    void *records;                             /* the store's; the records thread alone calls it */
    size_t backlog_bytes;                      /* how much may wait for the store */
    size_t unread_bytes;       /* how much may wait in a thread for peers that do not read */
    struct handouts *handouts; /* NULL where it is not kept what is given out */
    bool reuse;                /* another controller may take this one's place */
    bool restarted; /* this one has taken a previous one's place, whose requests are about */
    const struct hub_hooks *hub_hooks;   /* NULL: this controller follows no other (restart.h) */
    const struct task_hooks *task_hooks; /* likewise */
    const struct records_hooks *records_hooks;
    bool restore_engines;
    char engine_table[PATH_BYTES];             /* "": none is kept */
    char handouts_file[PATH_BYTES];            /* likewise */
    struct port_pool engine_pool, client_pool; /* for one side, before the common one */
    struct port_pool pool;
    struct connection
        clients; /* what the connection files say; modules fill in their ports when they are made */
    struct connection engines;
};

/* How long the engines and clients of the previous controller may take to be back. */
#define CONTROLLER_RETURN_MS 10000

/* One module, one thread. `create` and `destroy` run in main's thread, before the thread starts and
 * after it has ended; `run` is the thread. */
struct module {
    const char *name;
    void *(*create)(struct controller *controller, struct ipcl_error *error);
    struct loop *(*loop)(void *self);
    void (*destroy)(void *self);
};
extern const struct module hub_module;
extern const struct module records_module; /* where there is a store */
extern const struct module heart_module;
extern const struct module direct_module;
extern const struct module control_module;
extern const struct module task_module;
extern const struct module broadcast_module;
extern const struct module iopub_module;

/* Settles how large a frame may be, once it is known whether there is encryption, and before there
 * is a socket. */
void controller_bound_frames(struct controller *controller);
/* A socket that listens for clients or engines. `identity` may be NULL. `*port` is where to listen,
 * or receives it where it is 0. NULL with `error` set on failure. */
void *controller_listen(struct controller *controller, enum connection_role role, int type,
                        const char *identity, int *port, struct ipcl_error *error);
/* The same for a ROUTER whose peers, engines, a message must reach: sending to one that is not
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
/* The sessions of a thread that has both sides: each verifies what comes from its side and signs
 * what goes there, so that what one side knows is of no use at the other. */
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
