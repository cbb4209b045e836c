/* Settings: the tables, and the value of each setting with its rank among the sources. */
#include "config/settings.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/secret.h"
#include "config/settings_private.h"

#define KEY_BYTES 256

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

void pending_destroy(struct pending *pending)
{
    free(pending->class_name);
    free(pending->name);
    secret_free(pending->text);
    free(pending->origin);
    json_decref(pending->json);
    free(pending);
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

bool settings_each_word(const char *list, bool (*each)(void *context, const char *word),
                        void *context)
{
    char word[KEY_BYTES];
    while (list && *list) {
        size_t length = strcspn(list, ",");
        snprintf(word, sizeof(word), "%.*s", (int)length, list);
        if (each(context, word))
            return true;
        list += length + (list[length] == ',');
    }
    return false;
}

/* Where a class stands in the program's line of inheritance, or CLASSES_MAX where it is not in
 * it. */
struct class_place {
    const char *name;
    int place;
};

static bool is_class(void *context, const char *word)
{
    struct class_place *class_place = context;
    if (!strcmp(word, class_place->name) || class_place->place == CLASSES_MAX - 1)
        return true;
    class_place->place++;
    return false;
}

static int class_place(const struct settings *settings, const char *name)
{
    struct class_place place = {name, 0};
    return settings_each_word(settings->program->classes, is_class, &place) ? place.place
                                                                            : CLASSES_MAX;
}

struct setting *settings_lookup(const struct settings *settings, const char *class_name,
                                const char *name)
{
    struct setting *inherited = NULL;
    bool in_line = class_place(settings, class_name) < CLASSES_MAX;
    for (size_t i = 0; i < settings->count; i++) {
        struct setting *item = &settings->items[i];
        if (strcmp(item->option->name, name))
            continue;
        if (!strcmp(item->class_name, class_name))
            return item;
        if (in_line && !inherited && class_place(settings, item->class_name) < CLASSES_MAX)
            inherited = item;
    }
    return inherited ? inherited : others_renamed(settings, class_name, name);
}

bool settings_same_class(const struct settings *settings, const char *one, const char *other)
{
    return !strcmp(one, other) ||
           (class_place(settings, one) < CLASSES_MAX && class_place(settings, other) < CLASSES_MAX);
}

bool settings_class_known(const struct settings *settings, const char *class_name)
{
    if (class_place(settings, class_name) < CLASSES_MAX)
        return true;
    for (size_t i = 0; i < settings->count; i++)
        if (!strcmp(settings->items[i].class_name, class_name))
            return true;
    return false;
}

const char *settings_type_text(enum ipcl_option_type type)
{
    static const char *const texts[] = {
        [IPCL_BOOL] = "true or false",   [IPCL_INT] = "an integer",
        [IPCL_REAL] = "a number",        [IPCL_STRING] = "text",
        [IPCL_LIST] = "a list of texts", [IPCL_MAPPING] = "names with values",
    };
    return texts[type];
}

const char *settings_choice_words(const struct settings *settings, const struct setting *item)
{
    for (size_t i = 0; i < settings->choice_count; i++)
        if (!strcmp(settings->choices[i]->class_name, item->class_name) &&
            !strcmp(settings->choices[i]->name, item->option->name))
            return settings->choices[i]->words;
    return NULL;
}

/* For settings_each_word(): puts a word in the place of the same one in another case. */
static bool take_choice(void *text, const char *word)
{
    return !strcasecmp(text, word) && strcpy(text, word);
}

/* Whether a value is one that the setting takes; its default always is, and a number where that is
 * one. */
static bool is_taken(const struct settings *settings, const struct setting *item,
                     struct value *value)
{
    const char *words = settings_choice_words(settings, item);
    return !words || !strcmp(value->text, item->option->fallback) ||
           settings_each_word(words, take_choice, value->text) ||
           value_is_number(item->option, value->text);
}

static int refuse_value(const struct settings *settings, const struct setting *item,
                        const struct given *given, struct ipcl_error *error)
{
    char *json = given->text ? NULL : json_dumps(given->json, JSON_COMPACT | JSON_ENCODE_ANY);
    const char *found = given->text ? given->text : json ? json : "something else";
    const char *words = settings_choice_words(settings, item);
    ipcl_error_set(error, "%s: %s.%s expects %s%s, not %.80s", given->origin, given->class_name,
                   given->name, words ? "one of " : "",
                   words ? words : settings_type_text(item->option->type),
                   *found ? found : "nothing");
    free(json);
    return -1;
}

/* What JSON has as null, and Python as None, is not set. */
static bool is_nothing(const struct setting *item, const struct given *given)
{
    if (!given->text)
        return json_is_null(given->json);
    return !strcmp(given->text, "None") &&
           (item->option->type == IPCL_INT || item->option->type == IPCL_REAL);
}

/* A list that is given word by word, each with the option's name, is one. NULL where memory is
 * short. */
static const struct value *join(struct settings *settings, const struct value *first,
                                const struct value *second)
{
    struct value *all = value_from_text(IPCL_LIST, "");
    if (!all || !value_add(all, first) || !value_add(all, second)) {
        value_destroy(all);
        return NULL;
    }
    all->next = settings->values;
    settings->values = all;
    return all;
}

static int assign(struct settings *settings, struct setting *item, const struct given *given,
                  struct ipcl_error *error)
{
    if (is_nothing(item, given))
        return 0;
    int rank =
        given->source * (CLASSES_MAX + 1) + CLASSES_MAX - class_place(settings, given->class_name);
    struct value *parsed = given->text ? value_from_text(item->option->type, given->text)
                                       : value_from_json(item->option, given->json);
    const struct value *value = parsed;
    if (parsed) {
        parsed->next = settings->values;
        settings->values = parsed;
    }
    if (!parsed || !is_taken(settings, item, parsed))
        return refuse_value(settings, item, given, error);
    if (rank < item->rank)
        return 0;
    if ((item->option->type == IPCL_LIST || item->option->type == IPCL_MAPPING) &&
        rank == item->rank && given->source == SOURCE_COMMAND_LINE &&
        !(value = join(settings, item->value, value)))
        return ipcl_error_set(error, "out of memory");
    item->value = value;
    item->rank = rank;
    return 0;
}

static int refuse_key(const struct settings *settings, const struct given *given,
                      struct ipcl_error *error)
{
    char wanted[KEY_BYTES], key[KEY_BYTES], command[SETTINGS_COMMAND_BYTES];
    struct nearest nearest;
    bool known = settings_class_known(settings, given->class_name);
    snprintf(wanted, sizeof(wanted), "%s.%s", given->class_name, given->name);
    settings_command(settings->program, command);
    nearest_begin(&nearest, wanted);
    for (size_t i = 0; i < settings->count; i++) {
        const struct setting *item = &settings->items[i];
        /* Where the class is right, only its own traits are near. */
        bool same =
            known && settings_lookup(settings, given->class_name, item->option->name) == item;
        snprintf(key, sizeof(key), "%s.%s", same ? given->class_name : item->class_name,
                 item->option->name);
        if (same || !known)
            nearest_offer(&nearest, key);
        if (!known && class_place(settings, item->class_name) < CLASSES_MAX)
            inherited_offer(settings, item->option->name, &nearest);
    }
    others_offer(settings, known ? given->class_name : NULL, &nearest);
    return ipcl_error_set(error, "%s: there is no setting %s%s%s (%s --help-all lists them all)",
                          given->origin, wanted, *nearest.best ? "; the nearest known one is " : "",
                          nearest.best, command);
}

static int keep(struct settings *settings, const struct given *given, struct ipcl_error *error)
{
    struct pending *pending = calloc(1, sizeof(*pending));
    if (!pending)
        return ipcl_error_set(error, "out of memory");
    pending->class_name = strdup(given->class_name);
    pending->name = strdup(given->name);
    pending->origin = strdup(given->origin);
    pending->source = given->source;
    if (given->text)
        pending->text = strdup(given->text);
    else
        pending->json = json_deep_copy(given->json);
    if (!pending->class_name || !pending->name || !pending->origin ||
        (!pending->text && !pending->json)) {
        pending_destroy(pending);
        return ipcl_error_set(error, "out of memory");
    }
    struct pending **last = &settings->pending;
    while (*last)
        last = &(*last)->next;
    *last = pending;
    return 0;
}

int settings_give(struct settings *settings, const struct given *given, struct ipcl_error *error)
{
    struct setting *item = settings_lookup(settings, given->class_name, given->name);
    if (item)
        return assign(settings, item, given, error);
    if (settings_class_known(settings, given->class_name) &&
        !others_accepted(settings, given->class_name, given->name))
        return refuse_key(settings, given, error);
    return keep(settings, given, error);
}

static struct given given_from(const struct pending *pending)
{
    return (struct given){
        .class_name = pending->class_name,
        .name = pending->name,
        .text = pending->text,
        .json = pending->json,
        .source = pending->source,
        .origin = pending->origin,
    };
}

static int apply_pending(struct settings *settings, struct ipcl_error *error)
{
    struct pending **at = &settings->pending;
    while (*at) {
        struct pending *pending = *at;
        struct setting *item = settings_lookup(settings, pending->class_name, pending->name);
        if (!item) {
            at = &pending->next;
            continue;
        }
        struct given given = given_from(pending);
        if (assign(settings, item, &given, error))
            return -1;
        *at = pending->next;
        pending_destroy(pending);
    }
    return 0;
}

bool settings_waiting(const struct settings *settings)
{
    return settings->pending != NULL;
}

int settings_finish(struct settings *settings, struct ipcl_error *error)
{
    others_warn(settings);
    settings_warn_of_keys(settings);
    for (const struct pending *pending = settings->pending; pending; pending = pending->next) {
        struct given given = given_from(pending);
        if (!others_accepted(settings, pending->class_name, pending->name))
            return refuse_key(settings, &given, error);
    }
    return 0;
}

void settings_variable(const char *class_name, const char *name,
                       char variable[SETTINGS_VARIABLE_BYTES])
{
    snprintf(variable, SETTINGS_VARIABLE_BYTES, "IPCLUSTER_%s_%s", class_name, name);
    for (char *at = variable; *at; at++)
        *at = (char)toupper((unsigned char)*at);
}

/* A setting that is being looked for in the environment. */
struct environment_search {
    struct settings *settings;
    struct setting *item;
    struct ipcl_error *error;
};

/* Reads the variable of a setting under one class name. Returns true where it is wrong. */
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
    return given.text && assign(search->settings, search->item, &given, search->error);
}

