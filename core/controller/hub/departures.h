/* Engines that have gone: those whose end clients do not know yet, and the last ones, for later
 * questions.
 *
 * Where an engine has gone, clients fail by themselves what it had, and ipyparallel's clients
 * cannot bear a second answer. So there is one rule for which thread answers first: the schedulers,
 * which hear of it at once. What the engine has answered is passed on, what it did not get is
 * answered in its place, and what still comes from it does not count. Only then clients are
 * told.  */
#ifndef CONTROLLER_HUB_DEPARTURES_H
#define CONTROLLER_HUB_DEPARTURES_H

#include <jansson.h>
#include <stdbool.h>

/* What is said of engines whose end nobody saw. */
#define DEPARTURE_UNSEEN "died, or cannot be reached"

struct departure;

#define DEPARTURES_KEPT 1000

struct departures {
    struct departure *first;
    json_t *last; /* a list of {"id", "reason", "ended", "info"}: the newest DEPARTURES_KEPT, the
                     oldest first; NULL: there is none */
};

/* Adds an engine that has gone. This many schedulers have not dealt with that yet. `content` is
 * what clients are told, with its "id", "uuid", "info" and "reason"; it is taken over, and may be
 * NULL. */
void departures_add(struct departures *departures, json_t *content, int schedulers,
                    long long now_ms);
/* A scheduler has dealt with the end of an engine. */
void departures_confirm(struct departures *departures, const char *uuid, long long now_ms);
/* A program that started engines says why one ended. `content` has the "reason", the "engine_set",
 * and one of: "all" of the set; "host" and "pid"; the "copy" as which the engine was started. If it
 * has none of these, the reason begins with the engine's batch job, or with the array that this job
 * is an element of. Returns whether this is the engine that gave `info`. */
bool departures_concern(const json_t *content, const json_t *info);
/* Whether the reason says more than `end`. The engine or its watcher knows best how an engine
 * ended, if one of them saw it. Why a batch job ended is known better from outside. */
bool departures_add_to(const json_t *info, const char *end, const char *reason);
/* Adds the reason to the ends of engines that have gone lately. */
void departures_explain(struct departures *departures, const json_t *content);
/* The next engine that clients can be told about, or any if `all` (as before an engine comes): a
 * new reference, or NULL. */
json_t *departures_next(struct departures *departures, long long now_ms, bool all);
/* When departures_next() has the next, or CLOCK_NEVER. */
long long departures_due(const struct departures *departures);
void departures_release(struct departures *departures);

#endif
