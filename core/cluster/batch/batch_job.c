/* What happens to batch jobs: each is reported for its own copies, and one line shows the state of
 * all.
 *
 * Two files for a job's life call each other: batch_poll.c asks for its state, and this file
 * decides what the answer means and what is asked next. */
#include "cluster/batch/batch_private.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

#define NEW_S 15 /* for a batch system to know a job that it has taken */

int batch_run(struct batch *batch, enum batch_command command, const char *const *words,
              const char *input, struct batch_job *job,
              void (*done)(void *self, void *context, const struct ipcl_command_end *end),
              struct ipcl_error *error)
{
    char *const *own = batch->commands[command];
    size_t count = 0, more = 0;
    while (own[count])
        count++;
    while (words[more])
        more++;
    const char **argv = calloc(count + more + 1, sizeof(*argv));
    if (!argv)
        return ipcl_error_set(error, "no memory for a command line");
    for (size_t i = 0; i < count; i++)
        argv[i] = own[i];
    for (size_t i = 0; i < more; i++)
        argv[count + i] = words[i];
    struct ipcl_command run = {
        .argv = argv, .input = input, .timeout_ms = BATCH_COMMAND_MS, .done = done, .context = job};
    int status = batch->services->run_command(batch->services->base.host, &run, error);
    free(argv);
    return status;
}

int batch_run_for(struct batch_job *job, enum batch_command command, const char *word,
                  void (*done)(void *self, void *context, const struct ipcl_command_end *end),
                  struct ipcl_error *error)
{
    const char *const words[] = {word, NULL};
    return batch_run(job->batch, command, words, NULL, job, done, error);
}

void batch_failure(const struct ipcl_command_end *end, char *line, size_t size)
{
    if (end->timed_out)
        snprintf(line, size, "no answer in %d seconds", BATCH_COMMAND_MS / 1000);
    else
        batch_one_line(*end->errors ? end->errors : end->output, line, size);
    if (!*line)
        snprintf(line, size, "it ended with status %d and printed nothing", end->status);
}

void batch_save(struct batch *batch)
{
    batch->services->status(batch->services->base.host, batch->said);
}

__attribute__((format(printf, 2, 3))) static void say(struct batch *batch, const char *format, ...)
{
    char text[sizeof(batch->said)];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    if (strcmp(batch->said, text) == 0)
        return;
    strcpy(batch->said, text);
    batch_save(batch);
}

bool batch_ends(const struct batch_job *job)
{
    return job->batch->stopping || job->forgone;
}

static void tell_one(const struct batch_job *job)
{
    const char *text = job->text;
    if (job->step == BATCH_SUBMITTED)
        say(job->batch, "job %s is submitted", job->id);
    else if (job->step == BATCH_PENDING)
        say(job->batch, "job %s is pending%s%s", job->id, *text ? ": " : "", text);
    else if (job->step == BATCH_RUNNING)
        say(job->batch, "job %s %s", job->id, *text ? text : "runs");
}

/* How many jobs are on a step; *first is one of them, if possible one with a text. */
static unsigned count_jobs(const struct batch *batch, enum batch_step step,
                           const struct batch_job **first)
{
    unsigned count = 0;
    for (unsigned i = 0; i < batch->job_count; i++) {
        const struct batch_job *job = &batch->jobs[i];
        if (job->step != step)
            continue;
        if (count++ == 0 || !*(*first)->text)
            *first = job;
    }
    return count;
}

