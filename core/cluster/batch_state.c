/* What is kept of a batch job: its commands, and its state as JSON for a later supervisor. */
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "cluster/batch_internal.h"

/* The settings that they are, which also name them in the state. */
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
            json_array_append_new(words, json_string(batch->commands[i][k]));
        json_object_set_new(commands, command_settings[i], words);
    }
    return commands;
}

char *batch_to_json(void *self)
{
    const struct batch *batch = self;
    json_t *whole =
        json_pack("{s:i s:i s:s s:s s:s s:s s:f s:o}", "step", (int)batch->step, "count",
                  (int)batch->count, "name", batch->name, "job", batch->id, "script", batch->script,
                  "output", batch->output, "began", batch->began, "commands", commands_json(batch));
    char *text = whole ? json_dumps(whole, JSON_COMPACT) : NULL;
    json_decref(whole);
    return text;
}

static char **list_from_json(const json_t *array)
{
    char **list = calloc(json_array_size(array) + 1, sizeof(*list));
    for (size_t i = 0; list && i < json_array_size(array); i++) {
        const char *word = json_string_value(json_array_get(array, i));
        list[i] = strdup(word ? word : "");
        if (!list[i]) {
            free_list(list);
            return NULL;
        }
    }
    return list;
}

/* Copies a text of the state. Returns false where it has no room. */
static bool take(char *to, size_t size, const char *from)
{
    return snprintf(to, size, "%s", from) < (int)size;
}

static int load(struct batch *batch, json_t *whole, struct ipcl_error *error)
{
    const char *name, *id, *script, *output;
    json_t *commands;
    int step, count;
    if (json_unpack(whole, "{s:i s:i s:s s:s s:s s:s s:F s:o}", "step", &step, "count", &count,
                    "name", &name, "job", &id, "script", &script, "output", &output, "began",
                    &batch->began, "commands", &commands) < 0 ||
        !take(batch->name, sizeof(batch->name), name) || !take(batch->id, sizeof(batch->id), id) ||
        !take(batch->script, sizeof(batch->script), script) ||
        !take(batch->output, sizeof(batch->output), output) || step < 0 || step > BATCH_ENDED)
        return ipcl_error_set(error, "the saved state of a %s job is damaged", batch->system->name);
    batch->count = (unsigned)count;
    batch->step = (enum batch_step)step;
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
