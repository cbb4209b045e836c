/* Controllers without a supervisor: somebody has started ipcontroller by hand. They have no state
 * file, but they are found by their pid file and connection file. */
#ifndef CLUSTER_WATCH_BY_HAND_H
#define CLUSTER_WATCH_BY_HAND_H

#include <stdbool.h>
#include <stdint.h>

#include "cluster/control/progress.h"
#include "cluster/state/state.h"
#include "plugin/registry.h"

struct by_hand {
    char cluster_id[STATE_TEXT_BYTES];
    char client_file[PATH_BYTES];
    char host[STATE_TEXT_BYTES]; /* where it was started; "": not known */
    bool elsewhere;              /* that is another host: it is not known whether it runs */
    int64_t pid;                 /* 0: not known: without a pid file, as ipyparallel's have none */
    int engines;                 /* -1: its hub does not answer */
};

/* Whether a controller of this host holds the profile's files of a cluster id. */
bool by_hand_holds(const char *profile_dir, const char *cluster_id);
/* Whether the controller of a profile's cluster id runs, or may run on another host; a file whose
 * controller has gone does not count. It does not check whether the controller has a supervisor. */
bool by_hand_find(struct registry *registry, const char *profile_dir, const char *cluster_id,
                  struct by_hand *found);
/* Calls `visit` for each such controller of a profile. */
void by_hand_each(struct registry *registry, const char *profile_dir,
                  void (*visit)(void *context, const struct by_hand *found), void *context);
/* Ends the engines and then the controller. Returns whether they have ended. */
bool by_hand_stop(struct registry *registry, struct progress *progress,
                  const struct by_hand *found);

#endif
