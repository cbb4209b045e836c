/* What the supervisor does when launchers report about its jobs, and sets about themselves. */
#include "cluster/supervisor/supervisor_private.h"

#include <string.h>

#include "base/clock.h"
#include "base/log.h"

#define BARREN_MAX 3 /* a set is given up after as many starts without a registered engine */

/* Says which copies ended, how, and what they said last. */
static void tell_end(struct supervisor *supervisor, const struct supervised_job *job,
                     unsigned index, int status, const char *reason, const char *when)
{
    char what[ENGINE_NAME_BYTES];
    bool part = job->launcher && instances_go_on(job->launcher);
    if (part && reason && job->set) {
        if (strcmp(job->set->told, reason) == 0)
            return; /* the next engine of the same batch job */
        snprintf(job->set->told, sizeof(job->set->told), "%s", reason);
    }
    if (!job->set)
        snprintf(what, sizeof(what), "The controller");
    else if (index != IPCL_ALL_COPIES && children_ending(supervisor->children))
        hub_watch_name(supervisor->hub, children_ending(supervisor->children), what);
    else
        snprintf(what, sizeof(what), index == IPCL_ALL_COPIES ? "The engines" : "An engine");
    progress_fail(supervisor_progress_of(job), "%s ended with status %d%s%s%s%s", what, status,
                  *when ? " " : "", when, reason ? ": " : "", reason ? reason : "");
    supervisor_show_tail(job, index == IPCL_ALL_COPIES ? 0 : index, true);
}

static void controller_ended(struct supervisor *supervisor, int status, const char *reason)
{
    bool up = supervisor->phase == PHASE_UP;
    if (up && status == 0) {
        progress_say(supervisor->progress, "The controller has ended");
        supervisor_stop(supervisor, EXIT_FINE);
        return;
    }
    tell_end(supervisor, &supervisor->controller, 0, status, reason,
             up ? "" : "before the cluster was up");
    supervisor_stop(supervisor, up ? EXIT_CLUSTER_DIED : EXIT_CONTROLLER_FAILED);
}

/* Whether all that were started have died before any had registered, and have done so too often. */
static bool only_dies(struct engine_set *set)
{
    if (set->job.running > 0 || slots_leaving(&set->slots) > 0)
        return false;
    bool first = set->registered + set->arrived == 0 && !set->elastic.on;
    set->barren = set->slots.arrivals == set->arrivals ? set->barren + 1 : 0;
    set->arrivals = set->slots.arrivals;
    return set->barren >= (first ? 1 : BARREN_MAX);
}

/* If the set has worked before, the controller stays: it has the set's results. */
static void give_up_barren(struct engine_set *set)
{
    if (set->barren > 1 && !set->joined && set->job.supervisor->own_controller)
        supervisor_stop_set(set, EXIT_ENGINES_FAILED);
    else
        supervisor_give_up(set, EXIT_ENGINES_FAILED);
}

static void set_resized(struct engine_set *set)
{
    set->saved->n = set->job.count;
    if (set->phase < SET_STARTING)
        return;
    if (set->job.count > 0) {
        supervisor_hub_changed(set->job.supervisor);
        return;
    }
    progress_fail(set->progress, "No engine can be started");
    supervisor_give_up(set, EXIT_ENGINES_FAILED);
}

static void engines_ended(struct engine_set *set, unsigned index, int status, const char *reason)
{
    struct supervised_job *job = &set->job;
    struct supervisor *supervisor = job->supervisor;
    bool up = set->phase == SET_UP;
    if (!up && job->running > 0 && instances_go_on(job->launcher)) {
        tell_end(supervisor, job, index, status, reason, "before all engines had registered");
        job->count--;
        job->started--;
        set->slots.lost++;
        set_resized(set);
    } else if (!up) {
        tell_end(supervisor, job, index, status, reason, "before all engines had registered");
        supervisor_give_up(set, EXIT_ENGINES_FAILED);
    } else if (only_dies(set)) {
        tell_end(supervisor, job, index, status, reason, "before any engine had registered");
        if (set->barren > 1)
            progress_fail(set->progress,
                          "The set %s is given up: in its last %u starts, all engines died "
                          "before they registered",
                          set->saved->name, set->barren);
        give_up_barren(set);
    } else {
        if (status != 0)
            tell_end(supervisor, job, index, status, reason, "");
        supervisor_save(supervisor, supervisor->state.phase);
        supervisor_look_for_engines(supervisor);
    }
}

/* All copies of what is being stopped may have ended. */
static void go_on_stopping(struct supervised_job *job)
{
    if (job->set)
        supervisor_go_on_stopping_set(job->set);
    else
        supervisor_go_on_stopping(job->supervisor);
}

