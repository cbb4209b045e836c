/* How much work there is for engines: the hub's answers, which come every half second, and what
 * follows from several. Also asks engines without work to end. Runs on the event loop. */
#include "base/clock.h"
#include "cluster/watch/hub_watch_private.h"

/* After as many seconds, an observation counts half as much. */
#define HALF_S 20.0
/* After as many answers without work, the hub does not measure it: the first may answer a request
 * that did not ask for it. */
#define MUTE_MAX 4
/* How long a task takes if none has been seen yet. */
#define UNSEEN_S 0.5

void hub_watch_measure(struct hub_watch *watch)
{
    if (watch)
        watch->measures = true;
}

/* Notes what one engine has to do. Returns whether it works at tasks. */
static bool note_engine(struct hub_watch *watch, const char *uuid, const json_t *queue,
                        long long now_ms)
{
    struct watched_engine *engine;
    HASH_FIND_STR(watch->engines, uuid, engine);
    if (!engine)
        return false;
    json_int_t tasks = json_integer_value(json_object_get(queue, "tasks")),
               requests = json_integer_value(json_object_get(queue, "queue")),
               completed = json_integer_value(json_object_get(queue, "completed"));
    bool busy = tasks > 0 || requests > 0;
    if (busy)
        engine->idle_ms = 0;
    else if (completed != engine->completed || engine->idle_ms == 0)
        engine->idle_ms = now_ms;
    engine->completed = completed;
    watch->work.busy += busy;
    return tasks > 0;
}

/* How long a task takes: the time that engines have worked at tasks, divided by the tasks. Tasks
 * that have not ended count as well, because they may take long. */
static double seconds_of(const struct hub_watch *watch, unsigned working)
{
    double tasks = watch->tasks_done + working;
    return tasks > 0.01 ? watch->worked_s / tasks : UNSEEN_S;
}

/* `previous` says by uuid how each engine has ended: null if it is awaited. */
static unsigned count_awaited(json_t *previous)
{
    const char *uuid;
    json_t *end;
    unsigned count = 0;
    json_object_foreach (previous, uuid, end)
        count += json_is_null(end);
    return count;
}

void hub_measure_take(struct hub_watch *watch, const json_t *content)
{
    const json_t *work = json_object_get(content, "work"), *queue;
    const char *id;
    long long now_ms = clock_ms();
    double passed_s = (double)(now_ms - watch->measured_ms) / 1000,
           kept = HALF_S / (HALF_S + passed_s);
    unsigned long long done = (unsigned long long)json_integer_value(json_object_get(work, "done"));
    unsigned working = 0;
    if (!work) {
        watch->mute += watch->measures;
        return;
    }
    watch->work.waiting = (unsigned)json_integer_value(json_object_get(work, "waiting"));
    watch->work.busy = 0;
    watch->work.awaited = count_awaited(json_object_get(content, "previous"));
    json_object_foreach ((json_t *)json_object_get(work, "engines"), id, queue) {
        const char *uuid =
            json_string_value(json_object_get(json_object_get(content, "engines"), id));
        working += uuid && note_engine(watch, uuid, queue, now_ms);
    }
    if (watch->work.known && done >= watch->done) {
        watch->worked_s = watch->worked_s * kept + working * passed_s;
        watch->tasks_done = watch->tasks_done * kept + (double)(done - watch->done);
    }
    watch->work.task_s = seconds_of(watch, working);
    watch->work.known = true;
    watch->done = done;
    watch->measured_ms = now_ms;
}

bool hub_watch_is_mute(const struct hub_watch *watch)
{
    return watch && !watch->work.known && watch->mute >= MUTE_MAX;
}

const struct hub_work *hub_watch_work(const struct hub_watch *watch)
{
    return watch && watch->work.known ? &watch->work : NULL;
}

void hub_watch_end_idle(struct hub_watch *watch, const char *uuid)
{
    json_t *content = json_pack("{s:b s:b}", "restart", 0, "idle", 1);
    if (content) /* without it, it would end in any case */
        hub_link_send(&watch->link, watch->link.control, uuid, "shutdown_request", content);
    json_decref(content);
}

/* One that ends needs no answer. */
void hub_measure_reply(struct hub_watch *watch, const struct hub_message *message)
{
    const char *uuid = json_string_value(json_object_get(message->metadata, "engine"));
    if (uuid && json_object_get(message->content, "evalue") && watch->events.stays)
        watch->events.stays(watch->events.context, uuid);
}
