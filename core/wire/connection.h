/* Connection files: where a controller listens, and its key, in ipyparallel's format
 * (ipcontroller-client.json and ipcontroller-engine.json in a profile's security/ folder). */
#ifndef WIRE_CONNECTION_H
#define WIRE_CONNECTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <ipcluster/error.h>

#include "base/path.h"

enum connection_role { CONNECTION_CLIENT, CONNECTION_ENGINE, CONNECTION_ROLES };

#define CONNECTION_TEXT_BYTES    256
#define CURVE_KEY_BYTES          41 /* Z85 text and its NUL, as zmq_curve_keypair() writes */
#define CONNECTION_LEAVES_MAX    64 /* broadcast ports that an engine's file may list */
#define CONNECTION_ADDRESSES_MAX 16
#define CONNECTION_ADDRESS_BYTES 64
#define CONNECTION_BOOT_BYTES    64 /* a boot id has 36 */

/* The version of seals (seal.h), as connection files and engines give it. A program that gives
 * another version signs as ipyparallel's programs do, and is sent the same. */
#define CONNECTION_SEALED 4

/* Ports are 0 where the role has none. */
struct connection {
    /* "tcp://127.0.0.1", "tcp://0.0.0.0", "ipc:///folder/stem" */
    char interface[CONNECTION_TEXT_BYTES];
    /* the controller's host, for programs on other hosts */
    char location[CONNECTION_TEXT_BYTES];
    char ssh[CONNECTION_TEXT_BYTES]; /* [user@]host[:port] to tunnel through; "" for none */
    char key[CONNECTION_TEXT_BYTES]; /* HMAC key; "" for unsigned messages */
    char signature_scheme[32];
    char pack[64];
    char unpack[64];
    char task_scheme[32];                  /* client */
    char curve_serverkey[CURVE_KEY_BYTES]; /* "" for no encryption */
    /* client: another controller may take this one's place, under the same keys and ports;
     * ipyparallel's files do not have it */
    bool reuse;
    bool sealed;      /* the controller seals what it sends (seal.h), and takes sealed messages;
                         ipyparallel's does not */
    bool task_aborts; /* client: the task scheduler serves abort requests; ipyparallel's does not */
    /* the largest frame that the controller takes; 0: the file does not say, as with
     * ipyparallel's */
    int64_t frame_bytes_max;
    int registration;
    int control;
    int mux;
    int task;
    int iopub;
    int notification; /* client */
    int hb_ping;      /* engine */
    int hb_pong;      /* engine */
    /* a client has one; an engine connects to [id % broadcast_count] */
    int broadcast[CONNECTION_LEAVES_MAX];
    int broadcast_count;
    char addresses[CONNECTION_ADDRESSES_MAX]
                  [CONNECTION_ADDRESS_BYTES]; /* of the controller's host, if it listens on all of
                                                 them and nobody has set its location; ipyparallel's
                                                 files do not have them */
    int address_count;
    /* Local sockets beside the ports (local.h); "" for none. The host is told by its boot id. What
     * is in place of `interface` is "ipc:///folder/client" or "ipc:///folder/engine". */
    char local_host[CONNECTION_BOOT_BYTES];
    char local_interface[CONNECTION_TEXT_BYTES];
    bool local; /* this program connects by these; it is in no file */
};

/* Writes a file readable by the owner only, whole or not at all. Returns 0 or -1 with `error`
 * set. */
int connection_write(const char *path, enum connection_role role,
                     const struct connection *connection, struct ipcl_error *error);
/* Reads a file. Returns 0, or -1 with `error` set: it is missing, unreadable, readable by others,
 * not JSON, or a key (which is named) is missing or has the wrong type. */
int connection_read(const char *path, enum connection_role role, struct connection *connection,
                    struct ipcl_error *error);
/* Reads a file's text; `name` stands for the file in messages. Returns 0 or -1 with `error` set. */
int connection_parse(const char *name, const char *text, size_t size, enum connection_role role,
                     struct connection *connection, struct ipcl_error *error);
/* For a program of ours, at its start: from now on memory that jansson used is wiped when it is
 * freed, so that no key of these files stays in memory. */
void connection_wipe_json(void);
/* The path of a profile's file: DIR/security/ipcontroller[-CLUSTER_ID]-{client,engine}.json.
 * Returns 0 or -1 with `error` set. */
int connection_path(const char *profile_dir, const char *cluster_id, enum connection_role role,
                    char path[PATH_BYTES], struct ipcl_error *error);
/* The address of one port, as this machine reaches it. If the interface is all addresses, that is
 * the controller's location, or loopback if the location is this machine. It is a local socket
 * where `local` says so. `port` is one of the struct's. Returns 0 or -1 with `error` set: a
 * controller that listens on the loopback of another machine is refused, with what to do. */
int connection_url(const struct connection *connection, int port,
                   char url[CONNECTION_TEXT_BYTES + 16], struct ipcl_error *error);
/* Whether this program's connections are encrypted by CurveZMQ. If not, but there is a key, they
 * are local sockets in a private folder. */
bool connection_is_encrypted(const struct connection *connection);
/* The hosts at which a controller of another machine may listen: several if its file says so. The
 * texts belong to the connection. Returns how many; 0: this machine reaches the controller by
 * loopback or by local sockets. */
size_t connection_hosts(const struct connection *connection,
                        const char *hosts[CONNECTION_ADDRESSES_MAX + 1]);
/* Whether this machine has the address. */
bool connection_is_own_address(const char *address);
/* For a program that gets no answer. Asks the resolver: returns 0, or -1 with `error` set if this
 * machine does not know the controller's name. */
int connection_check_name(const struct connection *connection, struct ipcl_error *error);
/* Whether messages stay on the controller's machine: it listens on loopback or on local sockets
 * only. */
bool connection_stays_here(const struct connection *connection);
/* Whether the controller listens on all addresses of its machine. */
bool connection_is_everywhere(const struct connection *connection);
/* Whether a client reaches the controller without the SSH server that the file names: the
 * controller listens on loopback or on all addresses, and its location is this machine. */
bool connection_is_local(const struct connection *connection);
/* The two ends of a tunnel. `server` is the SSH server, or the controller's own machine if the
 * connection names none. `host` is the controller's host as that server reaches it (loopback is the
 * server's own). Returns 0, or -1 with `error` set if the controller does not listen on TCP. */
int connection_ssh(const struct connection *connection, char server[CONNECTION_TEXT_BYTES],
                   char host[CONNECTION_TEXT_BYTES], struct ipcl_error *error);

#endif