static void job_started(void *context, unsigned count)
{
    struct supervised_job *job = context;
    unsigned waiting = job->count - job->started;
    job->started += count < waiting ? count : waiting;
    if (job->set)
        job->set->phase_ms = clock_ms();
    else
        job->supervisor->phase_ms = clock_ms();
    job->answered = true;
    if (job->supervisor->adopting || job->supervisor->dry || supervisor_stops(job))
        return;
    supervisor_save(job->supervisor, job->supervisor->state.phase);
    if (job->set)
        supervisor_look_up(job->set);
}

/* An engine that was watched has told by itself how it ended, or its watcher has. */
static void tell_hub(const struct supervised_job *job, unsigned index, int status,
                     const char *reason)
{
    char exited[48];
    snprintf(exited, sizeof(exited), "it exited with status %d", status);
    struct hub_explanation end = {.engine_set = job->set->saved->name,
                                  .index = index == IPCL_ALL_COPIES || !job->launcher
                                               ? IPCL_ALL_COPIES
                                               : instances_number(job->launcher, index),
                                  .pid = children_ending(job->supervisor->children),
                                  .reason = reason ? reason : exited};
    if (reason || (end.pid && status))
        hub_watch_explain(job->supervisor->hub, &end);
}

static void job_stopped(void *context, unsigned index, unsigned count, int status,
                        const char *reason)
{
    struct supervised_job *job = context;
    struct supervisor *supervisor = job->supervisor;
    job->running -= count < job->running ? count : job->running;
    if (job->status == 0)
        job->status = status;
    if (supervisor->adopting || supervisor->dry)
        return;
    if (job->set) {
        tell_hub(job, index, status, reason);
        supervisor_note_end(job->set, index, count, status);
    }
    if (supervisor_stops(job)) {
        if (job->running == 0)
            go_on_stopping(job);
    } else if (job->set) {
        engines_ended(job->set, index, status, reason);
    } else {
        controller_ended(supervisor, status, reason);
    }
}

static void job_explained(void *context, unsigned index, const char *reason, bool cut_short)
{
    struct supervised_job *job = context;
    if (job->set && !job->supervisor->adopting && !job->supervisor->dry)
        hub_watch_explain(job->supervisor->hub,
                          &(struct hub_explanation){.engine_set = job->set->saved->name,
                                                    .index = index,
                                                    .reason = reason,
                                                    .cut_short = cut_short});
}

static void job_waiting(void *context, unsigned count)
{
    struct supervised_job *job = context;
    job->started -= count < job->started ? count : job->started;
    if (!job->set || job->supervisor->adopting || job->supervisor->dry)
        return;
    slots_wait(&job->set->slots, count, clock_ms());
    supervisor_heal(job->supervisor);
}

static void job_resized(void *context, int change, const char *why)
{
    struct supervised_job *job = context;
    unsigned fewer = change < 0 ? (unsigned)-change : 0, more = change > 0 ? (unsigned)change : 0;
    if (why)
        progress_fail(supervisor_progress_of(job), "%s: %s", job->choice.class->name, why);
    job->running += more - (fewer < job->running ? fewer : job->running);
    job->count += more - (fewer < job->count ? fewer : job->count);
    if (job->started > job->count)
        job->started = job->count;
    if (job->supervisor->dry || job->supervisor->adopting)
        return;
    if (job->set && (slots_add(&job->set->slots, more) < 0))
        log_warn("no memory for the places of %u engines", more);
    if (job->set)
        slots_drop(&job->set->slots, fewer);
    if (supervisor_stops(job))
        go_on_stopping(job);
    else if (job->set)
        set_resized(job->set);
}

/* Between start() and its note the launcher is not asked. */
static void job_status(void *context, const char *text)
{
    struct supervised_job *job = context;
    struct supervisor *supervisor = job->supervisor;
    char status[STATE_TEXT_BYTES];
    snprintf(status, sizeof(status), "%s", text);
    bool news = strcmp(job->saved->status, status) != 0;
    job->answered = true;
    strcpy(job->saved->status, status);
    if (!supervisor->adopting && job->noted)
        supervisor_save(supervisor, supervisor->state.phase);
    if (supervisor->adopting)
        return;
    if (news && *text && !supervisor_stops(job))
        progress_say(supervisor_progress_of(job), "%s: %s", job->choice.class->name, text);
    if (job->set)
        supervisor_look_up(job->set);
}

static void job_warned(void *context, const char *text)
{
    struct supervised_job *job = context;
    progress_fail(supervisor_progress_of(job), "%s: %s", job->choice.class->name, text);
}

const struct supervisor_hooks supervisor_hooks = {
    .job = {.started = job_started,
            .status = job_status,
            .stopped = job_stopped,
            .explained = job_explained,
            .waiting = job_waiting,
            .resized = job_resized,
            .warned = job_warned},
    .set_up = supervisor_up,
    .set_failed = supervisor_stop,
    .set_ended = supervisor_go_on_stopping,
    .engines_left = supervisor_look_for_engines,
};
