/* Engines that have gone. The hub's thread. */
#include "controller/hub/departures.h"

#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "base/clock.h"
#include "base/log.h"
#include "wire/loop.h"

/* So long the schedulers' last answers may take to reach the clients, on other connections. */
#define ANSWERS_MS 100
/* How long a busy scheduler can delay that clients are told. */
#define SCHEDULERS_MS 5000

/* How long after an engine's end the supervisor may learn of it: a batch system is asked rarely. */
#define EXPLAINED_S 60

struct departure {
    json_t *content;
    int schedulers; /* that have not done with it */
    long long due_ms;
    struct departure *prev, *next;
};

static void departures_keep(struct departures *departures, const json_t *content)
{
    if (!departures->last)
        departures->last = json_array();
    if (json_array_size(departures->last) == DEPARTURES_KEPT)
        json_array_remove(departures->last, 0);
    json_array_append_new(departures->last,
                          json_pack("{s:O? s:O? s:f s:O*}", "id", json_object_get(content, "id"),
                                    "reason", json_object_get(content, "reason"), "ended",
                                    clock_wall(), "info", json_object_get(content, "info")));
}

/* Whether a reason begins with the engine's batch job: "SGE job 7 " of "SGE job 7.2" as well, and
 * "PBS job 7[].server " of "PBS job 7[2].server", as systems spell the elements of an array. */
static bool is_of_job(const char *reason, const char *job)
{
    size_t same = 0;
    while (reason[same] && reason[same] == job[same])
        same++;
    bool whole = reason[same] == ' ' && (!job[same] || strchr("._[", job[same]));
    return same > 0 && (whole || (reason[same] == ']' && reason[same - 1] == '['));
}

bool departures_concern(const json_t *content, const json_t *info)
{
    const char *job = json_string_value(json_object_get(info, "job")),
               *reason = json_string_value(json_object_get(content, "reason"));
    const json_t *set = json_object_get(info, "engine_set"), *pid = json_object_get(content, "pid"),
                 *copy = json_object_get(info, "copy");
    if (!reason || !set || !json_equal(set, json_object_get(content, "engine_set")))
        return false;
    if (json_is_true(json_object_get(content, "all")))
        return true;
    if (pid)
        return json_equal(pid, json_object_get(info, "pid")) &&
               json_equal(json_object_get(content, "host"), json_object_get(info, "host"));
    if (copy)
        return json_equal(copy, json_object_get(content, "copy"));
    return job && is_of_job(reason, job);
}

bool departures_add_to(const json_t *info, const char *end, const char *reason)
{
    return (json_object_get(info, "job") || strstr(end, DEPARTURE_UNSEEN)) && !strstr(end, reason);
}

void departures_explain(struct departures *departures, const json_t *content)
{
    const char *why = json_string_value(json_object_get(content, "reason"));
    for (size_t i = json_array_size(departures->last); i > 0; i--) {
        json_t *gone = json_array_get(departures->last, i - 1);
        const char *end = json_string_value(json_object_get(gone, "reason"));
        const json_t *info = json_object_get(gone, "info");
        if (clock_wall() - json_real_value(json_object_get(gone, "ended")) > EXPLAINED_S)
            return;
        if (end && departures_concern(content, info) && departures_add_to(info, end, why))
            json_object_set_new(gone, "reason", json_sprintf("%s; %s", end, why));
    }
}

void departures_add(struct departures *departures, json_t *content, int schedulers,
                    long long now_ms)
{
    struct departure *departure = content ? calloc(1, sizeof(*departure)) : NULL;
    if (!departure) {
        log_error("hub: clients are not told that an engine has gone: out of memory");
        json_decref(content);
        return;
    }
    departure->content = content;
    departure->schedulers = schedulers;
    departure->due_ms = schedulers ? now_ms + SCHEDULERS_MS : now_ms;
    DL_APPEND(departures->first, departure);
    departures_keep(departures, content);
}

void departures_confirm(struct departures *departures, const char *uuid, long long now_ms)
{
    struct departure *departure;
    DL_FOREACH (departures->first, departure)
        if (!strcmp(json_string_value(json_object_get(departure->content, "uuid")), uuid) &&
            !--departure->schedulers)
            departure->due_ms = now_ms + ANSWERS_MS;
}

json_t *departures_next(struct departures *departures, long long now_ms, bool all)
{
    struct departure *departure = departures->first;
    while (departure && !all && now_ms < departure->due_ms)
        departure = departure->next;
    if (!departure)
        return NULL;
    json_t *content = departure->content;
    DL_DELETE(departures->first, departure);
    free(departure);
    return content;
}

long long departures_due(const struct departures *departures)
{
    const struct departure *departure;
    long long due = CLOCK_NEVER;
    DL_FOREACH (departures->first, departure)
        if (departure->due_ms < due)
            due = departure->due_ms;
    return due;
}

void departures_release(struct departures *departures)
{
    json_t *content;
    while ((content = departures_next(departures, 0, true)))
        json_decref(content);
    json_decref(departures->last);
    departures->last = NULL;
}
