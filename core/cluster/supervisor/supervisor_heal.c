/* Engines of a cluster that is up and that end: those that come back, and those that are asked to
 * end. */
#include "cluster/supervisor/supervisor_private.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/ending.h"
#include "base/log.h"

#define LOOK_MS 100

static void see(void *context, const struct hub_engine *engine)
{
    slots_see(context, engine->id, engine->uuid);
}

void supervisor_see_engines(struct supervisor *supervisor)
{
    for (struct engine_set *set = supervisor->sets; set; set = set->next) {
        hub_watch_each(supervisor->hub, set->saved->name, see, &set->slots);
        slots_seen(&set->slots);
        if (slots_pending(&set->slots))
            supervisor_heal(supervisor);
    }
}

void supervisor_note_end(struct engine_set *set, unsigned index, unsigned count, int status)
{
    struct supervisor *supervisor = set->job.supervisor;
    int64_t pid = index == IPCL_ALL_COPIES ? 0 : children_ending(supervisor->children);
    slots_ended(&set->slots, count, pid ? hub_watch_id(supervisor->hub, pid) : -1, status == 0,
                clock_ms());
    supervisor_heal(supervisor);
}

bool supervisor_hopes(const struct supervisor *supervisor)
{
    for (const struct engine_set *set = supervisor->sets; set; set = set->next)
        if (set->phase == SET_UP && (slots_hope(&set->slots) || supervisor_may_grow(set)))
            return true;
    return false;
}

static void one_has_gone(void *context, const struct engine_slot *slot)
{
    struct engine_set *set = context;
    struct supervised_job *job = &set->job;
    if (slot->fate == FATE_END && slot->idle_asked_ms)
        progress_say(set->progress, "Engine %d has ended: it was idle", slot->id);
    if (slot->fate == FATE_END || set->slots.surplus > 0) {
        job->count -= job->count > 0;
        job->started -= job->started > 0;
        set->saved->n = job->count;
        supervisor_save(job->supervisor, job->supervisor->state.phase);
    } else if (slot->returns > 0 && !slot->well) {
        progress_fail(set->progress,
                      "Engine %d was restarted %u time%s, and is not restarted again (--restart)",
                      slot->id, slot->returns, slot->returns == 1 ? "" : "s");
    }
}

static int compare(const void *one, const void *other)
{
    const int *a = one, *b = other;
    return (*a > *b) - (*a < *b);
}

/* "3,5": in their order, which is that of an MPI world's ranks. */
static char *list_ids(int *ids, unsigned count)
{
    qsort(ids, count, sizeof(*ids), compare);
    char *text = malloc(12 * (size_t)count + 1), *at = text;
    if (text)
        *text = '\0';
    for (unsigned i = 0; text && i < count; i++)
        at += sprintf(at, "%s%d", i ? "," : "", ids[i]);
    return text;
}

/* Starts `count` engines of a running set again. Returns 0 or -1 with `error` set. */
static int start_more(struct engine_set *set, unsigned count, const char *ids,
                      struct ipcl_error *error)
{
    struct supervised_job *job = &set->job;
    unsigned started = job->started;
    job->started -= count < started ? count : started;
    int outcome = supervisor_start_job(job->supervisor, job, count, ids, error);
    if (outcome < 0 && job->started < started)
        job->started = started; /* those that have ended are counted as before */
    return outcome;
}

/* Starts those whose time has come. */
static void start_due(struct engine_set *set)
{
    struct progress *progress = set->progress;
    struct ipcl_error error;
    unsigned id_count = 0;
    int *ids = calloc(slots_count(&set->slots) + 1, sizeof(*ids));
    unsigned count = ids ? slots_start(&set->slots, clock_ms(), ids, &id_count) : 0;
    char *text = count > 0 ? list_ids(ids, id_count) : NULL;
    if (count > 0)
        progress_say(progress, "Starting %s %s again with %s",
                     id_count == 0   ? "an engine"
                     : id_count == 1 ? "engine"
                                     : "engines",
                     text ? text : "", set->job.choice.class->name);
    if (count > 0 && start_more(set, count, text ? text : "", &error) < 0) {
        progress_fail(progress, "It cannot be started: %s", error.text);
        slots_failed(&set->slots, clock_ms());
    }
    free(text);
    free(ids);
}

struct hearing {
    struct supervisor *supervisor;
    const struct engine_slot *slot;
};

static void kill_engine(void *context, const struct hub_engine *engine)
{
    struct hearing *hearing = context;
    struct ipcl_error error;
    if (strcmp(engine->uuid, hearing->slot->uuid) != 0)
        return;
    hub_watch_signal(hearing->supervisor->hub, engine->uuid, SIGKILL);
    if (!engine->elsewhere)
        children_kill(hearing->supervisor->children, engine->pid, SIGKILL, &error);
}

