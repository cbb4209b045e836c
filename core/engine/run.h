/* The engine as a whole. */
#ifndef ENGINE_RUN_H
#define ENGINE_RUN_H

#include <stdbool.h>

/* Runs an engine with a program's command line, in the process's main thread, to its end. `inside`:
 * in the interpreter that its kernel lives in; otherwise this process becomes that, where there is
 * such. Returns the exit status. */
int engine_run(int argc, char **argv, bool inside);

#endif
