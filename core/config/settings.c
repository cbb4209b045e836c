/* Settings: the tables, flags, variables and choices that there are. */
#include "config/settings.h"

#include <stdlib.h>
#include <string.h>

#include "config/settings_private.h"

struct settings *settings_create(const struct settings_program *program, struct ipcl_error *error)
{
    struct settings *settings = calloc(1, sizeof(*settings));
    if (!settings) {
        ipcl_error_set(error, "out of memory");
        return NULL;
    }
    settings->program = program;
    if (settings_add_flags(settings, program->flags, program->flag_count, error) ||
        settings_add_variables(settings, program->variables, program->variable_count, error) ||
        settings_add_choices(settings, program->choices, program->choice_count, error)) {
        settings_destroy(settings);
        return NULL;
    }
    return settings;
}

void settings_destroy(struct settings *settings)
{
    if (!settings)
        return;
    while (settings->values) {
        struct value *value = settings->values;
        settings->values = value->next;
        value_destroy(value);
    }
    while (settings->pending) {
        struct pending *pending = settings->pending;
        settings->pending = pending->next;
        pending_destroy(pending);
    }
    free(settings->items);
    free(settings->others);
    free(settings->flags);
    free(settings->variables);
    free(settings->choices);
    free(settings->offerings);
    free(settings);
}

/* For settings_each_word(): whether a word is one of a setting's or flag's. */
struct alias_search {
    const struct settings *settings;
    const char *alias;
};

static bool same_word(void *context, const char *word)
{
    return !strcmp(word, context);
}

static bool alias_taken(void *context, const char *alias)
{
    struct alias_search *search = context;
    search->alias = alias;
    for (size_t i = 0; i < search->settings->count; i++)
        if (settings_each_word(search->settings->items[i].option->aliases, same_word,
                               (void *)alias))
            return true;
    for (size_t i = 0; i < search->settings->flag_count; i++)
        if (!strcmp(search->settings->flags[i]->flag, alias))
            return true;
    return others_alias(search->settings, alias, same_word) != NULL;
}

static struct setting *find_own(const struct settings *settings, const char *class_name,
                                const char *name)
{
    for (size_t i = 0; i < settings->count; i++)
        if (!strcmp(settings->items[i].class_name, class_name) &&
            !strcmp(settings->items[i].option->name, name))
            return &settings->items[i];
    return NULL;
}

/* Adds a setting that holds a value; `base` is the class that it is inherited from, or NULL. */
static int add_item(struct settings *settings, const char *class_name,
                    const struct ipcl_option *option, const char *base, struct ipcl_error *error)
{
    struct setting *items = realloc(settings->items, (settings->count + 1) * sizeof(*items));
    if (!items)
        return ipcl_error_set(error, "out of memory");
    settings->items = items;
    items[settings->count] =
        (struct setting){.class_name = class_name, .option = option, .base = base};
    struct given given = {
        .class_name = class_name,
        .name = option->name,
        .text = option->fallback,
        .source = SOURCE_DEFAULT,
        .origin = "the option table's default",
    };
    if (settings_assign(settings, &items[settings->count], &given, error))
        return -1;
    settings->count++;
    return settings->environment_read
               ? settings_read_variables(settings, &items[settings->count - 1], error)
               : 0;
}

/* Adds what a row of type IPCL_INHERITED stands for; rows of the class's own before it stay. */
static int inherit(struct settings *settings, const char *class_name, const struct ipcl_option *row,
                   struct ipcl_error *error)
{
    size_t before = settings->count;
    bool any = false;
    for (size_t i = 0; i < before; i++) {
        const struct ipcl_option *option = settings->items[i].option;
        if (strcmp(settings->items[i].class_name, row->fallback) ||
            (strcmp(row->name, "*") &&
             !settings_each_word(row->name, same_word, (void *)option->name)))
            continue;
        any = true;
        if (!find_own(settings, class_name, option->name) &&
            add_item(settings, class_name, option, row->fallback, error))
            return -1;
    }
    if (!any)
        return ipcl_error_set(error, "%s.%s is inherited from %s, which lacks this setting",
                              class_name, row->name, row->fallback);
    return others_add(settings, class_name, row, error);
}

static int add_option(struct settings *settings, const char *class_name,
                      const struct ipcl_option *option, struct ipcl_error *error)
{
    struct alias_search search = {.settings = settings};
    if (option_check(class_name, option, error))
        return -1;
    if (option->type == IPCL_INHERITED)
        return inherit(settings, class_name, option, error);
    if (find_own(settings, class_name, option->name))
        return ipcl_error_set(error, "the setting %s.%s is defined twice", class_name,
                              option->name);
    if (!settings->command_line_read && settings_each_word(option->aliases, alias_taken, &search))
        return ipcl_error_set(error, "an alias of the setting %s.%s (%s) is defined twice",
                              class_name, option->name, option->aliases);
    if (option->type == IPCL_RENAMED || option->type == IPCL_PASSED || option->type == IPCL_IGNORED)
        return others_add(settings, class_name, option, error);
    return add_item(settings, class_name, option, NULL, error);
}

int settings_add(struct settings *settings, const struct ipcl_option_table *table,
                 struct ipcl_error *error)
{
    if (!table->class_name || (table->count && !table->options))
        return ipcl_error_set(error, "an option table has no %s",
                              table->class_name ? "options" : "class_name");
    for (size_t i = 0; i < table->count; i++)
        if (add_option(settings, table->class_name, &table->options[i], error))
            return -1;
    return settings_apply_pending(settings, error);
}

int settings_add_flags(struct settings *settings, const struct settings_flag *flags, size_t count,
                       struct ipcl_error *error)
{
    for (size_t i = 0; i < count; i++) {
        struct alias_search search = {.settings = settings};
        if (flags[i].help && alias_taken(&search, flags[i].flag))
            return ipcl_error_set(error, "the flag --%s is defined twice", flags[i].flag);
        const struct settings_flag **grown =
            realloc(settings->flags, (settings->flag_count + 1) * sizeof(*grown));
        if (!grown)
            return ipcl_error_set(error, "out of memory");
        settings->flags = grown;
        grown[settings->flag_count++] = &flags[i];
    }
    return 0;
}

int settings_add_variables(struct settings *settings, const struct settings_variable *variables,
                           size_t count, struct ipcl_error *error)
{
    for (size_t i = 0; i < count; i++) {
        const struct settings_variable **grown =
            realloc(settings->variables, (settings->variable_count + 1) * sizeof(*grown));
        if (!grown)
            return ipcl_error_set(error, "out of memory");
        settings->variables = grown;
        grown[settings->variable_count++] = &variables[i];
    }
    return 0;
}

int settings_add_choices(struct settings *settings, const struct settings_choice *choices,
                         size_t count, struct ipcl_error *error)
{
    for (size_t i = 0; i < count; i++) {
        const struct settings_choice **grown =
            realloc(settings->choices, (settings->choice_count + 1) * sizeof(*grown));
        if (!grown)
            return ipcl_error_set(error, "out of memory");
        settings->choices = grown;
        grown[settings->choice_count++] = &choices[i];
    }
    return 0;
}
