/* The launcher of batch systems: one or several jobs of a system that a plugin's table
 * describes. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "cluster/batch/batch_private.h"
#include "cluster/batch/template.h"

static void batch_destroy(void *self)
{
    struct batch *batch = self;
    if (!batch)
        return;
    for (unsigned i = 0; i < batch->job_count; i++)
        batch_unwatch(&batch->jobs[i]);
    batch_ask_anew(batch);
    batch_free_commands(batch);
    free(batch->jobs);
    free(batch);
}

void *batch_create(const struct ipcl_batch_system *system, const struct ipcl_option_table *settings,
                   const struct ipcl_launcher_class *class,
                   const struct ipcl_launcher_services *services, struct ipcl_error *error)
{
    struct batch *batch = calloc(1, sizeof(*batch));
    if (!batch) {
        ipcl_error_set(error, "no memory for a launcher");
        return NULL;
    }
    batch->system = system;
    batch->settings = settings;
    batch->class_name = class->name;
    batch->role = class->role;
    batch->services = services;
    return batch;
}

/* How many copies a job has at most. */
static unsigned per_job(const struct batch *batch, const struct ipcl_launch *launch)
{
    const struct ipcl_services *base = &batch->services->base;
    int64_t most = base->option_int(base->host, batch->class_name, "engines_per_job");
    return batch->role == IPCL_ROLE_ENGINES && most > 0 && most < launch->count ? (unsigned)most
                                                                                : launch->count;
}

/* Plans the jobs of a launch. Returns 0 or -1 with `error` set. */
static int plan(struct batch *batch, const struct ipcl_launch *launch, struct ipcl_error *error)
{
    const struct ipcl_services *base = &batch->services->base;
    unsigned most = per_job(batch, launch);
    if (base->option_int(base->host, batch->class_name, "engines_per_job") < 0)
        return ipcl_error_set(error, "%s.engines_per_job is less than 0", batch->class_name);
    if (batch_read_commands(batch, error) < 0 ||
        batch_make_jobs(batch, (launch->count - 1) / most + 1, error) < 0)
        return -1;
    for (unsigned i = 0; i < batch->job_count; i++) {
        struct batch_job *job = &batch->jobs[i];
        job->first = i * most;
        job->count = launch->count - job->first < most ? launch->count - job->first : most;
    }
    return 0;
}

/* A job's part of a launch, or all of it. The numbers in labels have equally many digits, because
 * some systems look for the beginning of a name. */
static struct ipcl_launch part_of(const struct ipcl_launch *launch, const struct batch_job *job,
                                  char label[BATCH_TEXT_BYTES])
{
    struct ipcl_launch part = *launch;
    unsigned count = job->batch->job_count;
    int digits = snprintf(NULL, 0, "%u", count);
    part.count = job->count;
    if (count > 1) {
        snprintf(label, BATCH_TEXT_BYTES, "%.150s-%0*u", launch->label, digits,
                 (unsigned)(job - job->batch->jobs) + 1);
        part.label = label;
    }
    return part;
}

static void begin(void *self, void *context)
{
    struct batch *batch = self;
    (void)context;
    batch->timer = NULL;
    batch_submit(batch);
}

static int batch_start(void *self, const struct ipcl_launch *launch, struct ipcl_error *error)
{
    struct batch *batch = self;
    char label[BATCH_TEXT_BYTES];
    if (plan(batch, launch, error) < 0)
        return -1;
    for (unsigned i = 0; i < batch->job_count; i++) {
        struct ipcl_launch part = part_of(launch, &batch->jobs[i], label);
        if (batch_write_script(&batch->jobs[i], &part, error) < 0)
            return -1;
    }
    batch->timer = batch->services->timer_start(batch->services->base.host, 0, begin, NULL, error);
    return batch->timer ? 0 : -1;
}

