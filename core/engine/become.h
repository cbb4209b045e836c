/* Makes the engine's process the interpreter that a kernel lives in. */
#ifndef ENGINE_BECOME_H
#define ENGINE_BECOME_H

#include <ipcluster/plugin.h>

#include "engine/engine.h"

/* In the environment of the interpreter: the descriptor that the engine takes along, the socket
 * to its watcher. What the interpreter starts before the engine runs has a copy, which does no
 * harm. */
#define BECOME_VARIABLE "IPCLUSTER_ENGINE_WATCHER"

/* Makes this process the interpreter that the kernel asks for, with the engine's own command line
 * appended. There the engine starts again; only the watcher is there already. Returns 0 if the
 * kernel can be created in any process, such as this one; -1 with `error` set. */
int become_interpreter(struct engine *engine, const struct settings *settings,
                       const struct ipcl_plugin *kernel, char **argv, struct ipcl_error *error);
/* In the interpreter: takes over the socket to the watcher. Returns 0 or -1 with `error` set. */
int become_take_over(struct engine *engine, struct ipcl_error *error);

#endif
