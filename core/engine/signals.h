/* Signals of the engine's process: SIGINT, SIGTERM and SIGHUP become bytes in a pipe that the I/O
 * thread reads. */
#ifndef ENGINE_SIGNALS_H
#define ENGINE_SIGNALS_H

#include <ipcluster/error.h>

/* Installs the handlers, after the interpreter has installed its own. A child that user code forks
 * has the default actions. Returns the descriptor to read signal numbers from, or -1 with `error`
 * set. */
int signals_open(struct ipcl_error *error);

#endif
