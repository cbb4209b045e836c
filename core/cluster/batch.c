/* The launcher of batch systems: one job of a system that a plugin's table describes. It is
 * submitted once the supervisor has saved how it is found again. */
#include "cluster/batch_internal.h"

#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "cluster/template.h"

#define FIND_S 15 /* for a submission whose end nobody saw to be seen */

static void find(struct batch *batch);

int batch_run(struct batch *batch, enum batch_command command, const char *first,
              const char *second, const char *input,
              void (*done)(void *self, void *context, const struct ipcl_command_end *end),
              struct ipcl_error *error)
{
    char *const *words = batch->commands[command];
    size_t count = 0;
    while (words[count])
        count++;
    const char **argv = calloc(count + 3, sizeof(*argv));
    if (!argv)
        return ipcl_error_set(error, "no memory for a command line");
    for (size_t i = 0; i < count; i++)
        argv[i] = words[i];
    argv[count] = first;
    argv[count + (first != NULL)] = second;
    struct ipcl_command run = {
        .argv = argv, .input = input, .timeout_ms = BATCH_COMMAND_MS, .done = done};
    int status = batch->services->run_command(batch->services->base.host, &run, error);
    free(argv);
    return status;
}

void batch_failure(const struct ipcl_command_end *end, char *line, size_t size)
{
    if (end->timed_out)
        snprintf(line, size, "no answer in %d seconds", BATCH_COMMAND_MS / 1000);
    else
        batch_one_line(*end->errors ? end->errors : end->output, line, size);
    if (!*line)
        snprintf(line, size, "it ended with status %d and said nothing", end->status);
}

static void say(struct batch *batch, enum ipcl_log_level level, const char *text)
{
    batch->services->base.log(batch->services->base.host, level, text);
}

/* Each thing once, as it is shown and saved. */
__attribute__((format(printf, 2, 3))) static void tell_status(struct batch *batch,
                                                              const char *format, ...)
{
    char text[sizeof(batch->said)];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    if (strcmp(batch->said, text) == 0)
        return;
    strcpy(batch->said, text);
    batch->services->status(batch->services->base.host, text);
}

/* The job is over: the supervisor hears how. What was to be stopped has ended well. */
static void end_job(struct batch *batch, int status, const char *reason)
{
    if (batch->step == BATCH_ENDED)
        return;
    batch->step = BATCH_ENDED;
    batch_unwatch(batch);
    tell_status(batch, "%s", "");
    bool well = batch->stopping || (status == 0 && !*reason);
    batch->services->stopped(batch->services->base.host, IPCL_ALL_COPIES, well ? 0 : status,
                             well ? NULL : reason);
}

static void cancel_done(void *self, void *context, const struct ipcl_command_end *end)
{
    struct batch *batch = self;
    char why[BATCH_TEXT_BYTES], text[2 * BATCH_TEXT_BYTES];
    (void)context;
    batch->cancelled = end->status == 0 && !end->timed_out;
    if (batch->cancelled || batch->step == BATCH_ENDED)
        return;
    batch_failure(end, why, sizeof(why));
    snprintf(text, sizeof(text), "%s %s: %s", *batch->commands[BATCH_CANCEL], batch->id, why);
    say(batch, IPCL_LOG_INFO, text);
}

static void cancel(struct batch *batch)
{
    struct ipcl_error error;
    if (batch_run(batch, BATCH_CANCEL, batch->id, NULL, NULL, cancel_done, &error) < 0)
        say(batch, IPCL_LOG_WARN, error.text);
}

void batch_unreachable(struct batch *batch, const char *why)
{
    tell_status(batch, "%s cannot be reached, and is asked again: %s", batch->system->name, why);
    if (batch->stopping && !batch->cancelled && *batch->id)
        cancel(batch);
}

void batch_is(struct batch *batch, const struct batch_record *record)
{
    char reason[2 * BATCH_TEXT_BYTES];
    if (!record && batch->stopping) {
        end_job(batch, 0, "");
        return;
    }
    if (!record) {
        batch_ask_history(batch);
        return;
    }
    if (record->phase == IPCL_BATCH_ENDED) {
        snprintf(reason, sizeof(reason), "%s job %s %s", batch->system->name, batch->id,
                 record->text);
        end_job(batch, record->status, *record->text ? reason : "");
        return;
    }
    bool runs = record->phase == IPCL_BATCH_RUNNING, begins = runs && batch->step != BATCH_RUNNING;
    batch->step = runs ? BATCH_RUNNING : BATCH_PENDING;
    if (runs)
        tell_status(batch, "job %s %s", batch->id, *record->text ? record->text : "runs");
    else
        tell_status(batch, "job %s is pending%s%s", batch->id, *record->text ? ": " : "",
                    record->text);
    if (begins) {
        batch_watch(batch);
        batch->services->started(batch->services->base.host);
    }
    if (batch->stopping && !batch->cancelled)
        cancel(batch);
}

