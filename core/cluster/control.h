/* The control socket of a supervisor, at which it can be asked: JSON lines, one request a line and
 * one answer a line. It lies in the profile's private folder and serves this user and root alone.
 */
#ifndef CLUSTER_CONTROL_H
#define CLUSTER_CONTROL_H

#include <jansson.h>
#include <uv.h>

#include <ipcluster/error.h>

#include "base/path.h"

struct control;

/* Answers a request, an object: a new reference to an object, or NULL with `error` set, which is
 * the answer then. */
typedef json_t *control_answer(void *context, const json_t *request, struct ipcl_error *error);

/* Listens at folder/name, which is short, and writes that to `path`. NULL with `error` set on
 * failure. */
struct control *control_create(uv_loop_t *loop, const char *folder, const char *name,
                               control_answer *answer, void *context, char path[PATH_BYTES],
                               struct ipcl_error *error);
/* Removes the socket. Memory goes when the loop next turns. Takes NULL. */
void control_destroy(struct control *control);

/* Asks the supervisor whose socket is at `path`, and waits up to `timeout_ms`. Takes the request
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
