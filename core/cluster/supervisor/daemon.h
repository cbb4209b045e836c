/* Going into the background: the first process waits until the cluster is up or has failed, and
 * shows what the second process says. It ends with the second one's exit code. */
#ifndef CLUSTER_SUPERVISOR_DAEMON_H
#define CLUSTER_SUPERVISOR_DAEMON_H

#include <stdio.h>

#include <ipcluster/error.h>

struct daemon {
    FILE *report; /* to the waiting process; NULL: none waits */
};

/* Forks. Returns -1 in the new process, which leads its own session and has its standard streams on
 * the file `log_stem`-PID.log. Returns the exit code in the first process, once it is known. On
 * failure, returns -2 with `error` set. */
int daemon_start(struct daemon *daemon, const char *log_stem, struct ipcl_error *error);
/* Tells the waiting process to end with `exit_code`. May be called again, and without a start. */
void daemon_report(struct daemon *daemon, int exit_code);

#endif
