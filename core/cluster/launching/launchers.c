/* The launcher classes that the plugins on the search path offer, by name and alias. */
#include "cluster/launching/launchers.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/log.h"
#include "base/path.h"
#include "cluster/batch/batch_classes.h"
#include "config/nearest.h"
#include "plugin/descriptor.h"
#include "plugin/services.h"

#define WORD_BYTES 128

/* What ipcluster reads for every launcher class, also for those of other plugins. */
static const struct ipcl_option engine_options[] = {
    {"engine_cmd", IPCL_LIST, "", NULL, NULL,
     "The command of an engine. If empty: EngineLauncher.engine_cmd."},
    {"engine_args", IPCL_LIST, "", NULL, NULL,
     "Further arguments for each engine. If empty: EngineLauncher.engine_args."},
};
static const struct ipcl_option controller_options[] = {
    {"controller_cmd", IPCL_LIST, "", NULL, NULL,
     "The command of the controller. If empty: ControllerLauncher.controller_cmd."},
    {"controller_args", IPCL_LIST, "", NULL, NULL,
     "Further arguments for the controller. If empty: ControllerLauncher.controller_args."},
};

/* Endings of class names, which users need not type. */
static const char *const suffixes[] = {
    [IPCL_ROLE_CONTROLLER] = "ControllerLauncher",
    [IPCL_ROLE_ENGINES] = "EngineSetLauncher",
};

/* A launcher plugin's file that was found. */
struct launchers_source {
    struct launchers_source *next;
    char path[PATH_BYTES];
    const struct ipcl_plugin *plugin; /* NULL: the file was refused */
    struct ipcl_error refusal;        /* empty: its classes can be used */
    bool looked_at, told;
};

struct known_class {
    struct known_class *next;
    const struct launchers_source *source;
    struct ipcl_launcher_class class;
    const struct ipcl_batch_system *system; /* whose table it is made from; NULL: none */
    const struct ipcl_option_table *system_settings;
    struct ipcl_option_table table; /* the settings keep a pointer to it */
};

/* What was made from the table of a batch system. */
struct known_system {
    struct known_system *next;
    const struct ipcl_plugin *plugin;
    struct batch_classes *made;
};

struct launchers {
    struct registry *registries[2]; /* search paths, of which the first `scanned` are loaded */
    size_t registry_count, scanned;
    struct settings *settings;
    struct known_class *first;
    struct known_class **last;
    struct known_system *systems;
    struct launchers_source *sources;
    struct launchers_source **last_source;
};

static bool has_alias(const char *aliases, const char *name)
{
    size_t length = strlen(name);
    for (const char *alias = aliases; alias && *alias;) {
        size_t size = strcspn(alias, ",");
        if (size == length && strncasecmp(alias, name, size) == 0)
            return true;
        alias += size + (alias[size] == ',');
    }
    return false;
}

/* Whether `name` is a name, or a name without "EngineSetLauncher" or "ControllerLauncher". */
static bool is_short(const char *class_name, enum ipcl_role role, const char *name)
{
    size_t given = strlen(name);
    return strncasecmp(class_name, name, given) == 0 &&
           (!class_name[given] || strcmp(class_name + given, suffixes[role]) == 0);
}

static bool answers_to(const struct ipcl_launcher_class *class, enum ipcl_role role,
                       const char *name)
{
    return class->role == role &&
           (is_short(class->name, role, name) || has_alias(class->aliases, name));
}

/* The first class from `known` on whose plugin was not refused after it was added. */
static const struct known_class *taken(const struct known_class *known)
{
    while (known && *known->source->refusal.text)
        known = known->next;
    return known;
}

static const struct known_class *find_known(const struct launchers *launchers, enum ipcl_role role,
                                            const char *name)
{
    const struct known_class *known = taken(launchers->first);
    while (known && !answers_to(&known->class, role, name))
        known = taken(known->next);
    return known;
}

/* Returns 0, or -1 with `error` set if a class's name or alias is that of another class. Classes of
 * the plugin `successor` (may be NULL) do not count. */
