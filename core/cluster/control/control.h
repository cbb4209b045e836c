/* The control socket of a supervisor, at which it can be asked: JSON lines, one request a line and
 * one answer a line. It lies in the profile's private folder and serves this user and root
 * alone. */
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

/* From within an answer: the caller stays, and hears more than that. `gone` is called when it has
 * gone before the last that he is told; the caller is forgotten then. */
void control_keep(struct caller *caller, void (*gone)(void *context), void *context);
/* Tells him a further line, an object that is taken over. With `last` he goes behind it, and is
 * forgotten; of others he misses those for which he does not read fast enough. */
void control_tell(struct caller *caller, json_t *line, bool last);

/* Connects to the supervisor whose socket is at `path` and sends a request, which is taken over,
 * all within `timeout_ms`. Returns a descriptor to read lines from; -1 with `error` set. */
int control_send(const char *path, json_t *request, int timeout_ms, struct ipcl_error *error);
/* Asks a supervisor likewise, and waits for its answer up to `timeout_ms`. Takes the request
 * over. A new reference; NULL with `error` set where there is no answer, or it is an error. */
json_t *control_ask(const char *path, json_t *request, int timeout_ms, struct ipcl_error *error);

/* For both ends: opens the folder of a socket, and writes an address by which it is reached however
 * long its path is. Returns a descriptor, to be closed once the address was used; -1 with `error`
 * set. */
struct sockaddr_un;
int control_address(const char *path, struct sockaddr_un *address, struct ipcl_error *error);
/* Whether the other end of a connection is this user's or root's. */
int control_check_peer(int fd, struct ipcl_error *error);

#endif