/* The command that submits a job, and its script. Returns 0 or -1 with `error` set. */
static int show_job(struct batch_job *job, const struct ipcl_launch *launch, FILE *stream,
                    struct ipcl_error *error)
{
    const struct batch *batch = job->batch;
    char label[BATCH_TEXT_BYTES];
    struct ipcl_launch part = part_of(launch, job, label);
    char *script = batch_script(job, &part, error);
    char *command = template_quote((const char *const *)batch->commands[BATCH_SUBMIT]);
    if (script && command)
        fprintf(stream, "%s%s%s\n%s", command, batch->system->submit_reads_script ? " < " : " ",
                job->script, script);
    int status = script && command ? 0 : -1;
    if (script && !command)
        ipcl_error_set(error, "no memory for a job's script");
    free(script);
    free(command);
    return status;
}

/* The command, a line, and the script; if there are several jobs, those of the first. */
static char *batch_preview(void *self, const struct ipcl_launch *launch, struct ipcl_error *error)
{
    struct batch *batch = self;
    char *whole = NULL;
    size_t size;
    if (plan(batch, launch, error) < 0)
        return NULL;
    FILE *stream = open_memstream(&whole, &size);
    int status = stream ? 0 : ipcl_error_set(error, "no memory for a job's script");
    if (status == 0)
        status = show_job(batch->jobs, launch, stream, error);
    if (status == 0 && batch->job_count > 1)
        fprintf(stream, "# ... and so on: %u jobs, the last of %u engine%s\n", batch->job_count,
                batch->jobs[batch->job_count - 1].count,
                batch->jobs[batch->job_count - 1].count == 1 ? "" : "s");
    if (stream)
        fclose(stream);
    if (status == 0)
        return whole;
    free(whole);
    return NULL;
}

static void signal_done(void *self, void *context, const struct ipcl_command_end *end)
{
    struct batch *batch = self;
    char why[BATCH_TEXT_BYTES];
    (void)context;
    if (end->status == 0 || batch->stopping)
        return;
    batch_failure(end, why, sizeof(why));
    batch->services->base.log(batch->services->base.host, IPCL_LOG_WARN, why);
}

/* Sends a signal to the jobs that run, by one command. */
static int send_signal(struct batch *batch, int signum, struct ipcl_error *error)
{
    char number[16];
    const char **words = calloc(batch->job_count + 2, sizeof(*words));
    size_t count = 0;
    if (!words)
        return ipcl_error_set(error, "no memory for a command line");
    snprintf(number, sizeof(number), "%d", signum);
    words[count++] = number;
    for (unsigned i = 0; i < batch->job_count; i++)
        if (batch->jobs[i].step == BATCH_RUNNING)
            words[count++] = batch->jobs[i].id;
    int status = 0;
    if (count > 1 && !*batch->commands[BATCH_SIGNAL])
        status = ipcl_error_set(error, "%s cannot send signals to jobs", batch->system->name);
    else if (count > 1)
        status = batch_run(batch, BATCH_SIGNAL, words, NULL, NULL, signal_done, error);
    free(words);
    return status;
}

/* A job that does not run has no process for a signal. A job that is to be killed is cancelled if
 * there is no other way. */
static int batch_signal(void *self, int signum, struct ipcl_error *error)
{
    struct batch *batch = self;
    bool kills = signum == SIGKILL;
    if (kills && !*batch->commands[BATCH_SIGNAL]) {
        batch_cancel_all(batch);
        return 0;
    }
    for (unsigned i = 0; kills && i < batch->job_count; i++)
        if (batch->jobs[i].step == BATCH_SUBMITTED || batch->jobs[i].step == BATCH_PENDING)
            batch_cancel(&batch->jobs[i]);
    return send_signal(batch, signum, error);
}

/* A job whose id is not known yet is cancelled once it is; one that is planned is not submitted. */
static int batch_stop(void *self, struct ipcl_error *error)
{
    struct batch *batch = self;
    (void)error;
    if (batch->stopping)
        return 0;
    batch->stopping = true;
    batch_cancel_all(batch);
    for (unsigned i = 0; i < batch->job_count; i++)
        if (batch->jobs[i].step == BATCH_PLANNED)
            batch_end(&batch->jobs[i], 0, "");
    batch_look(batch, NULL);
    return 0;
}