static int check_word(const struct launchers *launchers, const struct ipcl_launcher_class *class,
                      const char *word, const char *successor, struct ipcl_error *error)
{
    const struct known_class *known = find_known(launchers, class->role, word);
    if (!known || (successor && strcmp(known->source->plugin->name, successor) == 0))
        return 0;
    return ipcl_error_set(error,
                          "its launcher class %s has the name '%s', which %s of the plugin %s "
                          "(%s) has already: give it another name",
                          class->name, word, known->class.name, known->source->plugin->name,
                          known->source->path);
}

static int check_words(const struct launchers *launchers, const struct ipcl_launcher_class *class,
                       const char *successor, struct ipcl_error *error)
{
    char word[WORD_BYTES];
    int status = check_word(launchers, class, class->name, successor, error);
    for (const char *alias = class->aliases; alias && *alias && !status;) {
        size_t size = strcspn(alias, ",");
        snprintf(word, sizeof(word), "%.*s", (int)size, alias);
        status = check_word(launchers, class, word, successor, error);
        alias += size + (alias[size] == ',');
    }
    return status;
}

static int check_names(const struct launchers *launchers, const struct ipcl_plugin *plugin,
                       struct ipcl_error *error)
{
    for (const struct known_class *known = taken(launchers->first); known;
         known = taken(known->next))
        if (strcmp(known->source->plugin->name, plugin->name) == 0)
            return ipcl_error_set(error, "a launcher plugin of this name was found first: %s",
                                  known->source->path);
    for (size_t i = 0; i < descriptor_class_count(plugin); i++) {
        const struct ipcl_launcher_class class = descriptor_class(plugin, i);
        if (check_words(launchers, &class, NULL, error) < 0)
            return -1;
    }
    return 0;
}

/* NULL with `error` set on failure. */
static struct known_class *add_class(struct launchers *launchers,
                                     const struct launchers_source *source,
                                     const struct ipcl_launcher_class *class,
                                     struct ipcl_error *error)
{
    struct known_class *known = calloc(1, sizeof(*known));
    if (!known) {
        ipcl_error_set(error, "no memory for the launcher %s", class->name);
        return NULL;
    }
    bool engines = class->role == IPCL_ROLE_ENGINES;
    known->source = source;
    known->class = *class;
    known->table =
        (struct ipcl_option_table){class->name, engines ? engine_options : controller_options, 2};
    *launchers->last = known;
    launchers->last = &known->next;
    return settings_add(launchers->settings, &known->table, error) < 0 ? NULL : known;
}

/* Takes the classes of a batch system, and their settings. Returns 0 or -1 with `error` set. */
static int take_system(struct launchers *launchers, const struct launchers_source *source,
                       const struct ipcl_batch_system *system, struct ipcl_error *error)
{
    struct known_system *known = calloc(1, sizeof(*known));
    struct batch_classes *made = known ? batch_classes_create(system, error) : NULL;
    if (!made) {
        free(known);
        return ipcl_error_set(error, "no memory for the launchers of %s", system->name);
    }
    *known = (struct known_system){launchers->systems, source->plugin, made};
    launchers->systems = known;
    for (size_t i = 0; i < 2; i++)
        if (check_words(launchers, &made->classes[i], NULL, error) < 0)
            return -1;
    for (size_t i = 0; i < 3; i++)
        if (settings_add(launchers->settings, &made->tables[i], error) < 0)
            return -1;
    for (size_t i = 0; i < 2; i++) {
        struct known_class *class = add_class(launchers, source, &made->classes[i], error);
        if (!class)
            return -1;
        class->system = system;
        class->system_settings = &made->tables[0];
    }
    return 0;
}

/* Takes what a plugin offers. Returns 0, or -1 with `error` set. */
static int take(struct launchers *launchers, const struct launchers_source *source,
                struct ipcl_error *error)
{
    const struct ipcl_plugin *plugin = source->plugin;
    if (check_names(launchers, plugin, error) < 0 ||
        services_add_tables(launchers->settings, plugin, error) < 0)
        return -1;
    for (size_t i = 0; i < descriptor_class_count(plugin); i++) {
        const struct ipcl_launcher_class class = descriptor_class(plugin, i);
        if (!add_class(launchers, source, &class, error))
            return -1;
    }
    size_t count;
    const struct ipcl_batch_system *const *systems = descriptor_systems(plugin, &count);
    for (size_t i = 0; i < count; i++)
        if (take_system(launchers, source, systems[i], error) < 0)
            return -1;
    return 0;
}

