/* Sets that have joined a cluster, and messages to the program that asked for them. */
#include "cluster/supervisor/supervisor_joined.h"

#include <stdlib.h>

void supervisor_free_joined(struct joined *joined)
{
    if (!joined)
        return;
    cluster_close(&joined->cluster);
    workplace_release(&joined->place);
    workplace_free_list(joined->argv);
    free(joined);
}

const struct workplace *supervisor_workplace(const struct engine_set *set)
{
    return set->joined ? &set->joined->place : NULL;
}

const char *supervisor_label(const struct engine_set *set)
{
    return set->joined ? set->joined->label : set->job.supervisor->state.label;
}

static void tell_caller(void *context, json_t *line)
{
    struct joined *joined = context;
    control_tell(joined->caller, line, false);
}

/* Messages from now on are for the supervisor's own user. */
static void caller_gone(void *context)
{
    struct joined *joined = context;
    joined->caller = NULL;
    joined->set->progress = joined->set->job.supervisor->progress;
}

bool supervisor_is_followed(const struct engine_set *set)
{
    return set->joined && set->joined->caller &&
           !settings_bool(set->cluster->settings, "IPClusterEngines", "daemonize");
}

void supervisor_tell_up(const struct joined *joined)
{
    if (joined && joined->caller)
        control_tell(joined->caller, json_pack("{s:b}", "up", 1), false);
}

void supervisor_tell_end(struct joined *joined, int exit_code)
{
    if (!joined || !joined->caller)
        return;
    control_tell(joined->caller, json_pack("{s:i}", "ended", exit_code), true);
    caller_gone(joined);
}

void supervisor_tell_caller(struct joined *joined, struct caller *caller)
{
    joined->caller = caller;
    joined->progress = (struct progress){.tell = tell_caller, .context = joined};
    joined->set->progress = &joined->progress;
    control_keep(caller, caller_gone, joined);
}