/* Whether an engine's name for its job, "Slurm job 12", may mean this job: elements of an array
 * have the array's number. */
static bool may_be(const struct batch_job *job, const char *name)
{
    const char *id = strstr(name, " job ");
    unsigned long long number = id ? strtoull(id + strlen(" job "), NULL, 10) : 0;
    return number && number == strtoull(job->id, NULL, 10);
}

void batch_look(void *self, const char *lost)
{
    struct batch *batch = self;
    for (unsigned i = 0; i < batch->job_count; i++) {
        struct batch_job *job = &batch->jobs[i];
        if (!*job->id || job->step == BATCH_ENDED || (lost && !may_be(job, lost)))
            continue;
        job->doubted = lost;
        batch_watch_closely(job);
    }
}

bool batch_goes_on(const void *self)
{
    const struct batch *batch = self;
    return batch->job_count > 1;
}

/* Whether nothing of it runs. A job that is being submitted is cancelled when its id is known. */
static bool waits(const struct batch_job *job)
{
    return job->step != BATCH_RUNNING && job->step != BATCH_ENDED && !job->forgone;
}

unsigned batch_forgo(void *self, unsigned most, bool (*used)(void *context, const char *id),
                     void *context)
{
    struct batch *batch = self;
    unsigned count = 0;
    for (unsigned i = batch->job_count; i > 0 && !batch->stopping; i--) {
        struct batch_job *job = &batch->jobs[i - 1];
        if (!waits(job) || count + job->count > most || (*job->id && used(context, job->id)))
            continue;
        job->forgone = true;
        count += job->count;
        if (*job->id) {
            batch_cancel(job);
            batch_watch(job);
        }
    }
    return count;
}

bool batch_submitted(const void *self)
{
    const struct batch *batch = self;
    for (unsigned i = 0; i < batch->job_count; i++)
        if (!*batch->jobs[i].id && batch->jobs[i].step != BATCH_ENDED)
            return false;
    return true;
}

/* What was not submitted has none. */
static int batch_output(void *self, unsigned index, char *path, size_t path_bytes)
{
    const struct batch *batch = self;
    for (unsigned i = 0; i < batch->job_count; i++) {
        const struct batch_job *job = &batch->jobs[i];
        if (index >= job->first && index - job->first < job->count && *job->id)
            return snprintf(path, path_bytes, "%s", job->output) < (int)path_bytes ? 0 : -1;
    }
    return -1;
}

static int batch_from_json(void *self, const char *json, struct ipcl_error *error)
{
    struct batch *batch = self;
    unsigned left = 0;
    if (batch_load(batch, json, error) < 0)
        return -1;
    for (unsigned i = 0; i < batch->job_count; i++) {
        struct batch_job *job = &batch->jobs[i];
        if (job->step == BATCH_PLANNED)
            job->step = BATCH_ENDED;
        if (job->step != BATCH_ENDED)
            left += job->count - job->ended;
    }
    if (left == 0)
        return ipcl_error_set(error, "all jobs have ended");
    batch->services->resize(batch->services->base.host, left, NULL);
    for (unsigned i = 0; i < batch->job_count; i++) {
        struct batch_job *job = &batch->jobs[i];
        if (job->step == BATCH_ENDED)
            continue;
        job->step = *job->id ? BATCH_PENDING : BATCH_SUBMITTING;
        if (*job->id)
            batch_watch(job);
        else
            batch_find(job);
    }
    return 0;
}

const struct ipcl_launcher_class batch_class = {
    .start = batch_start,
    .signal = batch_signal,
    .stop = batch_stop,
    .output = batch_output,
    .to_json = batch_to_json,
    .from_json = batch_from_json,
    .destroy = batch_destroy,
    .preview = batch_preview,
    .properties = IPCL_STARTS_ELSEWHERE | IPCL_OUTLIVES_MACHINE,
};
