/* The life of a set of engines: it is started, comes up, and is stopped.
 *
 * There is one order of stopping. First engines are asked over the wire: so also engines that run
 * user code finish MPI and leave by themselves. Engines that have got the request have the time
 * that an engine may take (base/ending.h). What then remains is signalled by its launcher, and
 * killed. */
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/ending.h"
#include "base/log.h"
#include "cluster/supervisor/pythons.h"
#include "cluster/supervisor/supervisor_private.h"

#define LOOK_AGAIN_MS 200 /* how often it is looked whether time is over */

static void set_phase(struct engine_set *set, enum set_phase phase)
{
    set->phase = phase;
    set->phase_ms = clock_ms();
}

struct engine_set *supervisor_add_set(struct supervisor *supervisor, struct state_set *saved,
                                      struct ipcl_error *error)
{
    struct engine_set **link = &supervisor->sets, *set = calloc(1, sizeof(*set));
    if (!set) {
        ipcl_error_set(error, "no memory for a set of engines");
        return NULL;
    }
    set->saved = saved;
    set->cluster = supervisor->cluster;
    set->progress = supervisor->progress;
    set->job = (struct supervised_job){
        .supervisor = supervisor, .set = set, .saved = &saved->job, .count = saved->n};
    uv_timer_init(&supervisor->loop, &set->timer);
    set->timer.data = set;
    while (*link)
        link = &(*link)->next;
    *link = set;
    return set;
}

static void free_set(uv_handle_t *timer)
{
    struct engine_set *set = timer->data;
    supervisor_free_joined(set->joined);
    free(set);
}

void supervisor_forget_set(struct engine_set *set)
{
    struct engine_set **link = &set->job.supervisor->sets;
    while (*link != set)
        link = &(*link)->next;
    *link = set->next;
    instances_destroy(set->job.launcher);
    slots_release(&set->slots);
    uv_close((uv_handle_t *)&set->timer, free_set);
}

/* How often its engines come back. Returns 0 or -1 with `error` set. */
static int choose_returns(struct engine_set *set, struct ipcl_error *error)
{
    int64_t most = settings_int(set->cluster->settings, "Cluster", "restart");
    if (most < 0 || most > INT_MAX)
        return ipcl_error_set(error, "--restart: %lld is not a number of restarts",
                              (long long)most);
    set->slots.returns_max = (unsigned)most;
    return most > 0 ? supervisor_can_restart(&set->job, error) : 0;
}

int supervisor_choose(struct engine_set *set, struct ipcl_error *error)
{
    struct cluster *cluster = set->cluster;
    if (cluster_engine_count(cluster, &set->saved->n, error) < 0 ||
        launchers_find(cluster->launchers, IPCL_ROLE_ENGINES,
                       cluster_launcher_name(cluster, IPCL_ROLE_ENGINES), &set->job.choice,
                       error) < 0)
        return -1;
    if (supervisor_choose_bounds(set, error) < 0)
        return -1;
    set->job.count = set->saved->n;
    if (set->saved->n == 0 && !set->elastic.on &&
        (set->joined || !set->job.supervisor->own_controller))
        return ipcl_error_set(error,
                              "a set needs at least one engine: give a number, as in ipcluster "
                              "engines --n=2");
    return cluster_engine_minimum(cluster, supervisor_queues(&set->job), &set->minimum, error) < 0
               ? -1
               : choose_returns(set, error);
}

void supervisor_give_up(struct engine_set *set, int exit_code)
{
    if (set->joined)
        supervisor_stop_set(set, exit_code);
    else
        set->job.supervisor->hooks->set_failed(set->job.supervisor, exit_code);
}

/* Starting */

/* The index of the first engine that has not registered, as far as output files tell: if each
 * engine has its own file, the file's name has its process number. */
