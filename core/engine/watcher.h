/* The watcher: a process beside the engine's, which outlives it. It reads what the engine has
 * written last to its descriptors 1 and 2, writes that to where they led before, and tells the
 * controller at once that the engine has died, how, and its last words. (ipyparallel's engines have
 * a nanny, whose controller would otherwise miss heartbeats for long.) */
#ifndef ENGINE_WATCHER_H
#define ENGINE_WATCHER_H

/* Starts one, with a name of its own for ps(1), before this process has loaded what makes it large.
 * It is no child of this process, has a session of its own and none of its files, and ends with the
 * engine. Until it has ended or the engine's output is whole, it keeps a shared lock (flock(2)) on
 * each output file. Returns the socket on which the engine then speaks to it: see watched.h; the
 * negative errno where it cannot be started. */
int watcher_start(void);

#endif
