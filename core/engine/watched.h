/* What an engine tells its watcher (watcher.h). */
#ifndef ENGINE_WATCHED_H
#define ENGINE_WATCHED_H

#include "engine/engine.h"

/* Hands over what the watcher reads. Call it after capture_open(), and before anything is captured.
 * `engine->watcher` is the socket that watcher_start() has returned; afterwards it is a new one,
 * which no earlier program has. The watcher looks in `profile_dir` for the plugins that it needs.
 * If there is no watcher, a warning says so. */
void watched_hand_over(struct engine *engine, const char *profile_dir);
/* Settings and connection are known: ends the watcher if it is not wanted. */
void watched_admit(struct engine *engine);
/* Notes a task that begins. If the engine dies, the watcher tells the controller its msg_id: tasks
 * run in the order in which they come, so those after it had not begun. A direct request is not
 * noted, as it would run nowhere else. I/O thread. */
void watched_note_begun(const struct engine *engine, const char *msg_id);
/* Tells the watcher the engine's id. -1: it leaves by itself, so the watcher has nothing to report.
 * I/O thread. */
void watched_tell(const struct engine *engine, int64_t id);

#endif