static unsigned find_missing(const struct engine_set *set)
{
    const struct supervised_job *job = &set->job;
    char path[PATH_BYTES];
    for (unsigned i = 0; job->launcher && i < job->count; i++) {
        const char *dash =
            instances_output(job->launcher, i, path, sizeof(path)) < 0 ? NULL : strrchr(path, '-');
        if (dash && !hub_watch_knows(job->supervisor->hub, atoll(dash + 1)))
            return i;
    }
    return 0;
}

/* Says once why the controller lets an engine not in. */
static void tell_refusal(struct engine_set *set)
{
    const char *refusal = hub_watch_refusal(set->job.supervisor->hub);
    if (!*refusal || strcmp(refusal, set->refusal) == 0)
        return;
    snprintf(set->refusal, sizeof(set->refusal), "%s", refusal);
    progress_fail(set->progress, "The controller refuses an engine: %s", refusal);
}

/* Started engines have not registered in time. If some have, nobody waits for the others: the
 * cluster works without them. Engines that may wait in a queue, such as elements of an array, are
 * not given up. */
static void engines_late(struct engine_set *set, long long seconds)
{
    bool without = set->arrived > 0 && (set->phase == SET_UP || supervisor_queues(&set->job));
    const char *what = set->joined || !set->job.supervisor->own_controller ? "set" : "cluster";
    if (set->late)
        return;
    set->late = true;
    progress_fail(set->progress,
                  "No further engine has registered for %lld seconds%s%s%s "
                  "(Cluster.engine_timeout)",
                  seconds, without ? "; the missing ones may still come" : "; the ",
                  without ? "" : what, without ? "" : " is given up");
    supervisor_show_tail(&set->job, find_missing(set), false);
    if (!without)
        supervisor_give_up(set, EXIT_ENGINES_FAILED);
}

/* How many of its engines are registered. Not every engine names its set: ipyparallel's name none,
 * and engines of an ipcluster that the launcher has started name a set of that ipcluster. So all
 * engines count that have come since and are of no other set of ours. */
static unsigned registered(const struct engine_set *set)
{
    const struct supervisor *supervisor = set->job.supervisor;
    unsigned count = hub_watch_count(supervisor->hub, NULL, set->since);
    for (const struct engine_set *other = supervisor->sets; other; other = other->next)
        if (other != set)
            count -= hub_watch_count(supervisor->hub, other->saved->name, set->since);
    return count;
}

/* Once a second while engines are awaited. */
static void await_engines(uv_timer_t *timer)
{
    struct engine_set *set = timer->data;
    struct supervisor *supervisor = set->job.supervisor;
    int64_t seconds = settings_int(set->cluster->settings, "Cluster", "engine_timeout");
    tell_refusal(set);
    /* A launcher that starts engines one after the other knows more of them now. */
    if (set->job.started < set->job.count)
        supervisor_save(supervisor, supervisor->state.phase);
    /* Of one that has left, its launcher soon says that it has ended. */
    long long since_ms = set->left_ms > set->phase_ms ? set->left_ms : set->phase_ms;
    if (registered(set) < supervisor_at_work(&set->job) && clock_ms() - since_ms >= 1000 * seconds)
        engines_late(set, seconds);
}

void supervisor_start_set(struct engine_set *set)
{
    struct supervised_job *job = &set->job;
    struct supervisor *supervisor = job->supervisor;
    struct ipcl_error error;
    set_phase(set, SET_STARTING);
    if (set->joined || !supervisor->own_controller)
        set->since = hub_watch_mark(supervisor->hub);
    if (job->count > 0) {
        progress_say(set->progress, "Starting %u engine%s with %s", job->count,
                     job->count == 1 ? "" : "s", job->choice.class->name);
        progress_engines(set->progress, 0, job->count);
        uv_timer_start(&set->timer, await_engines, 1000, 1000);
        int outcome = slots_add(&set->slots, job->count);
        if (outcome < 0)
            ipcl_error_set(&error, "no memory for the places of %u engines", job->count);
        else
            outcome = supervisor_start_job(supervisor, job, job->count, "", &error);
        if (outcome < 0) {
            progress_fail(set->progress, "The engines cannot be started: %s", error.text);
            supervisor_give_up(set, EXIT_ENGINES_FAILED);
            return;
        }
    }
    supervisor_look_up(set);
}

