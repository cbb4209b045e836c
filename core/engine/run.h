/* The engine as a whole. */
#ifndef ENGINE_RUN_H
#define ENGINE_RUN_H

#include <limits.h>

/* In place of the socket to the watcher: this process is the interpreter that the engine's kernel
 * lives in, and its environment says which socket it is. */
#define ENGINE_INSIDE INT_MIN

/* Runs an engine with a program's command line, in the process's main thread, to its end.
 * `watcher` is what watcher_start() has returned: then this process becomes the interpreter that
 * the kernel lives in, if it needs one. Or it is ENGINE_INSIDE. Returns the exit status. */
int engine_run(int argc, char **argv, int watcher);

#endif