/* Returns 0 or -1 with `error` set. */
static int read_environment(struct settings *settings, struct setting *item,
                            struct ipcl_error *error)
{
    struct environment_search search = {settings, item, error};
    const char *class_name = item->class_name;
    bool in_line = class_place(settings, class_name) < CLASSES_MAX;
    bool wrong = in_line ? settings_each_word(settings->program->classes, read_variable, &search)
                         : read_variable(&search, class_name);
    return wrong ? -1 : 0;
}

/* Reads the variables that others have made known, of the settings there are. */
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
        if (item && given.text && *given.text && assign(settings, item, &given, error))
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
        if (read_environment(settings, &settings->items[i], error))
            return -1;
    return 0;
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
    if (assign(settings, &items[settings->count], &given, error))
        return -1;
    settings->count++;
    return settings->environment_read
               ? read_environment(settings, &items[settings->count - 1], error)
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
        return ipcl_error_set(error, "%s.%s is inherited from %s, which has no such setting",
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
        return ipcl_error_set(error, "the setting %s.%s is there twice", class_name, option->name);
    if (!settings->command_line_read && settings_each_word(option->aliases, alias_taken, &search))
        return ipcl_error_set(error, "an alias of the setting %s.%s (%s) is there twice",
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
    return apply_pending(settings, error);
}

int settings_add_flags(struct settings *settings, const struct settings_flag *flags, size_t count,
                       struct ipcl_error *error)
{
    for (size_t i = 0; i < count; i++) {
        struct alias_search search = {.settings = settings};
        if (flags[i].help && alias_taken(&search, flags[i].flag))
            return ipcl_error_set(error, "the flag --%s is there twice", flags[i].flag);
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

int settings_set(struct settings *settings, const char *class_name, const char *name,
                 const char *value, struct ipcl_error *error)
{
    struct given given = {
        .class_name = class_name,
        .name = name,
        .text = value,
        .source = SOURCE_COMMAND_LINE,
        .origin = "a setting made by the program",
    };
    return settings_give(settings, &given, error);
}
