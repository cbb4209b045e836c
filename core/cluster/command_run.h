/* Short commands that launchers run (qsub, mpiexec --version): input in, output gathered, on the
 * event loop. */
#ifndef CLUSTER_COMMAND_RUN_H
#define CLUSTER_COMMAND_RUN_H

#include <uv.h>

#include <ipcluster/error.h>

struct command_run;

/* Runs `argv` (looked up on PATH) with `input` (may be NULL) and puts it into the list `commands`
 * until it is done: then calls `done` with its exit status (-1 where a signal ended it) and all
 * that it printed, cut at 1 MiB. Returns 0 or -1 with `error` set. */
int command_run(uv_loop_t *loop, struct command_run **commands, const char *const *argv,
                const char *input, void (*done)(void *self, int status, const char *output),
                void *self, struct ipcl_error *error);
/* Kills the commands of the list; `done` is not called for them. */
void command_forget_all(struct command_run **commands);

#endif
