/* Engines that have gone: those of which clients are yet to be told, and the last ones, for whoever
 * asks later.
 *
 * Clients fail by themselves what an engine had that has gone, and ipyparallel's cannot bear a
 * second answer. So there is one rule for who answers first: the schedulers, which hear of it at
 * once. What the engine has answered is passed on, what it did not get is answered in its place,
 * and nothing of it counts that comes later. Only then clients are told. */
#ifndef CONTROLLER_DEPARTURES_H
#define CONTROLLER_DEPARTURES_H

#include <jansson.h>
#include <stdbool.h>

struct departure;

struct departures {
    struct departure *first;
    json_t
        *last; /* a list of {"id", "reason", "ended"}: of so many, the oldest first; NULL: none */
};
#define DEPARTURES_KEPT 20

/* An engine has gone, of which so many schedulers have still to hear; `content` is what clients are
 * told, with its "id", "uuid" and "reason", and taken over, also where it is NULL. */
void departures_add(struct departures *departures, json_t *content, int schedulers,
                    long long now_ms);
/* A scheduler has done with an engine. */
void departures_confirm(struct departures *departures, const char *uuid, long long now_ms);
/* The next that is due, or any where `all` is true, as before an engine comes: a new reference, or
 * NULL. */
json_t *departures_next(struct departures *departures, long long now_ms, bool all);
/* When the next is due, or LOOP_NEVER. */
long long departures_due(const struct departures *departures);
void departures_release(struct departures *departures);

#endif
