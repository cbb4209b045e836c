/* What is kept of batch jobs: their commands, and their state as JSON for a later supervisor. */
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "cluster/batch/batch_private.h"
#include "cluster/state/json_text.h"

/* The commands' settings, whose names they also have in the state. */
static const char *const command_settings[BATCH_COMMANDS] = {
    [BATCH_SUBMIT] = "submit_command",   [BATCH_CANCEL] = "delete_command",
    [BATCH_SIGNAL] = "signal_command",   [BATCH_QUERY] = "query_command",
    [BATCH_HISTORY] = "history_command", [BATCH_FIND] = "find_command",
};

static void free_list(char **list)
{
    for (size_t i = 0; list && list[i]; i++)
        free(list[i]);
    free(list);
}

void batch_free_commands(struct batch *batch)
{
    for (size_t i = 0; i < BATCH_COMMANDS; i++)
        free_list(batch->commands[i]);
}

static char **copy_list(const char *const *list, size_t count)
{
    char **copy = calloc(count + 1, sizeof(*copy));
    for (size_t i = 0; copy && i < count; i++) {
        copy[i] = strdup(list[i]);
        if (!copy[i]) {
            free_list(copy);
            return NULL;
        }
    }
    return copy;
}

int batch_read_commands(struct batch *batch, struct ipcl_error *error)
{
    const struct ipcl_services *base = &batch->services->base;
    for (size_t i = 0; i < BATCH_COMMANDS; i++) {
        size_t count;
        const char *const *words =
            base->option_list(base->host, batch->class_name, command_settings[i], &count);
        batch->commands[i] = copy_list(words, count);
        if (!batch->commands[i])
            return ipcl_error_set(error, "no memory for a job");
        if (count == 0 && (i == BATCH_SUBMIT || i == BATCH_CANCEL || i == BATCH_QUERY))
            return ipcl_error_set(error, "%s.%s is empty", batch->class_name, command_settings[i]);
    }
    return 0;
}

static json_t *commands_json(const struct batch *batch)
{
    json_t *commands = json_object();
    for (size_t i = 0; i < BATCH_COMMANDS; i++) {
        json_t *words = json_array();
        for (size_t k = 0; batch->commands[i] && batch->commands[i][k]; k++)
            json_array_append_new(words, json_bytes(batch->commands[i][k]));
        json_object_set_new(commands, command_settings[i], words);
    }
    return commands;
}

int batch_make_jobs(struct batch *batch, size_t count, struct ipcl_error *error)
{
    batch->jobs = calloc(count ? count : 1, sizeof(*batch->jobs));
    if (!batch->jobs)
        return ipcl_error_set(error, "no memory for a job");
    batch->job_count = (unsigned)count;
    for (unsigned i = 0; i < batch->job_count; i++)
        batch->jobs[i].batch = batch;
    return 0;
}

static json_t *jobs_json(const struct batch *batch)
{
    json_t *jobs = json_array();
    for (unsigned i = 0; i < batch->job_count; i++) {
        const struct batch_job *job = &batch->jobs[i];
        json_array_append_new(
            jobs, json_pack("{s:i s:i s:i s:i s:i s:o s:o s:o s:o s:o s:f}", "step", (int)job->step,
                            "first", (int)job->first, "count", (int)job->count, "ended",
                            (int)job->ended, "told", (int)job->told, "ends", json_bytes(job->ends),
                            "name", json_bytes(job->name), "job", json_bytes(job->id), "script",
                            json_bytes(job->script), "output", json_bytes(job->output), "began",
                            job->began));
    }
    return jobs;
}

char *batch_to_json(void *self)
{
    const struct batch *batch = self;
    json_t *whole =
        json_pack("{s:o s:o}", "jobs", jobs_json(batch), "commands", commands_json(batch));
    char *text = whole ? json_dumps(whole, JSON_COMPACT) : NULL;
    json_decref(whole);
    return text;
}

static char **list_from_json(const json_t *array)
{
    char **list = calloc(json_array_size(array) + 1, sizeof(*list));
    for (size_t i = 0; list && i < json_array_size(array); i++) {
        list[i] = json_bytes_value(json_array_get(array, i));
        if (!list[i]) {
            free_list(list);
            return NULL;
        }
    }
    return list;
}

/* Copies a text of the state. Returns false if it does not fit. */
static bool take(char *to, size_t size, const json_t *from)
{
    char *text = json_bytes_value(from);
    bool taken = text && snprintf(to, size, "%s", text) < (int)size;
    free(text);
    return taken;
}

/* Returns false if `saved` is not as we write it. */
static bool load_job(struct batch_job *job, json_t *saved)
{
    json_t *name, *id, *script, *output, *ends;
    int step, first, count, ended, told;
    if (json_unpack(saved, "{s:i s:i s:i s:i s:i s:o s:o s:o s:o s:o s:F}", "step", &step, "first",
                    &first, "count", &count, "ended", &ended, "told", &told, "ends", &ends, "name",
                    &name, "job", &id, "script", &script, "output", &output, "began",
                    &job->began) < 0 ||
        !take(job->name, sizeof(job->name), name) || !take(job->id, sizeof(job->id), id) ||
        !take(job->script, sizeof(job->script), script) ||
        !take(job->output, sizeof(job->output), output) || step < 0 || step > BATCH_ENDED ||
        !take(job->ends, sizeof(job->ends), ends) || first < 0 || ended < 0 || count < ended ||
        told < 0)
        return false;
    job->first = (unsigned)first;
    job->count = (unsigned)count;
    job->ended = (unsigned)ended;
    job->told = (unsigned)told;
    job->step = (enum batch_step)step;
    return true;
}

static int load(struct batch *batch, json_t *whole, struct ipcl_error *error)
{
    json_t *jobs, *commands;
    if (json_unpack(whole, "{s:o s:o}", "jobs", &jobs, "commands", &commands) < 0)
        return ipcl_error_set(error, "the saved state of %s jobs is damaged", batch->system->name);
    if (batch_make_jobs(batch, json_array_size(jobs), error) < 0)
        return -1;
    for (unsigned i = 0; i < batch->job_count; i++)
        if (!load_job(&batch->jobs[i], json_array_get(jobs, i)))
            return ipcl_error_set(error, "the saved state of a %s job is damaged",
                                  batch->system->name);
    for (size_t i = 0; i < BATCH_COMMANDS; i++) {
        batch->commands[i] = list_from_json(json_object_get(commands, command_settings[i]));
        if (!batch->commands[i])
            return ipcl_error_set(error, "no memory for a job");
        if (!*batch->commands[i] && (i == BATCH_CANCEL || i == BATCH_QUERY))
            return ipcl_error_set(error, "the saved state of a %s job has no %s",
                                  batch->system->name, command_settings[i]);
    }
    return 0;
}

int batch_load(struct batch *batch, const char *json, struct ipcl_error *error)
{
    json_t *whole = json_loads(json, 0, NULL);
    int status = load(batch, whole, error);
    json_decref(whole);
    return status;
}
