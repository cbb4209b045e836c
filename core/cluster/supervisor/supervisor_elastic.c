/* Sets that grow and shrink by themselves. They grow at once, by what waits for an engine and how
 * long that takes, and shrink when engines have had nothing to do for a while: each is asked
 * whether anybody would miss it, and ends if not. */
#include "cluster/supervisor/supervisor_private.h"

#include <string.h>

#include "base/clock.h"

/* As many engines are wanted as finish the present work within this time. */
#define DONE_MS 5000
/* If no engine has come from the last start, a set waits before it grows again, longer each
 * time. */
#define PAUSE_MS         1000
#define LONGEST_PAUSE_MS 60000
/* How long an engine may take to say that it stays, or to end. */
#define ANSWER_MS 30000
/* How often one that stays is asked at most. */
#define ASK_AGAIN_MS     1000
#define IDLE_SECONDS_MAX 1e9

/* Whether its launcher's settings say that engines started together are one MPI world. */
static bool makes_worlds(const struct engine_set *set)
{
    const struct settings *settings = set->cluster->settings;
    const char *class_name = set->job.choice.class->name;
    if (!settings_has(settings, class_name, "mpi", IPCL_STRING))
        return false;
    const char *mpi = settings_string(settings, class_name, "mpi");
    return *mpi && strcmp(mpi, "none") != 0;
}

/* Returns 0, or -1 with `error` set if a set of this launcher cannot grow. */
static int check_launcher(const struct engine_set *set, struct ipcl_error *error)
{
    struct ipcl_error reason;
    if (supervisor_can_restart(&set->job, &reason) < 0)
        return ipcl_error_set(error, "--n-max: %s", reason.text);
    if (!makes_worlds(set))
        return 0;
    return ipcl_error_set(error,
                          "--n-max: %s makes its engines one MPI world, whose size does not "
                          "change: leave --n-max out, or have the engines run without MPI",
                          set->job.choice.class->name);
}

int supervisor_set_bounds(struct engine_set *set, int64_t n_min, int64_t n_max,
                          struct ipcl_error *error)
{
    const struct settings *settings = set->cluster->settings;
    const char *class_name = set->job.choice.class->name;
    double idle_s = settings_real(settings, "Cluster", "idle_timeout");
    int64_t per_job = settings_has(settings, class_name, "engines_per_job", IPCL_INT)
                          ? settings_int(settings, class_name, "engines_per_job")
                          : 0;
    if (n_max < 1 || n_max > ENGINES_MAX)
        return ipcl_error_set(error, "--n-max: %lld is not a number of engines: 1 to %d",
                              (long long)n_max, ENGINES_MAX);
    if (n_min < 0 || n_min > n_max)
        return ipcl_error_set(error, "--n-min: %lld is not a number of engines: 0 to %lld",
                              (long long)n_min, (long long)n_max);
    if (!(idle_s >= 0 && idle_s <= IDLE_SECONDS_MAX))
        return ipcl_error_set(error, "--idle-timeout: %g is not a number of seconds", idle_s);
    if (check_launcher(set, error) < 0)
        return -1;
    set->elastic = (struct elastic){.on = true,
                                    .n_min = (unsigned)n_min,
                                    .n_max = (unsigned)n_max,
                                    .step = (unsigned)(per_job < 1       ? 1
                                                       : per_job < n_max ? per_job
                                                                         : n_max),
                                    .idle_ms = (long long)(idle_s * 1000),
                                    .wanted_ms = clock_ms()};
    return 0;
}

int supervisor_choose_bounds(struct engine_set *set, struct ipcl_error *error)
{
    const struct settings *settings = set->cluster->settings;
    unsigned *n = &set->saved->n;
    int64_t n_max = settings_int(settings, "Cluster", "n_max"),
            n_min = settings_int(settings, "Cluster", "n_min");
    if (n_max == 0)
        return 0;
    if (n_max > 0 && settings_given(settings, "Cluster", "n") && *n > n_max)
        return ipcl_error_set(error, "--n=%u is more than --n-max=%lld", *n, (long long)n_max);
    if (n_max > 0 && *n > n_max)
        *n = (unsigned)n_max;
    bool fewer = settings_given(settings, "Cluster", "n_min") && n_min < *n;
    return supervisor_set_bounds(set, fewer ? n_min : *n, n_max, error);
}

json_t *supervisor_bounds(const struct engine_set *set)
{
    const struct elastic *elastic = &set->elastic;
    return elastic->on ? json_pack("{s:i s:i s:f s:i}", "n_min", (int)elastic->n_min, "n_max",
                                   (int)elastic->n_max, "idle_timeout",
                                   (double)elastic->idle_ms / 1000, "kept", (int)elastic->kept)
                       : NULL;
}

