/* What the supervisor makes of engines that register, and of what ends by itself. */
#include "cluster/supervisor_internal.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "cluster/logs.h"

#define TAIL_LINES 20

void supervisor_show_tail(struct supervisor *supervisor, const struct job *job, unsigned index)
{
    char path[PATH_BYTES];
    if (!job->launcher || instances_output(job->launcher, index, path, sizeof(path)) < 0)
        return;
    if (!logs_tail(path, TAIL_LINES, supervisor->progress->errors))
        progress_fail(supervisor->progress, "Its output file %s is empty.", path);
}

/* Says which copies ended, how, and what they said last. */
static void tell_end(struct supervisor *supervisor, const struct job *job, unsigned index,
                     int status, const char *reason, const char *when)
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
    progress_fail(supervisor->progress, "%s ended with status %d%s%s%s%s", what, status,
                  *when ? " " : "", when, reason ? ": " : "", reason ? reason : "");
    supervisor_show_tail(supervisor, job, index == IPCL_ALL_COPIES ? 0 : index);
}

static bool ended_with_error(const struct supervisor *supervisor)
{
    bool any = false;
    for (const struct engine_set *set = supervisor->sets; set; set = set->next)
        any = any || set->job.status != 0;
    return any;
}

/* No engine is left, neither of this start nor of any other. Those that could not work end early,
 * and without having been asked anything; where they worked, the reason is what they were asked. */
static void cluster_emptied(struct supervisor *supervisor)
{
    long long seconds =
        settings_int(supervisor->cluster->settings, "IPClusterEngines", "early_shutdown");
    bool early = clock_ms() - supervisor->phase_ms < 1000 * seconds;
    char words[PATH_BYTES];
    cluster_words(supervisor->cluster, words, sizeof(words));
    if (early && ended_with_error(supervisor) && !hub_watch_worked(supervisor->hub)) {
        progress_fail(supervisor->progress,
                      "All engines ended within %lld seconds of their registration, and nobody had "
                      "asked anything of them: the cluster is stopped "
                      "(--IPClusterEngines.early_shutdown=0 lets the controller run on)",
                      seconds);
        supervisor_stop(supervisor, EXIT_ENGINES_FAILED);
    } else {
        progress_say(
            supervisor->progress,
            "All engines have ended; the controller runs on. Add engines with: ipcluster engines%s",
            words);
    }
}

/* Engines have come or gone while the cluster is up. As long as any works the controller stays,
 * whoever started it. */
static void look_for_engines(struct supervisor *supervisor)
{
    bool was_empty = supervisor->empty;
    if (supervisor_running(supervisor) > 0 || supervisor_hopes(supervisor) ||
        !supervisor->own_controller)
        return;
    supervisor->empty = hub_watch_count(supervisor->hub, NULL) == 0;
    if (supervisor->empty && !was_empty)
        cluster_emptied(supervisor);
}

void supervisor_look_for_engines(struct supervisor *supervisor)
{
    if (supervisor->phase != PHASE_UP)
        return;
    look_for_engines(supervisor);
    if (supervisor->own_controller || supervisor_running(supervisor) > 0 ||
        supervisor_hopes(supervisor))
        return;
    progress_say(supervisor->progress, "All engines have ended");
    supervisor_stop(supervisor, ended_with_error(supervisor) ? EXIT_CLUSTER_DIED : EXIT_FINE);
}

/* The controller says that it ends, or has gone. One of our own that has gone is its launcher's to
 * tell. */
static void controller_ends(struct supervisor *supervisor, enum hub_presence presence)
{
    bool up = supervisor->phase == PHASE_UP;
    if (supervisor->own_controller && presence == HUB_LOST)
        return;
    if (presence == HUB_ENDING)
        progress_say(supervisor->progress, "The controller was told to end: so do the engines");
    else
        progress_fail(supervisor->progress, "The controller has gone: its engines are stopped");
    supervisor_stop(supervisor, up && presence == HUB_ENDING ? EXIT_FINE
                                : up                         ? EXIT_CLUSTER_DIED
                                : supervisor->own_controller ? EXIT_CONTROLLER_FAILED
                                                             : EXIT_NO_CONTROLLER);
}