/* The job's id is known. */
static void submitted(struct batch *batch)
{
    batch->step = BATCH_PENDING;
    batch_watch(batch);
    tell_status(batch, "job %s is submitted", batch->id);
    if (batch->stopping)
        cancel(batch);
}

static bool take_first(void *context, const struct batch_record *record)
{
    struct batch *batch = context;
    snprintf(batch->id, sizeof(batch->id), "%s", record->id);
    return true;
}

static void find_again(void *self, void *context)
{
    struct batch *batch = self;
    (void)context;
    batch->timer = NULL;
    find(batch);
}

/* Which job has our name: none, where the submission has failed. */
static void find_done(void *self, void *context, const struct ipcl_command_end *end)
{
    struct batch *batch = self;
    struct ipcl_error error;
    char why[BATCH_TEXT_BYTES];
    (void)context;
    bool none = !end->timed_out &&
                (end->status == 0 || batch_matches(batch->system->unknown_job, end->errors) ||
                 batch_matches(batch->system->unknown_job, end->output));
    if (batch_read(batch->system, &batch->system->query, end->output, take_first, batch, &error) <
        0) {
        end_job(batch, 1, error.text);
    } else if (*batch->id) {
        submitted(batch);
    } else if (none && clock_wall() - batch->began > FIND_S) {
        end_job(batch, 1, *batch->trouble ? batch->trouble : "its job was not submitted");
    } else {
        batch_failure(end, why, sizeof(why));
        if (!none)
            batch_unreachable(batch, why);
        batch->timer = batch->services->timer_start(batch->services->base.host, 1000, find_again,
                                                    NULL, &error);
    }
}

/* Looks for a job whose submission was not seen to end, by its name. */
static void find(struct batch *batch)
{
    struct ipcl_error error;
    char reason[IPCL_ERROR_BYTES];
    if (!*batch->commands[BATCH_FIND]) {
        snprintf(reason, sizeof(reason), "%s%sa job of the name %s may have been submitted",
                 batch->trouble, *batch->trouble ? "; " : "", batch->name);
        end_job(batch, 1, reason);
    } else if (batch_run(batch, BATCH_FIND, batch->name, NULL, NULL, find_done, &error) < 0) {
        end_job(batch, 1, error.text);
    }
}

static void submit_done(void *self, void *context, const struct ipcl_command_end *end)
{
    struct batch *batch = self;
    const struct ipcl_services *base = &batch->services->base;
    struct ipcl_error error;
    char why[IPCL_ERROR_BYTES / 2], reason[PATH_BYTES + IPCL_ERROR_BYTES];
    (void)context;
    if (!end->timed_out && end->status != 0) {
        batch_failure(end, why, sizeof(why));
        snprintf(reason, sizeof(reason), "%s does not take the job: %s (its script is %s)",
                 batch->system->name, why, batch->script);
        end_job(batch, end->status > 0 ? end->status : 1, reason);
        return;
    }
    const char *expression = base->option_string(base->host, batch->class_name, "job_id_regexp");
    int64_t group = base->option_int(base->host, batch->class_name, "job_id_regexp_group");
    if (end->timed_out)
        batch->began = clock_wall(); /* it may still be taken */
    if (end->timed_out)
        snprintf(batch->trouble, sizeof(batch->trouble), "%.60s has not answered in %d seconds",
                 *batch->commands[BATCH_SUBMIT], BATCH_COMMAND_MS / 1000);
    else if (batch_read_id(expression, (unsigned)group, end->output, batch->id, &error) < 0)
        snprintf(batch->trouble, sizeof(batch->trouble), "%.*s", BATCH_TEXT_BYTES - 1, error.text);
    if (*batch->id)
        submitted(batch);
    else
        find(batch);
}

