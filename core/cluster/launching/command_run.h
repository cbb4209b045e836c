/* Short commands that launchers run (qsub, mpiexec --version), with input and output, on the event
 * loop. */
#ifndef CLUSTER_LAUNCHING_COMMAND_RUN_H
#define CLUSTER_LAUNCHING_COMMAND_RUN_H

#include <uv.h>

#include <ipcluster/launcher.h>

struct command_run;

/* Runs a command as <ipcluster/launcher.h> says, and puts it into the list `commands` until it is
 * done. If `merged` is not NULL, it is called instead of done(), and the command's two output
 * streams are one. Returns 0 or -1 with `error` set. */
int command_run(uv_loop_t *loop, struct command_run **commands, const struct ipcl_command *command,
                void (*merged)(void *self, int status, const char *output), void *self,
                struct ipcl_error *error);
/* Kills the commands of the list; nothing is called for them. */
void command_forget_all(struct command_run **commands);

#endif
