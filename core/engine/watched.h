/* What an engine tells its watcher (watcher.h). */
#ifndef ENGINE_WATCHED_H
#define ENGINE_WATCHED_H

#include "engine/engine.h"

/* Hands over what the watcher is to read once capture_open() has been called, and before
 * anything is captured. `engine->watcher` is the socket that watcher_start() has returned;
 * afterwards it is a new one, which no program has that was started before. `profile_dir` is where
 * the plugins are looked for that the watcher needs. Where there is no watcher, a warning says
 * so. */
void watched_hand_over(struct engine *engine, const char *profile_dir);
/* Settings and connection are known: ends it where it is not wanted. */
void watched_admit(struct engine *engine);
/* Notes a task that begins, whose msg_id the watcher tells the controller should the engine die: as
 * tasks run in the order in which they come, those behind it had not begun. Of a direct request
 * that is not said, as it would run nowhere else. I/O thread. */
void watched_note_begun(const struct engine *engine, const char *msg_id);
/* Says as what the engine is registered now; -1: it leaves by itself, so there is nothing to tell.
 * I/O thread. */
void watched_tell(const struct engine *engine, int64_t id);

#endif
