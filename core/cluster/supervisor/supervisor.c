/* What a supervisor knows of its cluster, and saves for one that may follow it. */
#include "cluster/supervisor/supervisor_private.h"

#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "cluster/state/cluster_file.h"

bool supervisor_queues(const struct supervised_job *job)
{
    return job->choice.class->properties & IPCL_OUTLIVES_MACHINE;
}

unsigned supervisor_at_work(const struct supervised_job *job)
{
    unsigned ended = job->count - job->running;
    return job->started > ended ? job->started - ended : 0;
}

void supervisor_phase(struct supervisor *supervisor, enum phase phase)
{
    supervisor->phase = phase;
    supervisor->phase_ms = clock_ms();
}

int supervisor_note(struct supervised_job *job, struct ipcl_error *error)
{
    struct state_job *saved = job->saved;
    json_t *own = instances_to_json(job->launcher, error);
    if (!own)
        return -1;
    json_decref(saved->own);
    json_decref(saved->processes);
    snprintf(saved->class_name, sizeof(saved->class_name), "%s", job->choice.class->name);
    saved->own = own;
    saved->outlives = job->choice.class->properties & IPCL_OUTLIVES_MACHINE;
    saved->processes = instances_processes(job->launcher);
    job->noted = true;
    return 0;
}

static void note_again(struct supervised_job *job)
{
    struct ipcl_error error;
    if (job->noted && supervisor_note(job, &error) < 0)
        log_warn("%s", error.text);
}

void supervisor_save(struct supervisor *supervisor, const char *phase)
{
    struct ipcl_error error;
    if (phase != supervisor->state.phase)
        snprintf(supervisor->state.phase, sizeof(supervisor->state.phase), "%s", phase);
    note_again(&supervisor->controller);
    for (struct engine_set *set = supervisor->sets; set; set = set->next)
        note_again(&set->job);
    if (state_write(&supervisor->state, &error) < 0)
        log_warn("the cluster's state was not saved, so ipcluster stop may not find the cluster: "
                 "%s",
                 error.text);
    cluster_file_update(supervisor->state.profile_dir, supervisor->state.cluster_id);
}

bool supervisor_stops(const struct supervised_job *job)
{
    return job->set ? job->set->phase >= SET_ASKED : job->supervisor->phase > PHASE_UP;
}

unsigned supervisor_running(const struct supervisor *supervisor)
{
    unsigned running = 0;
    for (const struct engine_set *set = supervisor->sets; set; set = set->next)
        running += set->job.running;
    return running;
}

unsigned supervisor_asked(const struct supervisor *supervisor)
{
    unsigned asked = 0;
    for (const struct engine_set *set = supervisor->sets; set; set = set->next)
        asked += set->job.count;
    return asked;
}

struct progress *supervisor_progress_of(const struct supervised_job *job)
{
    return job->set ? job->set->progress : job->supervisor->progress;
}

struct engine_set *supervisor_find_set(const struct supervisor *supervisor, const char *name)
{
    struct engine_set *set = supervisor->sets;
    while (set && strcmp(set->saved->name, name) != 0)
        set = set->next;
    return set;
}
