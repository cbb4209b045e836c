/* The jobs of a supervisor: its controller, and the engines of each set. Their launchers, and how
 * they are started, found again and killed. */
#include "cluster/supervisor/supervisor_private.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "cluster/supervisor/logs.h"

#define TAIL_LINES    20
#define LAST_WORDS_MS 5000 /* a watcher takes a few, on a machine that is not busy */
#define STOPPING_MS                                                                                \
    30000 /* how long a launcher may take to end its copies, if it says no other time */

int supervisor_make(struct supervisor *supervisor, struct supervised_job *job,
                    struct ipcl_error *error)
{
    struct launcher_options options = {
        .loop = &supervisor->loop,
        .children = supervisor->children,
        .settings = (job->set ? job->set->cluster : supervisor->cluster)->settings,
        .plugin = job->choice.plugin,
        .class = job->choice.class,
        .system = job->choice.system,
        .system_settings = job->choice.system_settings,
        .place = job->set ? supervisor_workplace(job->set) : NULL,
        .dry = supervisor->dry ? supervisor->progress->stream : NULL,
    };
    struct instances_events events = supervisor->hooks->job;
    events.context = job;
    job->launcher = instances_create(&options, &events, error);
    return job->launcher ? 0 : -1;
}

/* sshproxy's launcher knows of no single engine. */
int supervisor_can_restart(const struct supervised_job *job, struct ipcl_error *error)
{
    if (!(job->choice.class->properties & IPCL_STARTS_ONCE))
        return 0;
    return ipcl_error_set(
        error,
        "%s starts all engines at once, and cannot start one of them again: stop them and add a "
        "set with ipcluster engines",
        job->choice.class->name);
}

/* Names output files for the cluster, the time, and the process that this was asked of: what is
 * started later has a later time. */
static void label_job(struct supervisor *supervisor, const struct supervised_job *job, char *label,
                      size_t size)
{
    const struct cluster *cluster = supervisor->cluster;
    long long now = (long long)clock_wall(), first = (long long)supervisor->state.started;
    char own[ENGINE_SET_BYTES];
    if (!job->launcher) {
        snprintf(own, sizeof(own), "%s",
                 job->set ? supervisor_label(job->set) : supervisor->state.label);
    } else {
        long long last = supervisor->labelled ? supervisor->labelled : first;
        supervisor->labelled = now > last ? now : last + 1;
        snprintf(own, sizeof(own), "%lld-%lld", supervisor->labelled,
                 (long long)supervisor->state.pid);
    }
    snprintf(label, size, "%s%s%s-%s", job->set ? "ipengine" : "ipcontroller",
             *cluster->cluster_id ? "-" : "", cluster->cluster_id, own);
}

int supervisor_start_job(struct supervisor *supervisor, struct supervised_job *job, unsigned count,
                         const char *ids, struct ipcl_error *error)
{
    const struct cluster *cluster = job->set ? job->set->cluster : supervisor->cluster;
    const struct workplace *place = job->set ? supervisor_workplace(job->set) : NULL;
    char label[STATE_TEXT_BYTES + 64], work_dir[PATH_BYTES];
    if (!place && !getcwd(work_dir, sizeof(work_dir)))
        return ipcl_error_set(error, "the folder that ipcluster was started in has gone");
    label_job(supervisor, job, label, sizeof(label));
    char **argv =
        cluster_argv(cluster, &job->choice, job->set ? job->set->saved->name : NULL, ids, error);
    if (!argv || (!job->launcher && supervisor_make(supervisor, job, error) < 0)) {
        cluster_free_argv(argv);
        return -1;
    }
    struct ipcl_launch launch = {
        .count = count,
        .argv = (const char *const *)argv,
        .work_dir = place ? place->folder : work_dir,
        .log_dir = cluster->profile.log,
        .label = label,
        .profile_dir = cluster->profile.dir,
        .cluster_id = cluster->cluster_id,
        .any_count = job->set && !job->noted && !job->set->elastic.on &&
                     !settings_given(cluster->settings, "Cluster", "n"),
    };
    unsigned running = job->running;
    job->running += count;
    int outcome = instances_start(job->launcher, &launch, error);
    if (supervisor->dry) {
        cluster_free_argv(argv);
        return outcome;
    }
    if (outcome < 0)
        job->running = running; /* it may have said that some have ended */
    else if (!job->noted && supervisor_note(job, error) < 0)
        outcome = -1;                /* what runs is stopped */
    else if (!supervisor_stops(job)) /* it may all have ended already */
        supervisor_save(supervisor, supervisor->state.phase);
    cluster_free_argv(argv);
    return outcome;
}