/* How many engines a set has, or is going to have, but those that leave. */
static unsigned live(const struct engine_set *set)
{
    return slots_count(&set->slots) - slots_leaving(&set->slots);
}

static bool adapts(const struct engine_set *set)
{
    return set->elastic.on && set->phase == SET_UP;
}

/* If all engines have died by themselves before they got a request, more engines would die, too. */
bool supervisor_may_grow(const struct engine_set *set)
{
    return adapts(set) && (set->job.count == 0 || hub_watch_worked(set->job.supervisor->hub));
}

/* Growing */

/* How many engines the work needs if tasks wait; otherwise 0. */
static uint64_t wanted(const struct hub_work *work)
{
    uint64_t tasks = (uint64_t)work->busy + work->waiting;
    uint64_t enough = (uint64_t)((double)tasks * work->task_s * 1000 / DONE_MS) + 1;
    return work->waiting == 0 ? 0 : enough < tasks ? enough : tasks;
}

/* How many engines are registered, or expected in our sets. */
static uint64_t available(const struct supervisor *supervisor)
{
    uint64_t count = hub_watch_count(supervisor->hub, NULL, 0);
    for (const struct engine_set *set = supervisor->sets; set; set = set->next)
        count += slots_expected(&set->slots);
    return count;
}

static void pause_growth(struct engine_set *set)
{
    struct elastic *elastic = &set->elastic;
    bool came = set->slots.arrivals != elastic->arrivals || elastic->next_ms == 0;
    elastic->pause_ms = came ? 0 : 2 * elastic->pause_ms + PAUSE_MS;
    if (elastic->pause_ms > LONGEST_PAUSE_MS)
        elastic->pause_ms = LONGEST_PAUSE_MS;
    elastic->next_ms = clock_ms() + elastic->pause_ms;
    elastic->arrivals = set->slots.arrivals;
}

/* How many registered engines of our sets have been asked to end. */
static uint64_t ending(const struct supervisor *supervisor)
{
    uint64_t count = 0;
    for (const struct engine_set *set = supervisor->sets; set; set = set->next)
        for (const struct engine_slot *slot = set->slots.list; slot; slot = slot->next)
            count += slot->registered && slot->fate == FATE_END;
    return count;
}

/* Starts whole batch jobs, if there is room for them. Returns by how many engines the set grows. */
static unsigned grow(struct engine_set *set, uint64_t more)
{
    struct elastic *elastic = &set->elastic;
    struct ipcl_error error;
    unsigned now = live(set), room = elastic->n_max > now ? elastic->n_max - now : 0;
    uint64_t steps = (more + elastic->step - 1) / elastic->step * elastic->step;
    unsigned count = steps < room ? (unsigned)steps : room;
    if (count == 0 || clock_ms() < elastic->next_ms)
        return 0;
    pause_growth(set);
    if (supervisor_scale(set, now + count, &error) == 0)
        return count;
    progress_fail(set->progress, "The set %s does not grow: %s", set->saved->name, error.text);
    return 0;
}

/* Shrinking */

struct shrinking {
    struct engine_set *set;
    unsigned over;  /* how many are too many */
    unsigned asked; /* how many were asked to end, and have not answered */
    unsigned kept;  /* how many have nothing to do, and stay */
};

static bool has_passed(long long since_ms, long long ms)
{
    return clock_ms() - since_ms >= ms;
}

static void ask_to_end(struct shrinking *shrinking, struct engine_slot *slot)
{
    slot->fate = FATE_END;
    slot->idle_asked_ms = clock_ms();
    hub_watch_end_idle(shrinking->set->job.supervisor->hub, slot->uuid);
    shrinking->over--;
    shrinking->kept += slot->stays_ms > 0;
}

static void end_idle(void *context, const struct hub_engine *engine)
{
    struct shrinking *shrinking = context;
    struct engine_set *set = shrinking->set;
    long long idle_ms = set->elastic.idle_ms;
    struct engine_slot *slot = slots_of_uuid(&set->slots, engine->uuid);
    if (slot && slot->idle_asked_ms) {
        shrinking->asked++;
        shrinking->kept += slot->stays_ms > 0;
    }
    if (!slot || slot->fate != FATE_RETURN || engine->ranked)
        return;
    if (!engine->idle_ms || !has_passed(engine->idle_ms, idle_ms))
        slot->stays_ms = 0;
    else if (slot->stays_ms &&
             (shrinking->over == 0 ||
              !has_passed(slot->stays_ms, idle_ms > ASK_AGAIN_MS ? idle_ms : ASK_AGAIN_MS)))
        shrinking->kept++;
    else if (shrinking->over > 0)
        ask_to_end(shrinking, slot);
}

