/* Submits batch jobs, one after the other. The state is saved before and after each. So a later
 * supervisor can find a job by its name if nobody saw the end of its submission. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "cluster/batch/batch_private.h"

#define FIND_S 15 /* how long to look for a job whose submission nobody saw end */

/* The job's id is known. */
static void submitted(struct batch_job *job)
{
    job->step = BATCH_SUBMITTED;
    job->began = clock_wall();
    batch_watch(job);
    if (batch_ends(job))
        batch_cancel(job);
}

/* The batch system accepts no more: planned jobs would be refused as well. */
static void refused(struct batch_job *job, int status, const char *reason)
{
    struct batch *batch = job->batch;
    for (unsigned i = 0; i < batch->job_count; i++)
        if (batch->jobs[i].step == BATCH_PLANNED || &batch->jobs[i] == job)
            batch_end(&batch->jobs[i], status, reason);
}

static bool take_first(void *context, const struct batch_record *record)
{
    struct batch_job *job = context;
    snprintf(job->id, sizeof(job->id), "%s", record->id);
    return true;
}

static void find_again(void *self, void *context)
{
    struct batch_job *job = context;
    (void)self;
    job->timer = NULL;
    batch_find(job);
}

/* Which job has our name: none if the submission has failed. */
static void find_done(void *self, void *context, const struct ipcl_command_end *end)
{
    struct batch *batch = self;
    struct batch_job *job = context;
    const struct ipcl_batch_system *system = batch->system;
    struct ipcl_error error;
    char why[BATCH_TEXT_BYTES];
    bool none =
        !end->timed_out && (end->status == 0 || batch_matches(system->unknown_job, end->errors) ||
                            batch_matches(system->unknown_job, end->output));
    if (batch_read(system, &system->query, end->output, take_first, job, &error) < 0) {
        batch_end(job, 1, error.text);
    } else if (*job->id) {
        submitted(job);
    } else if (none && clock_wall() - job->began > FIND_S) {
        batch_end(job, 1, *job->trouble ? job->trouble : "its job was not submitted");
    } else {
        batch_failure(end, why, sizeof(why));
        if (!none)
            batch_unreachable(job, why);
        job->timer =
            batch->services->timer_start(batch->services->base.host, 1000, find_again, job, &error);
    }
    batch_tell(batch);
    batch_submit(batch);
}

void batch_find(struct batch_job *job)
{
    struct ipcl_error error;
    char reason[sizeof(job->trouble) + BATCH_TEXT_BYTES + 128] = "";
    const char *trouble = job->trouble, *then = *trouble ? "; " : "";
    if (!*job->name)
        snprintf(reason, sizeof(reason),
                 "%s%sits job may have been submitted; ipcluster cannot look for it, because its "
                 "script gives it another name",
                 trouble, then);
    else if (!*job->batch->commands[BATCH_FIND])
        snprintf(reason, sizeof(reason), "%s%sa job with the name %s may have been submitted",
                 trouble, then, job->name);
    else if (batch_run_for(job, BATCH_FIND, job->name, find_done, &error) < 0)
        snprintf(reason, sizeof(reason), "%s", error.text);
    if (*reason)
        batch_end(job, 1, reason);
}

/* A command that says that it has waited too long for an answer may have been heard nevertheless:
 * its job is looked for. */
static void failed(struct batch_job *job, const struct ipcl_command_end *end)
{
    const struct batch *batch = job->batch;
    char why[IPCL_ERROR_BYTES / 2];
    batch_failure(end, why, sizeof(why));
    snprintf(job->trouble, sizeof(job->trouble),
             "%s does not accept the job: %s (its script is %s)", batch->system->name, why,
             job->script);
    job->began = clock_wall();
    if (batch_matches("[Tt]imed? ?-?out", why))
        batch_find(job);
    else
        refused(job, end->status > 0 ? end->status : 1, job->trouble);
}

static void submit_done(void *self, void *context, const struct ipcl_command_end *end)
{
    struct batch *batch = self;
    struct batch_job *job = context;
    const struct ipcl_services *base = &batch->services->base;
    struct ipcl_error error;
    if (!end->timed_out && end->status != 0) {
        failed(job, end);
        return;
    }
    const char *expression = base->option_string(base->host, batch->class_name, "job_id_regexp");
    int64_t group = base->option_int(base->host, batch->class_name, "job_id_regexp_group");
    if (end->timed_out)
        job->began = clock_wall(); /* it may still be taken */
    if (end->timed_out)
        snprintf(job->trouble, sizeof(job->trouble), "%.60s has not answered in %d seconds",
                 *batch->commands[BATCH_SUBMIT], BATCH_COMMAND_MS / 1000);
    else if (batch_read_id(expression, (unsigned)group, end->output, job->id, &error) < 0)
        snprintf(job->trouble, sizeof(job->trouble), "%s", error.text);
    if (*job->id) {
        submitted(job);
        batch_tell(batch);
        batch_submit(batch);
    } else {
        batch_find(job);
    }
}

static void submit(struct batch_job *job)
{
    struct batch *batch = job->batch;
    struct ipcl_error error;
    const char *words[] = {job->script, NULL};
    char reason[PATH_BYTES + IPCL_ERROR_BYTES + 32], *script = NULL;
    size_t size;
    bool by_input = batch->system->submit_reads_script;
    if (by_input) {
        script = path_read_file(job->script, 1 << 20, &size, &error);
        words[0] = NULL;
    }
    if ((by_input && !script) ||
        batch_run(batch, BATCH_SUBMIT, words, script, job, submit_done, &error) < 0) {
        snprintf(reason, sizeof(reason), "%s (the job's script is %s)", error.text, job->script);
        refused(job, 127, reason);
    }
    free(script);
}

void batch_submit(struct batch *batch)
{
    struct batch_job *next = NULL;
    for (unsigned i = 0; i < batch->job_count; i++) {
        if (batch->jobs[i].step == BATCH_SUBMITTING)
            return;
        if (batch->jobs[i].step == BATCH_PLANNED && batch->jobs[i].forgone)
            batch_end(&batch->jobs[i], 0, "");
        else if (batch->jobs[i].step == BATCH_PLANNED && !next)
            next = &batch->jobs[i];
    }
    if (batch->stopping || !next)
        return;
    next->step = BATCH_SUBMITTING;
    next->began = clock_wall();
    batch_save(batch);
    submit(next);
}
