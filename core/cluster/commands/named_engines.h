/* Single engines of a cluster that runs, named by their ids. Requests go to the supervisors of the
 * engines, or to the engines themselves if these were started by hand. */
#ifndef CLUSTER_COMMANDS_NAMED_ENGINES_H
#define CLUSTER_COMMANDS_NAMED_ENGINES_H

#include <jansson.h>

#include "cluster/settings/cluster.h"

/* The engines that words name ("3", "5-7", "3,5-7"), as hub_details() has them; without words, all.
 * A new list; NULL with `error` and `exit_code` set. */
json_t *named_engines_find(const struct cluster *cluster, char *const *words, int count,
                           int *exit_code, struct ipcl_error *error);
/* Asks the cluster's supervisors: {"request": request, "engines": their ids}. Returns a new list of
 * the ids for which they have done it, which are engines of theirs; NULL with `error` set if a
 * supervisor refuses. */
json_t *named_engines_ask(const struct cluster *cluster, const json_t *engines, const char *request,
                          struct ipcl_error *error);
/* Sends a control message to the engines that are not in the list `except`. `content` is taken
 * over. Returns 0, or -1 with `error` set if not all answer. */
int named_engines_tell(const struct cluster *cluster, const json_t *engines, const json_t *except,
                       const char *msg_type, json_t *content, struct ipcl_error *error);
/* Asks them one after the other to end if nobody would miss them, as hub_end_idle() does. Returns 0
 * or -1 with `error` set. */
int named_engines_end_idle(const struct cluster *cluster, json_t *engines, size_t most,
                           struct ipcl_error *error);
/* Ends them and waits until they have left the hub. Returns an exit code; if it is not EXIT_FINE,
 * `error` is set. */
int named_engines_stop(const struct cluster *cluster, const json_t *engines,
                       struct ipcl_error *error);
/* Waits until `engines` have left the hub, and others with the ids `ids` have come. Returns 0 or -1
 * with `error` set. */
int named_engines_await(const struct cluster *cluster, const json_t *engines, const json_t *ids,
                        struct ipcl_error *error);
/* "Engine 3", "Engines 3, 5": freed with free(); NULL where memory is short. */
char *named_engines_text(const json_t *ids);

#endif