void supervisor_job_ended(struct supervisor *supervisor, struct job *job, unsigned index,
                          int status, const char *reason)
{
    bool up = supervisor->phase == PHASE_UP;
    if (!job->set) {
        if (up && status == 0) {
            progress_say(supervisor->progress, "The controller has ended");
            supervisor_stop(supervisor, EXIT_FINE);
            return;
        }
        tell_end(supervisor, job, index, status, reason, up ? "" : "before the cluster was up");
        supervisor_stop(supervisor, up ? EXIT_CLUSTER_DIED : EXIT_CONTROLLER_FAILED);
    } else if (!up && job->running > 0 && instances_go_on(job->launcher)) {
        tell_end(supervisor, job, index, status, reason, "before all engines had registered");
        job->count--;
        job->started--;
        supervisor_job_resized(supervisor, job);
    } else if (!up || (job->running == 0 && job->set->registered == 0)) {
        tell_end(supervisor, job, index, status, reason,
                 up ? "before any engine had registered" : "before all engines had registered");
        supervisor_stop(supervisor, EXIT_ENGINES_FAILED);
    } else {
        if (status != 0)
            tell_end(supervisor, job, index, status, reason, "");
        supervisor_save(supervisor, "running");
        supervisor_look_for_engines(supervisor);
    }
}

/* How many of the engines of all sets have come. */
static unsigned all_arrived(const struct supervisor *supervisor)
{
    unsigned arrived = 0;
    for (const struct engine_set *set = supervisor->sets; set; set = set->next)
        arrived += set->arrived;
    return arrived;
}

/* As far as its engines are up. */
static void tell_up(struct supervisor *supervisor)
{
    unsigned count = supervisor_asked(supervisor), arrived = all_arrived(supervisor);
    const char *ctrl_c = supervisor->daemon->report ? "" : "Ctrl-C or ";
    char words[PATH_BYTES], some[48] = "";
    cluster_words(supervisor->cluster, words, sizeof(words));
    if (arrived < count)
        snprintf(some, sizeof(some), "%u of ", arrived);
    if (!supervisor->own_controller)
        progress_say(supervisor->progress, "%s%u more engine%s up%s", some, count,
                     count == 1 ? " is" : "s are",
                     supervisor->daemon->report ? "" : ". Stop them with Ctrl-C");
    else if (*some)
        progress_say(supervisor->progress,
                     "The cluster is up with %s%u engine%s, and goes on waiting for the others. "
                     "Stop it with %sipcluster stop%s",
                     some, count, count == 1 ? "" : "s", ctrl_c, words);
    else
        progress_say(supervisor->progress, "The cluster is up. Stop it with %sipcluster stop%s",
                     ctrl_c, words);
}

static void cluster_up(struct supervisor *supervisor)
{
    supervisor_phase(supervisor, PHASE_UP);
    supervisor->empty = supervisor_asked(supervisor) == 0;
    if (all_arrived(supervisor) >= supervisor_asked(supervisor))
        uv_timer_stop(&supervisor->timer);
    supervisor_save(supervisor, "running");
    tell_up(supervisor);
    if (supervisor->daemon->report) {
        daemon_report(supervisor->daemon, EXIT_FINE);
        progress_init(supervisor->progress, stdout, stderr, false, supervisor->progress->quiet);
    }
}

/* How many of the engines that were started are registered now. */
static unsigned registered(const struct supervisor *supervisor)
{
    return supervisor->own_controller ? hub_watch_count(supervisor->hub, NULL)
                                      : hub_watch_arrived(supervisor->hub);
}

/* Whether a set's start is done: enough engines of it have registered, or none has to and they are
 * on their way. */
static bool is_up(const struct supervisor *supervisor, const struct engine_set *set)
{
    const struct job *job = &set->job;
    unsigned needed = set->minimum < job->count ? set->minimum : job->count;
    bool begun = job->count == 0 || (job->noted && instances_submitted(job->launcher));
    return begun && registered(supervisor) >= needed;
}

void supervisor_look_up(struct supervisor *supervisor)
{
    bool up = supervisor->phase == PHASE_REGISTRATION;
    for (const struct engine_set *set = supervisor->sets; set; set = set->next)
        up = up && is_up(supervisor, set);
    if (up)
        cluster_up(supervisor);
}

/* The first of a set's engines whose output is not that of one that has registered. Where each has
 * a file of its own, it is named for the process. */
static unsigned find_missing(const struct supervisor *supervisor, const struct job *job)
{
    char path[PATH_BYTES];
    for (unsigned i = 0; job->launcher && i < job->count; i++) {
        const char *dash =
            instances_output(job->launcher, i, path, sizeof(path)) < 0 ? NULL : strrchr(path, '-');
        if (dash && !hub_watch_knows(supervisor->hub, atoll(dash + 1)))
            return i;
    }
    return 0;
}

/* Says once why the controller lets an engine not in. */
static void tell_refusal(struct supervisor *supervisor)
{
    const char *refusal = hub_watch_refusal(supervisor->hub);
    if (!*refusal || strcmp(refusal, supervisor->refusal) == 0)
        return;
    snprintf(supervisor->refusal, sizeof(supervisor->refusal), "%s", refusal);
    progress_fail(supervisor->progress, "The controller refuses an engine: %s", refusal);
}