/* Nothing while jobs are being submitted: their ids are told all together. */
static void tell_several(struct batch *batch)
{
    const struct batch_job *job = NULL, *runs = NULL;
    unsigned running = count_jobs(batch, BATCH_RUNNING, &runs),
             planned =
                 count_jobs(batch, BATCH_PLANNED, &job) + count_jobs(batch, BATCH_SUBMITTING, &job),
             submitted = count_jobs(batch, BATCH_SUBMITTED, &job),
             pending = submitted + count_jobs(batch, BATCH_PENDING, &job);
    const char *text = runs ? runs->text : "";
    char odd[BATCH_ID_BYTES + BATCH_TEXT_BYTES + 8] = "", others[32] = "";
    if (*text)
        snprintf(odd, sizeof(odd), "; job %s %s", runs->id, text);
    if (running > 0)
        snprintf(others, sizeof(others), "; %u running", running);
    if (planned > 0)
        return;
    if (submitted == batch->job_count)
        say(batch, "%u jobs are submitted, %s to %s", submitted, batch->jobs[0].id,
            batch->jobs[batch->job_count - 1].id);
    else if (pending > 0)
        say(batch, "%u job%s of %u pending%s%s%s%s", pending, pending == 1 ? "" : "s",
            batch->job_count, *job->text ? ": " : "", job->text, others, odd);
    else
        say(batch, "%u job%s of %u running%s", running, running == 1 ? "" : "s", batch->job_count,
            odd);
}

void batch_tell(struct batch *batch)
{
    const struct batch_job *job;
    if (count_jobs(batch, BATCH_ENDED, &job) == batch->job_count)
        say(batch, "%s", "");
    else if (*batch->trouble)
        say(batch, "%s cannot be reached, and ipcluster tries again: %s", batch->system->name,
            batch->trouble);
    else if (batch->job_count == 1)
        tell_one(batch->jobs);
    else
        tell_several(batch);
}

/* The state says that the job ended before the end is reported. If there are several jobs, each
 * copy is reported singly, and counts as started: the other jobs are waited for. */
void batch_end(struct batch_job *job, int status, const char *reason)
{
    struct batch *batch = job->batch;
    const struct ipcl_launcher_services *services = batch->services;
    if (job->step == BATCH_ENDED)
        return;
    bool ran = job->step == BATCH_RUNNING;
    job->step = BATCH_ENDED;
    batch_unwatch(job);
    batch_tell(batch);
    bool well = batch_ends(job) || (status == 0 && !*reason);
    status = well ? 0 : status;
    reason = well ? NULL : reason;
    if (batch->job_count == 1 && job->ended == 0) {
        services->stopped(services->base.host, IPCL_ALL_COPIES, status, reason);
        return;
    }
    char whole[IPCL_ERROR_BYTES];
    if (reason && job->ended + 1 < job->count) {
        snprintf(whole, sizeof(whole), "%s, with its %u engines", reason, job->count - job->ended);
        reason = whole;
    }
    if (!ran)
        services->started_some(services->base.host, job->count);
    while (job->ended < job->count)
        services->stopped(services->base.host, job->first + job->ended++, status, reason);
}

static void cancel_done(void *self, void *context, const struct ipcl_command_end *end)
{
    struct batch *batch = self;
    struct batch_job *job = context;
    char why[BATCH_TEXT_BYTES], text[2 * BATCH_TEXT_BYTES];
    bool cancelled = end->status == 0 && !end->timed_out;
    if (job)
        job->cancelled = cancelled;
    for (unsigned i = 0; !job && i < batch->job_count; i++)
        batch->jobs[i].cancelled |= cancelled && *batch->jobs[i].id;
    if (cancelled || (job && job->step == BATCH_ENDED))
        return;
    batch_failure(end, why, sizeof(why));
    snprintf(text, sizeof(text), "%s %s: %s", *batch->commands[BATCH_CANCEL], job ? job->id : "",
             why);
    batch->services->base.log(batch->services->base.host, IPCL_LOG_INFO, text);
}

void batch_cancel(struct batch_job *job)
{
    const struct ipcl_services *base = &job->batch->services->base;
    struct ipcl_error error;
    if (batch_run_for(job, BATCH_CANCEL, job->id, cancel_done, &error) < 0)
        base->log(base->host, IPCL_LOG_WARN, error.text);
}

