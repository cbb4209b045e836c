/* The watcher: a process beside the engine's that tells a controller at once when the engine has
 * died, where the controller itself would learn of it by missed heartbeats only (ipyparallel's;
 * what its engines have a nanny for). */
#ifndef ENGINE_WATCHER_H
#define ENGINE_WATCHER_H

#include "engine/engine.h"

/* Starts one where the controller needs it and the settings do not forbid it, with `argv` as its
 * name for ps(1). To be called before there are threads, and before MPI and the interpreter. It is
 * no child of this process, has a session of its own, none of the files, and ends with the engine.
 * Where it cannot be started, a warning says so. */
void watcher_start(struct engine *engine, int argc, char **argv);
/* Says as what the engine is registered now; -1: it leaves by itself, so there is nothing to tell.
 * I/O thread. */
void watcher_tell(const struct engine *engine, int64_t id);

#endif
