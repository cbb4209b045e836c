/* A set that is to have another number of engines. More are started by a further instance of its
 * launcher. Of those that are too many batch jobs that wait are cancelled first, and nobody else is
 * ended here: that is for who knows whether anybody would miss them, and until then each that ends
 * does not come back. */
#include "cluster/supervisor/supervisor_private.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"

static void note_rank(void *context, const struct hub_engine *engine)
{
    bool *ranked = context;
    *ranked = *ranked || engine->ranked;
}

/* Returns 0, or -1 with `error` set where a set cannot have another number. */
static int check(const struct engine_set *set, bool more, struct ipcl_error *error)
{
    bool ranked = false;
    if (set->phase != SET_UP)
        return ipcl_error_set(error, "the set %s is being %s", set->saved->name,
                              set->phase > SET_UP ? "stopped" : "started");
    hub_watch_each(set->job.supervisor->hub, set->saved->name, note_rank, &ranked);
    if (ranked)
        return ipcl_error_set(error,
                              "the engines of %s are an MPI world, which has the size that it was "
                              "started with: add a set with ipcluster engines",
                              set->saved->name);
    return more ? supervisor_can_restart(&set->job, error) : 0;
}

void supervisor_forget_gone(struct engine_set *set)
{
    struct job *job = &set->job;
    unsigned places = slots_count(&set->slots);
    unsigned gone = job->count > places ? job->count - places : 0;
    job->started -= gone < job->started ? gone : job->started;
    job->count = set->saved->n = places;
}

static int start_more(struct engine_set *set, unsigned more, struct ipcl_error *error)
{
    struct job *job = &set->job;
    if (slots_add(&set->slots, more) < 0)
        return ipcl_error_set(error, "no memory for the places of %u engines", more);
    job->count += more;
    set->saved->n = job->count;
    progress_say(set->progress, "Starting %u more engine%s with %s", more, more == 1 ? "" : "s",
                 job->choice.class->name);
    if (supervisor_start_job(job->supervisor, job, more, "", error) == 0)
        return 0;
    slots_drop(&set->slots, more);
    job->count -= more;
    set->saved->n = job->count;
    return -1;
}

/* A batch job, by its id as its system prints it. */
struct batch_id {
    const char *id;
    bool found;
};

/* Engines name their job in words, and the system may print more of it than its number. */
static void compare_job(void *context, const struct hub_engine *engine)
{
    struct batch_id *job = context;
    const char *own = strstr(engine->job, " job ");
    job->found = job->found || (own && strtoull(own + 5, NULL, 10) == strtoull(job->id, NULL, 10));
}

static bool has_engines(void *context, const char *id)
{
    const struct engine_set *set = context;
    struct batch_id job = {id, false};
    hub_watch_each(set->job.supervisor->hub, set->saved->name, compare_job, &job);
    return job.found;
}

unsigned supervisor_cancel_waiting(struct engine_set *set, unsigned most)
{
    unsigned count =
        set->job.launcher ? instances_forgo(set->job.launcher, most, has_engines, set) : 0;
    slots_cancel(&set->slots, count);
    if (count > 0)
        progress_say(set->progress, "Cancelling %u engine%s that wait%s to be started", count,
                     count == 1 ? "" : "s", count == 1 ? "s" : "");
    return count;
}

/* Those that are leaving are counted as having left. */
int supervisor_scale(struct engine_set *set, unsigned n, struct ipcl_error *error)
{
    struct slots *slots = &set->slots;
    unsigned places = slots_count(slots), leaving = slots_leaving(slots), live = places - leaving;
    if (n != live && check(set, n > live, error) < 0)
        return -1;
    supervisor_forget_gone(set);
    slots->surplus = leaving;
    if (n >= live)
        return n > live ? start_more(set, n - live, error) : 0;
    progress_say(set->progress, "The set %s is to have %u engine%s, and not %u", set->saved->name,
                 n, n == 1 ? "" : "s", live);
    unsigned forgone = slots_forgo(slots, live - n), surplus = live - forgone - n;
    supervisor_forget_gone(set);
    slots->surplus = leaving + surplus;
    surplus -= supervisor_cancel_waiting(set, surplus);
    supervisor_save(set->job.supervisor, set->job.supervisor->state.phase);
    return (int)surplus;
}

/* Returns how many engines are too many and stay, or -1 with `error` set. */
static int scale_to(struct engine_set *set, json_int_t n, struct ipcl_error *error)
{
    if (n < 0 || n > ENGINES_MAX)
        return ipcl_error_set(error, "a set has 0 to %d engines", ENGINES_MAX);
    int surplus = supervisor_scale(set, (unsigned)n, error);
    if (surplus >= 0 && set->elastic.on)
        progress_say(set->progress,
                     "The set %s does not grow and shrink by itself any more (ipcluster scale "
                     "--n-max lets it again)",
                     set->saved->name);
    set->elastic.on = set->elastic.on && surplus < 0;
    return surplus;
}

json_t *supervisor_answer_scale(struct supervisor *supervisor, struct caller *caller,
                                const json_t *request, struct ipcl_error *error)
{
    const char *name = json_string_value(json_object_get(request, "set"));
    const json_t *n = json_object_get(request, "n"), *n_max = json_object_get(request, "n_max"),
                 *n_min = json_object_get(request, "n_min");
    int surplus = 0;
    (void)caller;
    if (!name || json_is_integer(n) == json_is_integer(n_max)) {
        ipcl_error_set(error, "a set is scaled by its name and a number of engines, n, or the most "
                              "that it may have, n_max");
        return NULL;
    }
    struct engine_set *set = supervisor->sets;
    while (set && strcmp(set->saved->name, name) != 0)
        set = set->next;
    if (!set)
        surplus = ipcl_error_set(error, "there is no set %.64s", name);
    else if (n)
        surplus = scale_to(set, json_integer_value(n), error);
    else if (check(set, true, error) < 0 ||
             supervisor_set_bounds(set, json_integer_value(n_min), json_integer_value(n_max),
                                   error) < 0)
        surplus = -1;
    return surplus < 0
               ? NULL
               : json_pack("{s:i s:b}", "surplus", surplus, "queued", supervisor_queues(&set->job));
}
