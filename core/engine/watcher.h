/* The watcher: a process beside the engine's, which outlives it. It reads what the engine has
 * written last to its descriptors 1 and 2, and writes that to where they led before. It tells the
 * controller at once that the engine has died, how, and its last words. Without it, the controller
 * would first miss several heartbeats. (In ipyparallel this is the nanny.) */
#ifndef ENGINE_WATCHER_H
#define ENGINE_WATCHER_H

/* Starts one, before this process has loaded what makes it large. The watcher has its own name for
 * ps(1), is not a child of this process, has its own session and none of this process's files, and
 * ends with the engine. Until it ends or the engine's output is whole, it keeps a shared lock
 * (flock(2)) on each output file. Returns the socket on which the engine then speaks to it (see
 * watched.h), or the negative errno if it cannot be started. */
int watcher_start(void);

#endif
