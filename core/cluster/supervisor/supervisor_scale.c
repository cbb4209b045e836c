/* A set whose number of engines changes. A further instance of its launcher starts more. If there
 * are too many, batch jobs that wait are cancelled here. Running engines are ended by other code,
 * which knows whether a client would miss them. Until then no engine that ends comes back. */
#include "cluster/supervisor/supervisor_private.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"

static void note_rank(void *context, const struct hub_engine *engine)
{
    bool *ranked = context;
    *ranked = *ranked || engine->ranked;
}

int supervisor_can_scale(const struct engine_set *set, bool more, struct ipcl_error *error)
{
    bool ranked = false;
    if (set->phase != SET_UP)
        return ipcl_error_set(error, "the set %s is being %s", set->saved->name,
                              set->phase > SET_UP ? "stopped" : "started");
    hub_watch_each(set->job.supervisor->hub, set->saved->name, note_rank, &ranked);
    if (ranked)
        return ipcl_error_set(error,
                              "the engines of %s are an MPI world, whose size does not change: "
                              "add a set with ipcluster engines",
                              set->saved->name);
    return more ? supervisor_can_restart(&set->job, error) : 0;
}

/* Those that had gone for good are not counted any more. */
static void forget_gone(struct engine_set *set)
{
    struct supervised_job *job = &set->job;
    unsigned places = slots_count(&set->slots);
    unsigned gone = job->count > places ? job->count - places : 0;
    job->started -= gone < job->started ? gone : job->started;
    job->count = set->saved->n = places;
}

static int start_more(struct engine_set *set, unsigned more, struct ipcl_error *error)
{
    struct supervised_job *job = &set->job;
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
    unsigned places = slots_count(slots), leaving = slots_leaving(slots) + slots_unnoticed(slots);
    unsigned live = places - leaving;
    if (n != live && supervisor_can_scale(set, n > live, error) < 0)
        return -1;
    forget_gone(set);
    slots->surplus = leaving;
    if (n >= live)
        return n > live ? start_more(set, n - live, error) : 0;
    progress_say(set->progress, "The set %s shall have %u engine%s, not %u", set->saved->name, n,
                 n == 1 ? "" : "s", live);
    unsigned forgone = slots_forgo(slots, live - n), surplus = live - forgone - n;
    forget_gone(set);
    slots->surplus = leaving + surplus;
    surplus -= supervisor_cancel_waiting(set, surplus);
    supervisor_save(set->job.supervisor, set->job.supervisor->state.phase);
    return (int)surplus;
}