/* Whether a plugin came with ipcluster, or takes the place of one that did by having its name. */
static bool is_own(const struct ipcl_plugin *plugin)
{
    char file[PATH_BYTES];
    return path_format(file, NULL, "/%s.la", plugin->name) == 0 &&
           strstr(OWN_LAUNCHERS, file) != NULL;
}

/* Takes those that are new; our own first, so that none takes a name of theirs. */
static void take_new(struct launchers *launchers)
{
    for (int own = 1; own >= 0; own--) {
        for (struct launchers_source *source = launchers->sources; source; source = source->next) {
            struct ipcl_error error;
            if (!source->plugin || source->looked_at || is_own(source->plugin) != own)
                continue;
            source->looked_at = true;
            if (take(launchers, source, &error) < 0)
                ipcl_error_set(&source->refusal, "plugin %s was refused: %s", source->path,
                               error.text);
        }
    }
}

static const struct launchers_source *find_source(const struct launchers *launchers,
                                                  const char *path)
{
    const struct launchers_source *source = launchers->sources;
    while (source && strcmp(source->path, path) != 0)
        source = source->next;
    return source;
}

/* NULL where memory is short. */
static struct launchers_source *new_source(struct launchers *launchers, const char *path,
                                           const struct ipcl_plugin *plugin)
{
    struct launchers_source *source = calloc(1, sizeof(*source));
    if (!source) {
        log_error("no memory for the plugin %s", path);
        return NULL;
    }
    snprintf(source->path, sizeof(source->path), "%s", path);
    source->plugin = plugin;
    *launchers->last_source = source;
    launchers->last_source = &source->next;
    return source;
}

static void add_source(void *context, const struct registry_entry *entry)
{
    struct launchers *launchers = context;
    if (entry->shadowed || find_source(launchers, entry->path))
        return;
    struct launchers_source *source = new_source(launchers, entry->path, entry->plugin);
    if (source)
        source->refusal = entry->refusal;
}

int launchers_take(struct launchers *launchers, const char *path, const struct ipcl_plugin *plugin,
                   struct ipcl_error *error)
{
    struct launchers_source *source = new_source(launchers, path, plugin);
    if (!source)
        return ipcl_error_set(error, "no memory for the plugin %s", path);
    source->looked_at = true;
    return take(launchers, source, error);
}

static struct launcher_choice choice_of(const struct known_class *known)
{
    return (struct launcher_choice){known->source->plugin, &known->class, known->system,
                                    known->system_settings};
}

void launchers_each(const struct launchers *launchers,
                    void (*each)(void *context, const struct launcher_choice *choice),
                    void *context)
{
    for (const struct known_class *known = taken(launchers->first); known;
         known = taken(known->next)) {
        const struct launcher_choice choice = choice_of(known);
        each(context, &choice);
    }
}

int launchers_check_class(const struct launchers *launchers, const struct launcher_choice *choice,
                          struct ipcl_error *error)
{
    return check_words(launchers, choice->class, choice->plugin->name, error);
}

void launchers_search(struct launchers *launchers, struct registry *registry)
{
    launchers->registries[launchers->registry_count++] = registry;
}

int launchers_load(struct launchers *launchers, struct ipcl_error *error)
{
    for (; launchers->scanned < launchers->registry_count; launchers->scanned++) {
        struct registry *registry = launchers->registries[launchers->scanned];
        if (registry_scan(registry, "launcher", add_source, launchers, error) < 0)
            return -1;
        take_new(launchers);
    }
    return 0;
}

bool launchers_warn(struct launchers *launchers)
{
    bool any = false;
    for (struct launchers_source *source = launchers->sources; source; source = source->next) {
        any |= *source->refusal.text != '\0';
        if (*source->refusal.text && !source->told)
            log_warn("%s", source->refusal.text);
        source->told = true;
    }
    return any;
}

