/* The watcher: a process beside the engine's, which outlives it. It reads what the engine has
 * written last to its descriptors 1 and 2, writes that to where they led before, and tells the
 * controller at once that the engine has died, how, and its last words. (ipyparallel's engines have
 * a nanny, whose controller would otherwise miss heartbeats for long.) */
#ifndef ENGINE_WATCHER_H
#define ENGINE_WATCHER_H

#include "engine/engine.h"

/* Starts one, with a name of its own for ps(1), once capture_open() has been called, and before
 * there are threads, MPI, the kernel and all that makes this process large. It is no child of
 * this process, has a session of its own, none of the files but those of the output, and ends with
 * the engine. `profile_dir` is where the plugins are looked for that it needs. Where it cannot be
 * started, a warning says so. */
void watcher_start(struct engine *engine, const char *profile_dir);
/* In what a program becomes that has started one, with the descriptors of that: `watcher` and
 * `begun_memory`. */
void watcher_take_over(struct engine *engine);
/* Settings and connection are known: ends it where it is not wanted. */
void watcher_admit(struct engine *engine);
/* Notes a task that begins, whose msg_id the watcher tells the controller should the engine die: as
 * tasks run in the order in which they come, those behind it had not begun. Of a direct request
 * that is not said, as it would run nowhere else. I/O thread. */
void watcher_note_begun(const struct engine *engine, const char *msg_id);
/* Says as what the engine is registered now; -1: it leaves by itself, so there is nothing to tell.
 * I/O thread. */
void watcher_tell(const struct engine *engine, int64_t id);

#endif