/* Kills those that were asked to end and have not. */
static void kill_late(struct engine_set *set)
{
    struct supervisor *supervisor = set->job.supervisor;
    struct engine_slot *slot;
    for (slot = set->slots.list; slot; slot = slot->next) {
        if (!slot->asked_ms || clock_ms() - slot->asked_ms < ENDING_AWAITED_MS)
            continue;
        progress_say(set->progress, "Engine %d has not ended: killing it", slot->id);
        struct hearing hearing = {supervisor, slot};
        hub_watch_each(supervisor->hub, set->saved->name, kill_engine, &hearing);
        slot->asked_ms = 0;
    }
}

static void heal(uv_timer_t *timer)
{
    struct supervisor *supervisor = timer->data;
    bool pending = false;
    for (struct engine_set *set = supervisor->sets; set; set = set->next) {
        if (set->phase != SET_UP)
            continue;
        slots_settle(&set->slots, clock_ms(), one_has_gone, set);
        start_due(set);
        kill_late(set);
        pending = pending || slots_pending(&set->slots);
    }
    if (!pending)
        uv_timer_stop(timer);
    supervisor->hooks->engines_left(supervisor);
}

void supervisor_heal(struct supervisor *supervisor)
{
    if (supervisor->phase <= PHASE_UP && !uv_is_active((const uv_handle_t *)&supervisor->heal))
        uv_timer_start(&supervisor->heal, heal, 0, LOOK_MS);
}

/* Engines that are to end, of a set, and those that end with them. */
struct set_ending {
    struct engine_set *set;
    const json_t *ids;
    enum slot_fate fate;
    json_t *taken;
    const struct hub_engine *with; /* a rank of a world that ends */
};

static bool is_named(const json_t *ids, int id)
{
    size_t i;
    json_t *one;
    json_array_foreach (ids, i, one)
        if (json_is_integer(one) && json_integer_value(one) == id)
            return true;
    return false;
}

static bool has_named(const struct engine_set *set, const json_t *ids)
{
    for (const struct engine_slot *slot = set->slots.list; slot; slot = slot->next)
        if (slot->registered && is_named(ids, slot->id))
            return true;
    return false;
}

static void end_engine(const struct set_ending *ending, const struct hub_engine *engine)
{
    struct engine_slot *slot = slots_find(&ending->set->slots, engine->id);
    if (!slot || is_named(ending->taken, engine->id))
        return;
    slot->fate = ending->fate;
    json_array_append_new(ending->taken, json_integer(engine->id));
    if (slot->asked_ms)
        return; /* and has not ended yet: what was asked last counts */
    slot->asked_ms = clock_ms();
    hub_watch_end_engine(ending->set->job.supervisor->hub, engine->uuid);
}

static void end_with(void *context, const struct hub_engine *engine)
{
    const struct set_ending *ending = context;
    if (engine->ranked && strcmp(engine->job, ending->with->job) == 0)
        end_engine(ending, engine);
}

/* An MPI world ends as a whole. */
static void end_named(void *context, const struct hub_engine *engine)
{
    struct set_ending *ending = context;
    if (!is_named(ending->ids, engine->id))
        return;
    end_engine(ending, engine);
    ending->with = engine;
    if (engine->ranked)
        hub_watch_each(ending->set->job.supervisor->hub, ending->set->saved->name, end_with,
                       ending);
}

static int check_end(const struct engine_set *set, const json_t *ids, enum slot_fate fate,
                     struct ipcl_error *error)
{
    if (!has_named(set, ids))
        return 0;
    if (set->phase != SET_UP)
        return ipcl_error_set(error, "%s is being %s: wait until it %s",
                              set->joined ? set->saved->name : "the cluster",
                              set->phase > SET_UP ? "stopped" : "started",
                              set->phase > SET_UP ? "has ended" : "is up");
    return fate == FATE_RESTART ? supervisor_can_restart(&set->job, error) : 0;
}

int supervisor_end_engines(struct supervisor *supervisor, const json_t *ids, enum slot_fate fate,
                           json_t *taken, struct ipcl_error *error)
{
    struct engine_set *set;
    for (set = supervisor->sets; set; set = set->next)
        if (check_end(set, ids, fate, error) < 0)
            return -1;
    for (set = supervisor->sets; set; set = set->next) {
        struct set_ending ending = {.set = set, .ids = ids, .fate = fate, .taken = taken};
        hub_watch_each(supervisor->hub, set->saved->name, end_named, &ending);
    }
    supervisor_heal(supervisor);
    return 0;
}
