/* What the supervisor makes of what its hub says: engines that come and go, and a controller that
 * ends. */
#include "cluster/supervisor/supervisor_private.h"

#include <string.h>

#include "base/clock.h"

/* Whether the engines of the start ended with an error within that time of their registration. */
static bool ended_early(const struct supervisor *supervisor, long long seconds)
{
    bool any = false;
    for (const struct engine_set *set = supervisor->sets; set; set = set->next)
        any = any ||
              (!set->joined && set->job.status != 0 && clock_ms() - set->phase_ms < 1000 * seconds);
    return any;
}

/* No engine is left, from this start or any other. Engines that cannot work end early, and without
 * a request. If they have got requests, these are the reason. */
static void cluster_emptied(struct supervisor *supervisor)
{
    long long seconds =
        settings_int(supervisor->cluster->settings, "IPClusterEngines", "early_shutdown");
    char words[PATH_BYTES];
    cluster_words(supervisor->cluster, words, sizeof(words));
    if (ended_early(supervisor, seconds) && !hub_watch_worked(supervisor->hub)) {
        progress_fail(supervisor->progress,
                      "All engines ended within %lld seconds of their registration, before any "
                      "request: the cluster is stopped (--IPClusterEngines.early_shutdown=0 lets "
                      "the controller run on)",
                      seconds);
        supervisor_stop(supervisor, EXIT_ENGINES_FAILED);
    } else {
        progress_say(
            supervisor->progress,
            "All engines have ended; the controller runs on. Add engines with: ipcluster engines%s",
            words);
    }
}

/* Whether a set has joined, or is for another's controller, and has no engine left. */
static bool is_done(const struct engine_set *set)
{
    return (set->joined || !set->job.supervisor->own_controller) && set->phase == SET_UP &&
           set->job.launcher && set->job.running == 0 && !slots_hope(&set->slots) &&
           !supervisor_may_grow(set);
}

/* The controller stays as long as there is an engine, also one that others started. */
void supervisor_look_for_engines(struct supervisor *supervisor)
{
    bool was_empty = supervisor->empty;
    for (struct engine_set *set = supervisor->sets; set; set = set->next) {
        if (!is_done(set))
            continue;
        progress_say(set->progress, "All engines have ended");
        supervisor_give_up(set, set->job.status ? EXIT_CLUSTER_DIED : EXIT_FINE);
    }
    if (supervisor->phase != PHASE_UP || !supervisor->own_controller)
        return;
    supervisor->empty = supervisor_running(supervisor) == 0 && !supervisor_hopes(supervisor) &&
                        hub_watch_count(supervisor->hub, NULL, 0) == 0;
    if (supervisor->empty && !was_empty)
        cluster_emptied(supervisor);
}

/* The controller says that it ends, or has gone. One of our own that has gone is its launcher's to
 * tell. */
static void controller_ends(struct supervisor *supervisor, enum hub_presence presence)
{
    bool up = supervisor->phase == PHASE_UP;
    if (supervisor->own_controller && presence == HUB_LOST)
        return;
    if (presence == HUB_ENDING)
        progress_say(supervisor->progress, "The controller was told to end: the engines are "
                                           "stopped too");
    else
        progress_fail(supervisor->progress, "The controller has ended: its engines are stopped");
    supervisor_stop(supervisor, up && presence == HUB_ENDING ? EXIT_FINE
                                : up                         ? EXIT_CLUSTER_DIED
                                : supervisor->own_controller ? EXIT_CONTROLLER_FAILED
                                                             : EXIT_NO_CONTROLLER);
}

static void tell_up(struct supervisor *supervisor)
{
    const char *ctrl_c = supervisor->daemon->report ? "" : "Ctrl-C or ";
    const struct engine_set *set = supervisor->sets; /* that of the start comes first */
    char words[PATH_BYTES];
    cluster_words(supervisor->cluster, words, sizeof(words));
    if (set->arrived < set->job.count)
        progress_say(supervisor->progress,
                     "The cluster is up with %u of %u engine%s, and waits for the others. Stop "
                     "it with %sipcluster stop%s",
                     set->arrived, set->job.count, set->job.count == 1 ? "" : "s", ctrl_c, words);
    else
        progress_say(supervisor->progress, "The cluster is up. Stop it with %sipcluster stop%s",
                     ctrl_c, words);
}

void supervisor_up(struct supervisor *supervisor)
{
    supervisor_phase(supervisor, PHASE_UP);
    supervisor->empty = supervisor_asked(supervisor) == 0;
    supervisor_save(supervisor, "running");
    if (supervisor->own_controller)
        tell_up(supervisor);
    if (supervisor->daemon->report) {
        daemon_report(supervisor->daemon, EXIT_FINE);
        progress_init(supervisor->progress, stdout, stderr, false, supervisor->progress->quiet);
    }
}

void supervisor_hub_changed(struct supervisor *supervisor)
{
    enum hub_presence presence = hub_watch_presence(supervisor->hub);
    for (struct engine_set *set = supervisor->sets; set; set = set->next)
        supervisor_note_engines(set);
    supervisor_see_engines(supervisor);
    if (supervisor->phase > PHASE_UP) {
        supervisor_go_on_stopping(supervisor);
    } else if (presence != HUB_THERE) {
        controller_ends(supervisor, presence);
    } else if (supervisor->phase == PHASE_DELAY && !supervisor->own_controller) {
        supervisor_start_engines(supervisor);
    } else {
        supervisor_look_for_engines(supervisor);
        for (struct engine_set *set = supervisor->sets; set; set = set->next)
            supervisor_look_up(set);
        supervisor_adapt(supervisor);
    }
}

static void hub_changed(void *context, struct hub_watch *hub)
{
    (void)hub;
    supervisor_hub_changed(context);
}

static void engine_gone(void *context, const char *engine_set, const char *job)
{
    const struct supervisor *supervisor = context;
    for (const struct engine_set *set = supervisor->sets; set && *job; set = set->next)
        if (set->job.launcher && strcmp(set->saved->name, engine_set) == 0)
            instances_look(set->job.launcher, job);
}

static json_t *explained_sets(void *context)
{
    const struct supervisor *supervisor = context;
    json_t *sets = json_array();
    for (const struct engine_set *set = supervisor->sets; set; set = set->next)
        if (set->job.launcher && set->job.choice.system && !supervisor_stops(&set->job))
            json_array_append_new(sets, json_string(set->saved->name));
    return sets;
}

static void engine_stays(void *context, const char *uuid)
{
    supervisor_engine_stays(context, uuid);
}

int supervisor_watch_hub(struct supervisor *supervisor, struct ipcl_error *error)
{
    const struct hub_watch_events events = {.changed = hub_changed,
                                            .gone = engine_gone,
                                            .explains = explained_sets,
                                            .stays = engine_stays,
                                            .context = supervisor};
    supervisor->hub = hub_watch_create(&supervisor->loop, supervisor->cluster->registry,
                                       supervisor->client_file, &events, error);
    return supervisor->hub ? 0 : -1;
}