static void submit(void *self, void *context)
{
    struct batch *batch = self;
    struct ipcl_error error;
    char reason[PATH_BYTES + IPCL_ERROR_BYTES + 32], *script = NULL;
    size_t size;
    (void)context;
    batch->timer = NULL;
    batch->queued = false;
    bool by_input = batch->system->submit_reads_script;
    if (by_input)
        script = path_read_file(batch->script, 1 << 20, &size, &error);
    if ((by_input && !script) || batch_run(batch, BATCH_SUBMIT, by_input ? NULL : batch->script,
                                           NULL, script, submit_done, &error) < 0) {
        snprintf(reason, sizeof(reason), "%s (the job's script is %s)", error.text, batch->script);
        end_job(batch, 127, reason);
    }
    free(script);
}

static void batch_destroy(void *self)
{
    struct batch *batch = self;
    if (!batch)
        return;
    batch_unwatch(batch);
    batch_free_commands(batch);
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

static int batch_start(void *self, const struct ipcl_launch *launch, struct ipcl_error *error)
{
    struct batch *batch = self;
    if (batch_read_commands(batch, error) < 0 || batch_write_script(batch, launch, error) < 0)
        return -1;
    batch->count = launch->count;
    batch->step = BATCH_SUBMITTING;
    batch->began = clock_wall();
    batch->queued = true;
    batch->timer = batch->services->timer_start(batch->services->base.host, 0, submit, NULL, error);
    return batch->timer ? 0 : -1;
}

char *batch_preview(void *self, const struct ipcl_launch *launch, struct ipcl_error *error)
{
    struct batch *batch = self;
    char *script =
        batch_read_commands(batch, error) < 0 ? NULL : batch_script(batch, launch, error);
    char *command = template_quote((const char *const *)batch->commands[BATCH_SUBMIT]),
         *whole = NULL;
    size_t size = script && command ? strlen(script) + strlen(command) + PATH_BYTES + 8 : 0;
    if (size && (whole = malloc(size)))
        snprintf(whole, size, "%s%s%s\n%s", command,
                 batch->system->submit_reads_script ? " < " : " ", batch->script, script);
    free(script);
    free(command);
    return whole;
}

static void signal_done(void *self, void *context, const struct ipcl_command_end *end)
{
    struct batch *batch = self;
    char why[BATCH_TEXT_BYTES];
    (void)context;
    if (end->status == 0 || batch->stopping)
        return;
    batch_failure(end, why, sizeof(why));
    say(batch, IPCL_LOG_WARN, why);
}

/* A job that does not run has nothing that could hear a signal; one that is to be killed is
 * cancelled where there is no other way. */
static int batch_signal(void *self, int signum, struct ipcl_error *error)
{
    struct batch *batch = self;
    char number[16];
    if (!*batch->id || batch->step == BATCH_ENDED)
        return 0;
    if (signum == SIGKILL && (batch->step != BATCH_RUNNING || !*batch->commands[BATCH_SIGNAL])) {
        cancel(batch);
        return 0;
    }
    if (batch->step != BATCH_RUNNING)
        return 0;
    if (!*batch->commands[BATCH_SIGNAL])
        return ipcl_error_set(error, "%s cannot send signals to jobs", batch->system->name);
    snprintf(number, sizeof(number), "%d", signum);
    return batch_run(batch, BATCH_SIGNAL, number, batch->id, NULL, signal_done, error);
}

/* A job whose id is not known yet is cancelled once it is. */
static int batch_stop(void *self, struct ipcl_error *error)
{
    struct batch *batch = self;
    (void)error;
    if (batch->stopping || batch->step == BATCH_ENDED)
        return 0;
    batch->stopping = true;
    if (*batch->id) {
        cancel(batch);
        batch_watch(batch);
    } else if (batch->queued) {
        end_job(batch, 0, "");
    }
    return 0;
}

void batch_look(void *self)
{
    struct batch *batch = self;
    if (*batch->id && batch->step != BATCH_ENDED)
        batch_watch(batch);
}

/* What was not submitted has none. */
static int batch_output(void *self, unsigned index, char *path, size_t path_bytes)
{
    const struct batch *batch = self;
    (void)index;
    return *batch->id && snprintf(path, path_bytes, "%s", batch->output) < (int)path_bytes ? 0 : -1;
}

static int batch_from_json(void *self, const char *json, struct ipcl_error *error)
{
    struct batch *batch = self;
    if (batch_load(batch, json, error) < 0)
        return -1;
    if (batch->step == BATCH_ENDED)
        return ipcl_error_set(error, "the job %s has ended", batch->id);
    batch->step = *batch->id ? BATCH_PENDING : BATCH_SUBMITTING;
    if (*batch->id)
        batch_watch(batch);
    else
        find(batch);
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
    .properties = IPCL_STARTS_ELSEWHERE | IPCL_OUTLIVES_MACHINE,
};