/* Nobody waits for those that do not come where some have: the cluster works with these. None is
 * given up that may wait in a queue, as those of an array do, of which others run. */
static bool goes_without(const struct supervisor *supervisor, const struct engine_set *set)
{
    return set->arrived > 0 && (supervisor->phase == PHASE_UP || supervisor_queues(&set->job));
}

/* Engines that were started have not registered in time. */
static void engines_late(struct supervisor *supervisor, struct engine_set *set, long long seconds)
{
    bool given_up = !goes_without(supervisor, set);
    if (set->late)
        return;
    set->late = true;
    progress_fail(
        supervisor->progress,
        "No further engine has registered for %lld seconds%s (Cluster.engine_timeout)", seconds,
        given_up ? "; the cluster is given up" : ", and those that are missing may come later");
    supervisor_show_tail(supervisor, &set->job, find_missing(supervisor, &set->job));
    if (given_up)
        supervisor_stop(supervisor, EXIT_ENGINES_FAILED);
}

/* Once a second while engines are awaited. */
static void registration_tick(uv_timer_t *timer)
{
    struct supervisor *supervisor = timer->data;
    int64_t seconds = settings_int(supervisor->cluster->settings, "Cluster", "engine_timeout");
    bool starting = false;
    tell_refusal(supervisor);
    /* A launcher that starts engines one after the other knows more of them now. */
    for (const struct engine_set *set = supervisor->sets; set; set = set->next)
        starting = starting || set->job.started < set->job.count;
    if (starting)
        supervisor_save(supervisor, supervisor->state.phase);
    for (struct engine_set *set = supervisor->sets; set; set = set->next)
        if (set->arrived < set->job.started && clock_ms() - supervisor->phase_ms >= 1000 * seconds)
            engines_late(supervisor, set, seconds);
}

void supervisor_await_engines(struct supervisor *supervisor)
{
    uv_timer_start(&supervisor->timer, registration_tick, 1000, 1000);
}

/* Notes how many of those that are awaited have come. */
static void note_arrivals(struct supervisor *supervisor, struct engine_set *set)
{
    unsigned count = registered(supervisor);
    if (set->arrived >= set->job.count)
        return;
    if (count > set->arrived) {
        set->arrived = count;
        supervisor->phase_ms = clock_ms();
        set->late = false;
    }
    progress_engines(supervisor->progress, count, set->job.count);
    if (all_arrived(supervisor) >= supervisor_asked(supervisor))
        uv_timer_stop(&supervisor->timer);
}

/* Notes how many there are of those that end with a set. */
static void note_presence(struct supervisor *supervisor, struct engine_set *set)
{
    unsigned ours =
        hub_watch_count(supervisor->hub, supervisor->own_controller ? NULL : set->saved->name);
    if (ours > set->registered)
        set->registered = ours;
    /* Whoever asks why one has gone is told soon. */
    if (ours < set->present && set->job.launcher)
        instances_look(set->job.launcher);
    set->present = ours;
}

static void hub_changed(void *context, struct hub_watch *hub)
{
    struct supervisor *supervisor = context;
    for (struct engine_set *set = supervisor->sets; set; set = set->next)
        note_presence(supervisor, set);
    supervisor_see_engines(supervisor);
    if (supervisor->phase > PHASE_UP) {
        supervisor_go_on_stopping(supervisor);
    } else if (hub_watch_presence(hub) != HUB_THERE) {
        controller_ends(supervisor, hub_watch_presence(hub));
    } else if (supervisor->phase == PHASE_DELAY && !supervisor->own_controller) {
        supervisor_start_engines(supervisor);
    } else if (supervisor->phase >= PHASE_REGISTRATION) {
        for (struct engine_set *set = supervisor->sets; set; set = set->next)
            note_arrivals(supervisor, set);
        if (supervisor->phase == PHASE_UP)
            look_for_engines(supervisor);
        supervisor_look_up(supervisor);
    }
}

void supervisor_job_resized(struct supervisor *supervisor, struct job *job)
{
    if (!job->set)
        return;
    job->set->saved->n = job->count;
    if (supervisor->phase < PHASE_REGISTRATION)
        return;
    if (job->count > 0) {
        hub_changed(supervisor, supervisor->hub);
        return;
    }
    progress_fail(supervisor->progress, "No engine can be started");
    supervisor_stop(supervisor, EXIT_ENGINES_FAILED);
}

int supervisor_watch_hub(struct supervisor *supervisor, struct ipcl_error *error)
{
    struct hub_watch_events events = {hub_changed, supervisor};
    supervisor->hub = hub_watch_create(&supervisor->loop, supervisor->cluster->registry,
                                       supervisor->client_file, &events, error);
    return supervisor->hub ? 0 : -1;
}
