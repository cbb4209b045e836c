/* Settings that were written for other programs: which of them these tables take, and why not the
 * others. For `ipcluster profile convert`, which asks each program of its own. */
#include <stdlib.h>
#include <string.h>

#include "config/settings_private.h"

#define NAME_BYTES  256
#define INPUT_BYTES (1 << 20)
#define ORIGIN      "given"

/* The report: {"settings": {...}, "without_effect": [[name, reason]], "refused": [[name,
 * reason]]}. */
struct carrying {
    struct settings *settings;
    json_t *without_effect;
    json_t *refused;
};

static void note(json_t *list, const char *class_name, const char *name, const char *reason)
{
    char full[NAME_BYTES];
    snprintf(full, sizeof(full), "%s.%s", class_name, name);
    json_array_append_new(list, json_pack("[ss]", full, reason));
}

static void carry_class(struct carrying *carrying, const char *class_name, const json_t *traits)
{
    struct ipcl_error error;
    const char *name;
    json_t *json;
    json_object_foreach ((json_t *)traits, name, json) {
        struct given given = {.class_name = class_name,
                              .name = name,
                              .json = json,
                              .source = SOURCE_PROFILE,
                              .origin = ORIGIN};
        if (settings_give(carrying->settings, &given, &error))
            note(carrying->refused, class_name, name, error.text + strlen(ORIGIN ": "));
    }
}

/* Settings that no table has taken: they have no effect, or are not known. */
static void carry_pending(struct carrying *carrying)
{
    struct settings *settings = carrying->settings;
    char unknown[NAME_BYTES];
    snprintf(unknown, sizeof(unknown), "%s has no such setting", settings->program->name);
    for (struct pending *pending = settings->pending; pending; pending = pending->next) {
        if (others_passed(settings, pending->class_name, pending->name))
            continue;
        const struct ipcl_option *option =
            others_ignored(settings, pending->class_name, pending->name);
        note(option ? carrying->without_effect : carrying->refused, pending->class_name,
             pending->name, option ? option->help : unknown);
    }
}

static json_t *read_input(FILE *input)
{
    char *text = malloc(INPUT_BYTES);
    size_t size = text ? fread(text, 1, INPUT_BYTES, input) : 0;
    json_t *classes = json_loadb(text ? text : "", size, 0, NULL);
    free(text);
    return classes;
}

int settings_carry(struct settings *settings, FILE *input, FILE *output, struct ipcl_error *error)
{
    static const char *const none[] = {NULL};
    struct carrying carrying = {settings, json_array(), json_array()};
    json_t *classes = read_input(input), *traits;
    const char *class_name;
    int status = -1;
    json_object_foreach (classes, class_name, traits)
        carry_class(&carrying, class_name, traits);
    carry_pending(&carrying);
    char *text = settings_to_json(settings, none, error);
    json_t *report =
        json_pack("{s:o s:o s:o}", "settings", text ? json_loads(text, 0, NULL) : NULL,
                  "without_effect", carrying.without_effect, "refused", carrying.refused);
    if (!classes || !report)
        ipcl_error_set(error, "there are no settings to pass on, or memory is short");
    else
        status = json_dumpf(report, output, 0);
    free(text);
    json_decref(classes);
    json_decref(report);
    return status;
}
