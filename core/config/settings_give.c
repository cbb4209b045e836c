/* How a setting gets its value: the source with the highest rank counts. A value is kept for later
 * if no table has the setting yet. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "config/settings_private.h"

#define KEY_BYTES 256

struct setting *settings_lookup(const struct settings *settings, const char *class_name,
                                const char *name)
{
    struct setting *inherited = NULL;
    char target[OTHERS_NAME_BYTES];
    bool in_line = settings_class_place(settings, class_name) < CLASSES_MAX;
    for (size_t i = 0; i < settings->count; i++) {
        struct setting *item = &settings->items[i];
        if (strcmp(item->option->name, name))
            continue;
        if (!strcmp(item->class_name, class_name))
            return item;
        if (in_line && !inherited && settings_class_place(settings, item->class_name) < CLASSES_MAX)
            inherited = item;
    }
    const char *renamed = inherited ? NULL : others_renamed(settings, class_name, name, target);
    return renamed ? settings_lookup(settings, target, renamed) : inherited;
}

/* For settings_each_word(): replaces the same word in another case. */
static bool take_choice(void *text, const char *word)
{
    return !strcasecmp(text, word) && strcpy(text, word);
}

/* Whether a value is one that the setting takes. It always takes its default, and a number if it
 * takes numbers (value_is_number()). */
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

/* null in JSON, and None in Python, set nothing. */
static bool is_nothing(const struct setting *item, const struct given *given)
{
    if (!given->text)
        return json_is_null(given->json);
    return !strcmp(given->text, "None") &&
           (item->option->type == IPCL_INT || item->option->type == IPCL_REAL);
}

/* A list can be given word by word, each with the option's name. NULL if memory is short. */
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

int settings_assign(struct settings *settings, struct setting *item, const struct given *given,
                    struct ipcl_error *error)
{
    if (is_nothing(item, given))
        return 0;
    int rank = given->source * (CLASSES_MAX + 1) + CLASSES_MAX -
               settings_class_place(settings, given->class_name);
    struct value *parsed = given->text ? value_from_text(item->option->type, given->text)
                                       : value_from_json(item->option, given->json);
    const struct value *value = parsed;
    if (parsed) {
        parsed->option = item->option;
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
        /* If the class is known, only its own settings are suggested. */
        bool same =
            known && settings_lookup(settings, given->class_name, item->option->name) == item;
        snprintf(key, sizeof(key), "%s.%s", same ? given->class_name : item->class_name,
                 item->option->name);
        if (same || !known)
            nearest_offer(&nearest, key);
        if (!known && settings_class_place(settings, item->class_name) < CLASSES_MAX)
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
        return settings_assign(settings, item, given, error);
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

int settings_apply_pending(struct settings *settings, struct ipcl_error *error)
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
        if (settings_assign(settings, item, &given, error))
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
