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

/* What is said of those that nobody saw end. */
#define DEPARTURE_UNSEEN "died, or cannot be reached"

struct departure;

#define DEPARTURES_KEPT 1000

struct departures {
    struct departure *first;
    json_t *last; /* a list of {"id", "reason", "ended", "info"}: of so many, the oldest first;
                     NULL: there is none */
};

/* An engine has gone, of which so many schedulers have still to hear; `content` is what clients are
 * told, with its "id", "uuid", "info" and "reason", and taken over, also where it is NULL. */
void departures_add(struct departures *departures, json_t *content, int schedulers,
                    long long now_ms);
/* A scheduler has done with an engine. */
void departures_confirm(struct departures *departures, const char *uuid, long long now_ms);
/* Whoever started an engine says why it ended: `content` has this "reason", "engine_set", and
 * either "all" of the set, or "host" and "pid", or the "copy" as which the engine was started;
 * otherwise the reason begins with the engine's batch job, or with the array of which that is an
 * element. Returns whether that concerns the engine that has told `info` of itself. */
bool departures_concern(const json_t *content, const json_t *info);
/* Whether the reason says more than `end`. How an engine ended, the engine itself or its watcher
 * knows best, where either saw it; why a batch job ended is known better from outside. */
bool departures_add_to(const json_t *info, const char *end, const char *reason);
/* Adds that to the reasons of those that have gone lately. */
void departures_explain(struct departures *departures, const json_t *content);
/* The next that is due, or any where `all` is true, as before an engine comes: a new reference, or
 * NULL. */
json_t *departures_next(struct departures *departures, long long now_ms, bool all);
/* When the next is due, or CLOCK_NEVER. */
long long departures_due(const struct departures *departures);
void departures_release(struct departures *departures);

#endif
