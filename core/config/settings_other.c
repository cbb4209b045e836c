/* Settings that hold no value: other names of those that do, and names that are accepted without
 * effect. */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "config/settings_private.h"

int others_add(struct settings *settings, const char *class_name, const struct ipcl_option *option,
               struct ipcl_error *error)
{
    struct other_row *others =
        realloc(settings->others, (settings->other_count + 1) * sizeof(*others));
    if (!others)
        return ipcl_error_set(error, "out of memory");
    settings->others = others;
    others[settings->other_count++] = (struct other_row){class_name, option};
    return 0;
}

static bool same_word(void *context, const char *word)
{
    return !strcmp(context, word);
}

/* The row of a type for a name. A row with that name goes before one for all names. */
static const struct other_row *find(const struct settings *settings, enum ipcl_option_type type,
                                    const char *class_name, const char *name)
{
    const struct other_row *all = NULL;
    for (size_t i = 0; i < settings->other_count; i++) {
        const struct other_row *other = &settings->others[i];
        if (other->option->type != type ||
            !settings_same_class(settings, other->class_name, class_name))
            continue;
        if (settings_each_word(other->option->name, same_word, (void *)name))
            return other;
        if (!strcmp(other->option->name, "*"))
            all = other;
    }
    return all && !settings_class_known(settings, class_name) ? all : NULL;
}

const char *others_renamed(const struct settings *settings, const char *class_name,
                           const char *name, char target[OTHERS_NAME_BYTES])
{
    const struct other_row *other = find(settings, IPCL_RENAMED, class_name, name);
    if (!other)
        return NULL;
    snprintf(target, OTHERS_NAME_BYTES, "%s", other->option->fallback);
    char *dot = strchr(target, '.');
    *dot = '\0';
    return strcmp(dot + 1, "*") ? dot + 1 : name;
}

const struct ipcl_option *others_ignored(const struct settings *settings, const char *class_name,
                                         const char *name)
{
    const struct other_row *other = find(settings, IPCL_IGNORED, class_name, name);
    return other ? other->option : NULL;
}

bool others_passed(const struct settings *settings, const char *class_name, const char *name)
{
    return find(settings, IPCL_PASSED, class_name, name) != NULL;
}

bool others_accepted(const struct settings *settings, const char *class_name, const char *name)
{
    return others_ignored(settings, class_name, name) || others_passed(settings, class_name, name);
}

/* Whether `pending` counts for its setting: it is the last of the highest source. */
static bool counts(const struct settings *settings, const struct pending *pending)
{
    bool behind = false;
    for (const struct pending *other = settings->pending; other; other = other->next) {
        if (!strcmp(other->class_name, pending->class_name) &&
            !strcmp(other->name, pending->name) &&
            (other->source > pending->source || (behind && other->source == pending->source)))
            return false;
        behind = behind || other == pending;
    }
    return true;
}

void others_add_passed(const struct settings *settings, json_t *classes)
{
    for (const struct pending *pending = settings->pending; pending; pending = pending->next) {
        if (!others_passed(settings, pending->class_name, pending->name) ||
            !counts(settings, pending))
            continue;
        json_t *traits = json_object_get(classes, pending->class_name);
        if (!traits) {
            traits = json_object();
            json_object_set_new(classes, pending->class_name, traits);
        }
        json_object_set_new(traits, pending->name,
                            pending->text ? json_string(pending->text)
                                          : json_incref(pending->json));
    }
}

char *settings_passed(const struct settings *settings)
{
    json_t *classes = json_object();
    others_add_passed(settings, classes);
    char *text = json_dumps(classes, JSON_COMPACT);
    json_decref(classes);
    return text;
}

const struct other_row *others_alias(const struct settings *settings, const char *alias,
                                     bool (*same)(void *alias, const char *word))
{
    for (size_t i = 0; i < settings->other_count; i++)
        if (settings_each_word(settings->others[i].option->aliases, same, (void *)alias))
            return &settings->others[i];
    return NULL;
}

struct offering {
    const char *class_name;
    struct nearest *nearest;
    const char *name; /* of a setting that several classes have */
};

static bool offer(void *context, const char *word)
{
    struct offering *offering = context;
    char name[2 * OTHERS_NAME_BYTES];
    snprintf(name, sizeof(name), "%s.%s", offering->class_name, word);
    if (strcmp(word, "*"))
        nearest_offer(offering->nearest, name);
    return false;
}

static bool offer_of_class(void *context, const char *class_name)
{
    const struct offering *offering = context;
    struct offering of_class = {class_name, offering->nearest, NULL};
    return offer(&of_class, offering->name);
}

void inherited_offer(const struct settings *settings, const char *name, struct nearest *nearest)
{
    struct offering offering = {NULL, nearest, name};
    settings_each_word(settings->program->classes, offer_of_class, &offering);
}

void others_offer(const struct settings *settings, const char *class_name, struct nearest *nearest)
{
    for (size_t i = 0; i < settings->other_count; i++) {
        const struct other_row *other = &settings->others[i];
        struct offering offering = {other->class_name, nearest, NULL};
        if (!class_name || settings_same_class(settings, class_name, other->class_name))
            settings_each_word(other->option->name, offer, &offering);
    }
}

/* Whether the list has an earlier value of the same setting. */
static bool said_before(const struct pending *first, const struct pending *pending)
{
    for (; first != pending; first = first->next)
        if (!strcmp(first->class_name, pending->class_name) && !strcmp(first->name, pending->name))
            return true;
    return false;
}

void others_warn(struct settings *settings)
{
    for (struct pending *pending = settings->pending; pending; pending = pending->next) {
        const struct ipcl_option *option =
            others_ignored(settings, pending->class_name, pending->name);
        if (option && !json_is_null(pending->json) && !said_before(settings->pending, pending))
            log_warn("%s.%s has no effect: %s (given by %s)", pending->class_name, pending->name,
                     option->help, pending->origin);
    }
    struct pending **at = &settings->pending;
    while (*at) {
        struct pending *pending = *at;
        if (!others_ignored(settings, pending->class_name, pending->name)) {
            at = &pending->next;
            continue;
        }
        *at = pending->next;
        pending_destroy(pending);
    }
}