/* It does not leave. If the set has grown meanwhile, the surplus counts it as one that leaves. */
static void stays(struct slots *slots, struct engine_slot *slot)
{
    if (slot->asked_ms || !slot->idle_asked_ms)
        return; /* it was told to end in any case */
    slot->idle_asked_ms = 0;
    slot->fate = FATE_RETURN;
    slot->stays_ms = clock_ms();
    slots->surplus -= slots->surplus > 0;
}

void supervisor_engine_stays(struct supervisor *supervisor, const char *uuid)
{
    for (struct engine_set *set = supervisor->sets; set; set = set->next) {
        struct engine_slot *slot = slots_of_uuid(&set->slots, uuid);
        if (slot)
            stays(&set->slots, slot);
    }
}

/* Says how many stay that the set could do without, which it asks again and again. */
static void tell_kept(struct engine_set *set, unsigned kept)
{
    bool news = kept > set->elastic.kept;
    set->elastic.kept = kept;
    if (news)
        progress_say(set->progress,
                     "%u engine%s of the set %s stay%s though %s nothing to do, with what a client "
                     "may have put there (client.clear())",
                     kept, kept == 1 ? "" : "s", set->saved->name, kept == 1 ? "s" : "",
                     kept == 1 ? "it has" : "they have");
}

/* By no more than `spare`. Returns by how many it is going to. */
static unsigned shrink(struct engine_set *set, bool waited, uint64_t spare)
{
    struct elastic *elastic = &set->elastic;
    unsigned now = live(set), over = now > elastic->n_min ? now - elastic->n_min : 0;
    struct shrinking shrinking = {set, over < spare ? over : (unsigned)spare, 0, 0};
    over = shrinking.over;
    for (struct engine_slot *slot = set->slots.list; slot; slot = slot->next)
        if (slot->registered && slot->idle_asked_ms && has_passed(slot->idle_asked_ms, ANSWER_MS))
            stays(&set->slots, slot);
    if (waited)
        elastic->wanted_ms = clock_ms();
    else if (shrinking.over > 0 && has_passed(elastic->wanted_ms, elastic->idle_ms))
        shrinking.over -= supervisor_cancel_waiting(set, shrinking.over);
    hub_watch_each(set->job.supervisor->hub, set->saved->name, end_idle, &shrinking);
    tell_kept(set, now + shrinking.asked > elastic->n_min ? shrinking.kept : 0);
    return over - shrinking.over;
}

/* A controller of another version, or ipyparallel's, may not say what there is to do. */
static void give_bounds_up(struct engine_set *set)
{
    if (!adapts(set))
        return;
    set->elastic.on = false;
    progress_fail(
        set->progress,
        "The controller does not say how many tasks wait, so the set %s does not grow and shrink "
        "by itself: use the ipcontroller of this ipcluster",
        set->saved->name);
}

/* While tasks wait, only engines beyond the wanted number end: an engine without work is then idle
 * for a moment, or cannot serve these tasks, and another would be started in its place. Until the
 * engines of the previous controller are back, or given up, the hub knows neither what they do nor
 * whether more are needed. */
static void adapt_sets(struct supervisor *supervisor, const struct hub_work *work)
{
    bool known = work->awaited == 0;
    uint64_t enough = wanted(work), there = available(supervisor),
             stay = enough + ending(supervisor);
    uint64_t more = known && enough > there ? enough - there : 0,
             spare = known && there > stay ? there - stay : 0;
    for (struct engine_set *set = supervisor->sets; set; set = set->next) {
        if (!adapts(set))
            continue;
        unsigned grown = more > 0 ? grow(set, more) : 0;
        more -= grown < more ? grown : more;
        spare -= shrink(set, work->waiting > 0 || !known, spare);
    }
}

void supervisor_adapt(struct supervisor *supervisor)
{
    const struct hub_work *work = hub_watch_work(supervisor->hub);
    bool any = false;
    for (struct engine_set *set = supervisor->sets; set; set = set->next)
        any = any || set->elastic.on;
    if (any)
        hub_watch_measure(supervisor->hub);
    if (any && hub_watch_is_mute(supervisor->hub))
        for (struct engine_set *set = supervisor->sets; set; set = set->next)
            give_bounds_up(set);
    if (any && work)
        adapt_sets(supervisor, work);
}
