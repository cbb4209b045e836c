/* Settings that the environment gives. */
#include <stdlib.h>
#include <string.h>

#include "config/settings_private.h"

/* A setting that is being looked for in the environment. */
struct environment_search {
    struct settings *settings;
    struct setting *item;
    struct ipcl_error *error;
};

/* Reads the variable of a setting under one class name. Returns true if its value is wrong. */
static bool read_variable(void *context, const char *class_name)
{
    struct environment_search *search = context;
    char variable[SETTINGS_VARIABLE_BYTES], origin[SETTINGS_VARIABLE_BYTES + 32];
    settings_variable(class_name, search->item->option->name, variable);
    snprintf(origin, sizeof(origin), "environment variable %s", variable);
    struct given given = {
        .class_name = class_name,
        .name = search->item->option->name,
        .text = getenv(variable),
        .source = SOURCE_ENVIRONMENT,
        .origin = origin,
    };
    return given.text && settings_assign(search->settings, search->item, &given, search->error);
}

int settings_read_variables(struct settings *settings, struct setting *item,
                            struct ipcl_error *error)
{
    struct environment_search search = {settings, item, error};
    const char *class_name = item->class_name;
    bool in_line = settings_class_place(settings, class_name) < CLASSES_MAX;
    bool wrong = in_line ? settings_each_word(settings->program->classes, read_variable, &search)
                         : read_variable(&search, class_name);
    return wrong ? -1 : 0;
}

/* Reads the variables with names of their own, if there are such settings. */
static int read_known_variables(struct settings *settings, struct ipcl_error *error)
{
    for (size_t i = 0; i < settings->variable_count; i++) {
        const struct settings_variable *known = settings->variables[i];
        struct setting *item = settings_lookup(settings, known->class_name, known->name);
        char origin[SETTINGS_VARIABLE_BYTES];
        snprintf(origin, sizeof(origin), "environment variable %s", known->variable);
        struct given given = {
            .class_name = known->class_name,
            .name = known->name,
            .text = getenv(known->variable),
            .source = SOURCE_ENVIRONMENT,
            .origin = origin,
        };
        if (item && given.text && *given.text && settings_assign(settings, item, &given, error))
            return -1;
    }
    return 0;
}

int settings_load_environment(struct settings *settings, struct ipcl_error *error)
{
    if (read_known_variables(settings, error))
        return -1;
    settings->environment_read = true;
    for (size_t i = 0; i < settings->count; i++)
        if (settings_read_variables(settings, &settings->items[i], error))
            return -1;
    return 0;
}