int supervisor_adopt(struct supervisor *supervisor, struct supervised_job *job,
                     struct ipcl_error *error)
{
    const struct state_job *saved = job->saved;
    enum ipcl_role role = job->set ? IPCL_ROLE_ENGINES : IPCL_ROLE_CONTROLLER;
    if (!saved->own || (!saved->outlives && !state_is_here(&supervisor->state)))
        return 0;
    supervisor->adopting = true;
    int outcome = launchers_find(supervisor->cluster->launchers, role, saved->class_name,
                                 &job->choice, error);
    if (outcome == 0)
        outcome = supervisor_make(supervisor, job, error);
    if (outcome == 0) {
        job->running = job->count = 0; /* it says how many there are */
        job->noted = instances_from_json(job->launcher, saved->own, error) == 0;
        if (!job->noted) {
            job->running = 0;
            outcome = state_process_left(saved) ? -1 : 0;
            log_debug("%s: %s", saved->class_name, error->text);
        }
    }
    supervisor->adopting = false;
    return outcome;
}

/* Whether copies that run write to the file, too: their watchers hold it as long as they do. */
static bool is_written_by_others(const struct supervised_job *job, unsigned index, const char *path)
{
    char other[PATH_BYTES];
    for (unsigned i = 0; job->running > 0 && i < instances_count(job->launcher); i++)
        if (i != index && instances_output(job->launcher, i, other, sizeof(other)) == 0 &&
            strcmp(path, other) == 0)
            return true;
    return false;
}

void supervisor_show_tail(const struct supervised_job *job, unsigned index, bool ended)
{
    struct progress *progress = supervisor_progress_of(job);
    char path[PATH_BYTES], *tail = NULL;
    size_t size;
    if (!job->launcher || instances_output(job->launcher, index, path, sizeof(path)) < 0)
        return;
    if (ended && !is_written_by_others(job, index, path))
        logs_await_end(path, LAST_WORDS_MS);
    FILE *stream = open_memstream(&tail, &size);
    bool some = stream && logs_tail(path, TAIL_LINES, stream);
    if (stream)
        fclose(stream);
    if (some)
        progress_fail(progress, "%.*s", (int)size - 1, tail); /* without its last newline */
    else
        progress_fail(progress, "Its output file %s is empty.", path);
    free(tail);
}

unsigned supervisor_stopping_ms(const struct supervised_job *job)
{
    unsigned stop_ms = instances_stop_ms(job->launcher);
    return stop_ms ? stop_ms : STOPPING_MS;
}

bool supervisor_job_late(struct supervised_job *job, long long since_ms)
{
    struct progress *progress = supervisor_progress_of(job);
    const char *what = job->set ? "engines" : "controller";
    struct ipcl_error error;
    if (clock_ms() - since_ms >= supervisor_stopping_ms(job) + KILLED_MS) {
        progress_fail(progress, "The %s cannot be ended, not even with SIGKILL: see ipcluster list",
                      what);
        return false;
    }
    progress_say(progress, "The %s ha%s not ended: killing", what, job->set ? "ve" : "s");
    instances_signal(job->launcher, SIGKILL, &error);
    return true;
}