void supervisor_start_engines(struct supervisor *supervisor)
{
    supervisor_phase(supervisor, PHASE_REGISTRATION);
    uv_timer_stop(&supervisor->timer);
    for (struct engine_set *set = supervisor->sets; set; set = set->next)
        if (set->phase == SET_WAITING)
            supervisor_start_set(set);
}

static void set_up(struct engine_set *set)
{
    struct supervisor *supervisor = set->job.supervisor;
    unsigned count = set->job.count;
    bool followed = set->joined ? supervisor_is_followed(set) : !supervisor->daemon->report;
    char some[48] = "";
    set_phase(set, SET_UP);
    if (set->arrived >= count)
        uv_timer_stop(&set->timer);
    else
        snprintf(some, sizeof(some), "%u of ", set->arrived);
    pythons_say(set->progress, supervisor->hub, set->saved->name);
    if (set->elastic.on)
        progress_say(set->progress,
                     "The set has %u to %u engines, as there is work (ipcluster status)",
                     set->elastic.n_min, set->elastic.n_max);
    else if (set->joined || !supervisor->own_controller)
        progress_say(set->progress, "%s%u more engine%s up%s", some, count,
                     count == 1 ? " is" : "s are", followed ? ". Stop them with Ctrl-C" : "");
    if (set->joined)
        supervisor_save(supervisor, supervisor->state.phase);
    else
        supervisor->hooks->set_up(supervisor);
    supervisor_tell_up(set->joined);
}

void supervisor_look_up(struct engine_set *set)
{
    const struct supervised_job *job = &set->job;
    unsigned needed = set->minimum < job->count ? set->minimum : job->count;
    bool begun = job->count == 0 || (job->noted && instances_submitted(job->launcher));
    if (set->phase == SET_STARTING && begun && registered(set) >= needed)
        set_up(set);
}

/* Shows how many of those that are awaited have come. */
static void note_arrivals(struct engine_set *set)
{
    unsigned count = registered(set), all = set->job.count;
    if (set->arrived >= all)
        return;
    if (count > set->arrived) {
        set->arrived = count;
        set->phase_ms = clock_ms();
        set->late = false;
    }
    progress_engines(set->progress, count, all);
    if (set->arrived >= all)
        uv_timer_stop(&set->timer);
}

/* How many are registered of those that end with it. */
static unsigned count_present(const struct engine_set *set)
{
    const struct supervisor *supervisor = set->job.supervisor;
    return set->joined || !supervisor->own_controller
               ? hub_watch_count(supervisor->hub, set->saved->name, 0)
               : registered(set);
}

void supervisor_note_engines(struct engine_set *set)
{
    unsigned now = count_present(set);
    if (now > set->registered)
        set->registered = now;
    if (now < set->present)
        set->left_ms = clock_ms();
    set->present = now;
    if (set->phase == SET_STARTING || set->phase == SET_UP)
        note_arrivals(set);
    else if (set->phase >= SET_ASKED)
        supervisor_go_on_stopping_set(set);
}

/* Stopping */

/* The set is removed later, because its launcher is calling us now, or will. It also stays until
 * the hub has noticed that its engines have ended: a set that is being started would count them as
 * its own. */
static void leave(uv_timer_t *timer)
{
    struct engine_set *set = timer->data;
    struct supervisor *supervisor = set->job.supervisor;
    if (supervisor->phase > PHASE_UP)
        return; /* with all others, whose state may have been removed */
    if (hub_watch_count(supervisor->hub, set->saved->name, 0) > 0 &&
        clock_ms() - set->phase_ms < HEARD_MS) {
        uv_timer_start(timer, leave, LOOK_AGAIN_MS, 0);
        return;
    }
    supervisor_tell_end(set->joined, set->exit_code);
    state_remove_set(&supervisor->state, set->saved);
    supervisor_forget_set(set);
    supervisor_save(supervisor, supervisor->state.phase);
    supervisor->hooks->engines_left(supervisor);
}

