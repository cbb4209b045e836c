/* A supervisor's control socket. Requests and answers are JSON, one a line. It is in the profile's
 * private folder and serves only this user and root. */
#ifndef CLUSTER_CONTROL_CONTROL_H
#define CLUSTER_CONTROL_CONTROL_H

#include <stdbool.h>

#include <jansson.h>
#include <uv.h>

#include <ipcluster/error.h>

#include "base/path.h"

struct control;
struct caller;

/* Answers a request, an object: a new reference to an object, or NULL with `error` set, which is
 * the answer then. */
typedef json_t *control_answer(void *context, struct caller *caller, const json_t *request,
                               struct ipcl_error *error);

/* Listens at folder/name, which is short, and writes that to `path`. NULL with `error` set on
 * failure. */
struct control *control_create(uv_loop_t *loop, const char *folder, const char *name,
                               control_answer *answer, void *context, char path[PATH_BYTES],
                               struct ipcl_error *error);
/* Removes the socket. Memory goes when the loop next turns. Takes NULL. */
void control_destroy(struct control *control);

/* Call it from within an answer: the caller stays connected, for control_tell(). `gone` is called
 * if the caller leaves before its last line; forget it then. */
void control_keep(struct caller *caller, void (*gone)(void *context), void *context);
/* Sends the caller a further line, an object that is taken over. With `last` it is disconnected
 * after that; forget it. Other lines are dropped if the caller does not read fast enough. */
void control_tell(struct caller *caller, json_t *line, bool last);

/* Connects to the supervisor whose socket is at `path` and sends a request, which is taken over,
 * all within `timeout_ms`. Returns a descriptor to read lines from; -1 with `error` set. */
int control_send(const char *path, json_t *request, int timeout_ms, struct ipcl_error *error);
/* Asks a supervisor likewise, and waits for its answer up to `timeout_ms`. Takes the request
 * over. A new reference; NULL with `error` set if there is no answer, or it is an error. */
json_t *control_ask(const char *path, json_t *request, int timeout_ms, struct ipcl_error *error);

/* For both ends: opens the folder of a socket, and writes an address that is short enough for a
 * path of any length. Returns a descriptor to close after the address was used; -1 with `error`
 * set. */
struct sockaddr_un;
int control_address(const char *path, struct sockaddr_un *address, struct ipcl_error *error);
/* Whether the other end of a connection is this user's or root's. */
int control_check_peer(int fd, struct ipcl_error *error);

#endif