/* With one command. If that fails, each job is cancelled singly at its next look. */
void batch_cancel_all(struct batch *batch)
{
    const struct ipcl_services *base = &batch->services->base;
    struct ipcl_error error;
    const char **ids = calloc(batch->job_count + 1, sizeof(*ids));
    size_t count = 0;
    if (!ids) {
        base->log(base->host, IPCL_LOG_WARN, "no memory for a command line");
        return;
    }
    for (unsigned i = 0; i < batch->job_count; i++)
        if (*batch->jobs[i].id && batch->jobs[i].step != BATCH_ENDED)
            ids[count++] = batch->jobs[i].id;
    if (count > 0 && batch_run(batch, BATCH_CANCEL, ids, NULL, NULL, cancel_done, &error) < 0)
        base->log(base->host, IPCL_LOG_WARN, error.text);
    free(ids);
}

void batch_unreachable(struct batch_job *job, const char *why)
{
    struct batch *batch = job->batch;
    snprintf(batch->trouble, sizeof(batch->trouble), "%s", why);
    if (batch_ends(job) && !job->cancelled && *job->id)
        batch_cancel(job);
}

bool batch_is_new(const struct batch_job *job)
{
    return job->step == BATCH_SUBMITTED && !job->cancelled && clock_wall() - job->began < NEW_S;
}

/* The batch system says nothing of a job: it has gone, or is not known yet. */
static void is_gone(struct batch_job *job)
{
    if (!batch_ends(job))
        batch_ask_history(job);
    else if (batch_is_new(job))
        batch_cancel(job);
    else
        batch_end(job, 0, "");
}

static void make_reason(const struct batch_job *job, const struct batch_record *record,
                        char reason[2 * BATCH_TEXT_BYTES])
{
    snprintf(reason, 2 * BATCH_TEXT_BYTES, "%s job %s %s", job->batch->system->name, job->id,
             record->text);
}

void batch_explain(struct batch_job *job, const struct batch_record *record)
{
    const struct ipcl_launcher_services *services = job->batch->services;
    char reason[2 * BATCH_TEXT_BYTES];
    make_reason(job, record, reason);
    if (*record->text && !batch_ends(job))
        services->explain(services->base.host, job->first, reason, record->cut_short);
}

void batch_ended(struct batch_job *job, const struct batch_record *record)
{
    char reason[2 * BATCH_TEXT_BYTES];
    make_reason(job, record, reason);
    batch_explain(job, record);
    batch_end(job, record->status, *record->text ? reason : "");
}

/* The job was put back into the queue: its engines have gone, and come again when it is started
 * again. */
static void is_requeued(struct batch_job *job)
{
    const struct ipcl_launcher_services *services = job->batch->services;
    char text[3 * BATCH_TEXT_BYTES];
    struct batch_record how = {.cut_short = true};
    snprintf(how.text, sizeof(how.text), "was requeued by %.64s", job->batch->system->name);
    batch_explain(job, &how);
    snprintf(text, sizeof(text), "job %s %s: its engines come back when it runs again", job->id,
             how.text);
    services->base.log(services->base.host, IPCL_LOG_WARN, text);
    batch_pass_ends(job);
    services->waiting(services->base.host, job->count - job->ended);
}

void batch_is(struct batch_job *job, const struct batch_record *record)
{
    struct batch *batch = job->batch;
    *batch->trouble = '\0';
    if (!record) {
        is_gone(job);
        return;
    }
    if (record->phase == IPCL_BATCH_ENDED) {
        job->end = *record;
        if (record->status == 0 || batch_ends(job))
            batch_ended(job, record);
        else
            batch_ask_history(job);
        return;
    }
    bool runs = record->phase == IPCL_BATCH_RUNNING, begins = runs && job->step != BATCH_RUNNING;
    if (!runs && job->step == BATCH_RUNNING && record->known && !job->several && !batch_ends(job))
        is_requeued(job);
    job->step = runs ? BATCH_RUNNING : BATCH_PENDING;
    snprintf(job->text, sizeof(job->text), "%s", record->text);
    if (begins) {
        batch_watch(job);
        batch->services->started_some(batch->services->base.host, job->count);
    }
    /* All engines of a job that ends go with it. */
    if (runs && !*record->text && !batch_ends(job) && batch_read_ends(job))
        batch_watch(job);
    if (runs && job->doubted && !batch_ends(job))
        batch_ask_doubt(job);
    if (batch_ends(job) && !job->cancelled)
        batch_cancel(job);
}