static void set_ended(struct engine_set *set)
{
    struct supervisor *supervisor = set->job.supervisor;
    set_phase(set, SET_ENDED);
    uv_timer_stop(&set->timer);
    if (supervisor->phase <= PHASE_UP && set->job.running == 0) {
        uv_timer_start(&set->timer, leave, 0, 0);
        return;
    }
    supervisor_tell_end(set->joined, set->exit_code);
    if (supervisor->phase > PHASE_UP)
        supervisor->hooks->set_ended(supervisor);
}

static void not_ended_yet(uv_timer_t *timer)
{
    struct engine_set *set = timer->data;
    if (supervisor_job_late(&set->job, set->phase_ms))
        return;
    set->exit_code = EXIT_NOT_STOPPED;
    set_ended(set);
}

static void stop_by_launcher(struct engine_set *set)
{
    struct ipcl_error error;
    set_phase(set, SET_STOPPING);
    uv_timer_start(&set->timer, not_ended_yet, supervisor_stopping_ms(&set->job), KILLED_MS);
    if (instances_stop(set->job.launcher, &error) < 0)
        log_warn("stopping the engines: %s", error.text);
}

/* How long engines that are asked may take: their full time if all running ones have left the hub,
 * less if one may not have heard the request, and none if none can be asked. */
static long long time_to_end(const struct engine_set *set, unsigned left, bool reachable)
{
    unsigned running = set->job.running;
    if (running > 0 && left == 0 && set->registered >= running)
        return ENDING_AWAITED_MS;
    bool some = set->registered > 0 || !hub_watch_answered(set->job.supervisor->hub);
    return reachable && some ? HEARD_MS : 0;
}

/* Asks the registered engines to end, and goes on when they have, or there is nothing to wait
 * for. */
static void ask_set(struct engine_set *set)
{
    struct supervisor *supervisor = set->job.supervisor;
    bool reachable = supervisor->own_controller
                         ? supervisor->hub && supervisor->controller.running > 0
                         : hub_watch_presence(supervisor->hub) != HUB_LOST;
    if (reachable)
        hub_watch_end_engines(supervisor->hub, set->saved->name);
    unsigned left = count_present(set);
    bool late = clock_ms() - set->phase_ms >= time_to_end(set, left, reachable);
    if (set->job.running == 0 && (left == 0 || late))
        set_ended(set);
    else if (late)
        stop_by_launcher(set);
}

void supervisor_go_on_stopping_set(struct engine_set *set)
{
    const struct supervisor *supervisor = set->job.supervisor;
    if (set->phase == SET_ASKED)
        ask_set(set);
    else if (set->phase == SET_STOPPING && set->job.running == 0)
        set_ended(set);
    else if (set->phase == SET_ENDED && set->job.running == 0 && supervisor->phase <= PHASE_UP)
        uv_timer_start(&set->timer, leave, 0, 0); /* it could not be ended at first */
}

static void look_again(uv_timer_t *timer)
{
    supervisor_go_on_stopping_set(timer->data);
}

void supervisor_stop_set(struct engine_set *set, int exit_code)
{
    unsigned running = set->job.running;
    if (set->phase >= SET_ASKED)
        return;
    set->exit_code = exit_code;
    if (running > 0 && set->joined)
        progress_say(set->progress, "Stopping %u engine%s", running, running == 1 ? "" : "s");
    set_phase(set, SET_ASKED);
    if (!set->job.launcher) {
        set_ended(set);
        return;
    }
    instances_look(set->job.launcher, NULL);
    uv_timer_start(&set->timer, look_again, LOOK_AGAIN_MS, LOOK_AGAIN_MS);
    ask_set(set);
}

void supervisor_hurry_set(struct engine_set *set)
{
    struct ipcl_error error;
    if (set->job.running == 0)
        return;
    if (set->phase == SET_ASKED)
        stop_by_launcher(set);
    instances_signal(set->job.launcher, SIGKILL, &error);
}