bool launchers_took(const struct launchers *launchers, const char *path)
{
    const struct launchers_source *source = find_source(launchers, path);
    return source && !*source->refusal.text;
}

const char *launchers_refusal(const struct launchers *launchers, const char *path)
{
    const struct launchers_source *source = find_source(launchers, path);
    return source && *source->refusal.text ? source->refusal.text : NULL;
}

struct launchers *launchers_create(struct registry *registry, struct settings *settings,
                                   struct ipcl_error *error)
{
    struct launchers *launchers = calloc(1, sizeof(*launchers));
    if (!launchers) {
        ipcl_error_set(error, "no memory for launchers");
        return NULL;
    }
    launchers_search(launchers, registry);
    launchers->settings = settings;
    launchers->last = &launchers->first;
    launchers->last_source = &launchers->sources;
    return launchers;
}

void launchers_destroy(struct launchers *launchers)
{
    if (!launchers)
        return;
    while (launchers->first) {
        struct known_class *known = launchers->first;
        launchers->first = known->next;
        free(known);
    }
    while (launchers->systems) {
        struct known_system *system = launchers->systems;
        launchers->systems = system->next;
        batch_classes_destroy(system->made);
        free(system);
    }
    while (launchers->sources) {
        struct launchers_source *source = launchers->sources;
        launchers->sources = source->next;
        free(source);
    }
    free(launchers);
}

/* Whether a plugin that was refused would have been what is looked for: by its file's name, as its
 * classes may not be known. */
static bool would_answer(const struct launchers_source *source, enum ipcl_role role,
                         const char *name)
{
    const char *file = strrchr(source->path, '/') + 1;
    size_t size = strlen(file) - strlen(".so");
    for (size_t i = 0; source->plugin && i < descriptor_class_count(source->plugin); i++) {
        const struct ipcl_launcher_class class = descriptor_class(source->plugin, i);
        if (answers_to(&class, role, name))
            return true;
    }
    return strncasecmp(file, name, size) == 0 &&
           (!name[size] || strcmp(name + size, suffixes[role]) == 0);
}

static int set_not_found(const struct launchers *launchers, enum ipcl_role role, const char *name,
                         struct ipcl_error *error)
{
    const char *what = role == IPCL_ROLE_ENGINES ? "engines" : "a controller";
    char names[700] = "";
    struct nearest nearest;
    for (const struct launchers_source *source = launchers->sources; source; source = source->next)
        if (*source->refusal.text && would_answer(source, role, name))
            return ipcl_error_set(error, "there is no launcher '%s' for %s: %s", name, what,
                                  source->refusal.text);
    nearest_begin(&nearest, name);
    for (const struct known_class *known = taken(launchers->first); known;
         known = taken(known->next)) {
        size_t used = strlen(names);
        if (known->class.role != role)
            continue;
        nearest_offer(&nearest, known->class.name);
        snprintf(names + used, sizeof(names) - used, "%s%s", used ? ", " : "", known->class.name);
    }
    if (!*names)
        return ipcl_error_set(
            error, "no launcher plugin was found: ipcluster plugins says where it looked");
    return ipcl_error_set(
        error, "there is no launcher '%s' for %s; the nearest known one is %s (there are: %s)",
        name, what, nearest.best, names);
}

const struct batch_classes *launchers_made(const struct launchers *launchers,
                                           const struct ipcl_plugin *plugin,
                                           const struct batch_classes *after)
{
    bool behind = after == NULL;
    for (const struct known_system *system = launchers->systems; system; system = system->next) {
        if (behind && system->plugin == plugin)
            return system->made;
        behind = behind || system->made == after;
    }
    return NULL;
}

int launchers_find(struct launchers *launchers, enum ipcl_role role, const char *name,
                   struct launcher_choice *choice, struct ipcl_error *error)
{
    const char *dot = strrchr(name, '.');
    const char *bare = dot ? dot + 1 : name;
    if (launchers_load(launchers, error) < 0)
        return -1;
    const struct known_class *known = find_known(launchers, role, bare);
    if (!known)
        return set_not_found(launchers, role, bare, error);
    *choice = choice_of(known);
    return 0;
}
