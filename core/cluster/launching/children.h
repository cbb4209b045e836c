/* Children of the supervisor and processes adopted from an earlier one, on the event loop. Each
 * child leads a session of its own. When the leader has ended, the rest of its session is ended
 * before the end is reported. */
#ifndef CLUSTER_LAUNCHING_CHILDREN_H
#define CLUSTER_LAUNCHING_CHILDREN_H

#include <jansson.h>
#include <stdint.h>
#include <uv.h>

#include <ipcluster/launcher.h>

struct children;

/* NULL with `error` set on failure. `loop` outlives it. */
struct children *children_create(uv_loop_t *loop, struct ipcl_error *error);
/* Forgets all processes, which run on; their callbacks are not called any more. Memory goes when
 * the loop next turns. Takes NULL. */
void children_destroy(struct children *children);

/* As struct ipcl_launcher_services says; callbacks get `self`. */
int64_t children_spawn(struct children *children, const struct ipcl_spawn *spawn, void *self,
                       struct ipcl_error *error);
int children_adopt(struct children *children, int64_t pid, int64_t born,
                   void (*exited)(void *self, int64_t pid, int status, int signum), void *self,
                   struct ipcl_error *error);
int children_kill(struct children *children, int64_t pid, int signum, struct ipcl_error *error);
/* The processes of `self`, as a new list of [pid, born]; NULL where memory is short. */
json_t *children_list(const struct children *children, const void *self);
/* The process whose end is being reported; 0: none. */
int64_t children_ending(const struct children *children);
/* Forgets the processes of `self`. `children` may be NULL. */
void children_forget(struct children *children, const void *self);

#endif
