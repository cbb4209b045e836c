/* Going into the background: the first process waits until the cluster is up or has failed, shows
 * what the second one says meanwhile, and ends with its exit code. */
#ifndef CLUSTER_SUPERVISOR_DAEMON_H
#define CLUSTER_SUPERVISOR_DAEMON_H

#include <stdio.h>

#include <ipcluster/error.h>

struct daemon {
    FILE *report; /* to the waiting process; NULL where nobody waits */
};

/* Forks. In the new process, the leader of a session of its own with standard streams on the file
 * `log_stem`-PID.log, returns -1; in the first returns the exit code, once it is known. -2 with
 * `error` set on failure. */
int daemon_start(struct daemon *daemon, const char *log_stem, struct ipcl_error *error);
/* Tells the waiting process to end with `exit_code`. May be called again, and without a start. */
void daemon_report(struct daemon *daemon, int exit_code);

#endif
