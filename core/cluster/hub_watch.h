/* A client of the hub that only watches: which engines are registered. Runs on the event loop. */
#ifndef CLUSTER_HUB_WATCH_H
#define CLUSTER_HUB_WATCH_H

#include <stdbool.h>
#include <uv.h>

#include <ipcluster/error.h>

#include "plugin/registry.h"

struct hub_watch;

struct hub_watch_events {
    /* The set of engines has changed, or the hub answered for the first time. */
    void (*changed)(void *context, struct hub_watch *watch);
    void *context;
};

/* Connects with what the connection file at `path` says. NULL with `error` set on failure. What is
 * pointed to outlives it. */
struct hub_watch *hub_watch_create(uv_loop_t *loop, struct registry *registry, const char *path,
                                   const struct hub_watch_events *events, struct ipcl_error *error);
/* Memory goes when the loop next turns. Takes NULL. */
void hub_watch_destroy(struct hub_watch *watch);

/* Whether the hub has answered, how many engines are registered now, and how many of them were not
 * there at its first answer. */
bool hub_watch_answered(const struct hub_watch *watch);
unsigned hub_watch_count(const struct hub_watch *watch);
unsigned hub_watch_arrived(const struct hub_watch *watch);
/* Asks all registered engines to end. */
void hub_watch_shut_engines(struct hub_watch *watch);

/* Asks the hub once how many engines there are, waiting up to `timeout_ms`. Returns the number, or
 * -1 with `error` set. */
int hub_count_engines(struct registry *registry, const char *path, int timeout_ms,
                      struct ipcl_error *error);

#endif
