/* The launcher classes that the plugins on the search path offer, by name and alias. */
#include "cluster/launchers.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/log.h"
#include "config/nearest.h"

/* What the host reads for every launcher class, whoever wrote it. */
static const struct ipcl_option engine_options[] = {
    {"engine_cmd", IPCL_LIST, "", NULL, NULL,
     "The command of an engine; EngineLauncher.engine_cmd where empty."},
    {"engine_args", IPCL_LIST, "", NULL, NULL,
     "Further arguments for each engine; EngineLauncher.engine_args where empty."},
};
static const struct ipcl_option controller_options[] = {
    {"controller_cmd", IPCL_LIST, "", NULL, NULL,
     "The command of the controller; ControllerLauncher.controller_cmd where empty."},
    {"controller_args", IPCL_LIST, "", NULL, NULL,
     "Further arguments for the controller; ControllerLauncher.controller_args where empty."},
};

struct known_class {
    struct known_class *next;
    struct launcher_choice choice;
    struct ipcl_option_table table; /* the settings keep a pointer to it */
};

struct launchers {
    struct known_class *first;
    struct known_class **last;
};

struct scan {
    struct launchers *launchers;
    struct settings *settings;
    const char *dir; /* warn of what is refused below it; NULL: of all */
};

static bool known_plugin(const struct launchers *launchers, const struct ipcl_plugin *plugin)
{
    for (const struct known_class *known = launchers->first; known; known = known->next) {
        if (known->choice.plugin == plugin || strcmp(known->choice.plugin->name, plugin->name) == 0)
            return true;
    }
    return false;
}

static void add_class(struct launchers *launchers, struct settings *settings,
                      struct launcher_choice choice)
{
    struct ipcl_error error;
    struct known_class *known = calloc(1, sizeof(*known));
    if (!known) {
        log_error("no memory for the launcher %s", choice.class->name);
        return;
    }
    bool engines = choice.class->role == IPCL_ROLE_ENGINES;
    known->choice = choice;
    known->table = (struct ipcl_option_table){choice.class->name,
                                              engines ? engine_options : controller_options, 2};
    if (settings_add(settings, &known->table, &error) < 0)
        log_warn("launcher %s: %s", choice.class->name, error.text);
    *launchers->last = known;
    launchers->last = &known->next;
}

/* A plugin whose settings clash with what is there already is left out, and the reason logged. */
static void take_entry(void *context, const struct registry_entry *entry)
{
    struct scan *scan = context;
    const struct ipcl_plugin *plugin = entry->plugin;
    struct ipcl_error error;
    if (!plugin) {
        if (!scan->dir || strncmp(entry->path, scan->dir, strlen(scan->dir)) == 0)
            log_warn("%s", entry->refusal.text);
        return;
    }
    if (entry->shadowed || known_plugin(scan->launchers, plugin))
        return;
    for (size_t i = 0; i < plugin->table_count; i++) {
        if (settings_add(scan->settings, &plugin->tables[i], &error) < 0) {
            log_warn("plugin %s is left out: %s", entry->path, error.text);
            return;
        }
    }
    const struct ipcl_launcher_operations *operations = plugin->operations;
    for (size_t i = 0; i < operations->class_count; i++)
        add_class(scan->launchers, scan->settings,
                  (struct launcher_choice){plugin, &operations->classes[i]});
}

int launchers_add(struct launchers *launchers, struct registry *registry, struct settings *settings,
                  const char *dir, struct ipcl_error *error)
{
    struct scan scan = {launchers, settings, dir};
    return registry_scan(registry, "launcher", take_entry, &scan, error);
}

struct launchers *launchers_create(struct registry *registry, struct settings *settings,
                                   struct ipcl_error *error)
{
    struct launchers *launchers = calloc(1, sizeof(*launchers));
    if (!launchers) {
        ipcl_error_set(error, "no memory for launchers");
        return NULL;
    }
    launchers->last = &launchers->first;
    if (launchers_add(launchers, registry, settings, NULL, error) < 0) {
        launchers_destroy(launchers);
        return NULL;
    }
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
    free(launchers);
}

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

static bool has_name(const struct ipcl_launcher_class *class, const char *name)
{
    const char *suffix =
        class->role == IPCL_ROLE_ENGINES ? "EngineSetLauncher" : "ControllerLauncher";
    size_t length = strlen(class->name), tail = strlen(suffix), given = strlen(name);
    if (strcasecmp(class->name, name) == 0)
        return true;
    return length == given + tail && strncasecmp(class->name, name, given) == 0 &&
           strcmp(class->name + given, suffix) == 0;
}

static int set_not_found(const struct launchers *launchers, enum ipcl_role role, const char *name,
                         struct ipcl_error *error)
{
    char names[700] = "";
    struct nearest nearest;
    nearest_begin(&nearest, name);
    for (const struct known_class *known = launchers->first; known; known = known->next) {
        size_t used = strlen(names);
        if (known->choice.class->role != role)
            continue;
        nearest_offer(&nearest, known->choice.class->name);
        snprintf(names + used, sizeof(names) - used, "%s%s", used ? ", " : "",
                 known->choice.class->name);
    }
    if (!*names)
        return ipcl_error_set(
            error, "no launcher plugin was found: ipcluster plugins says where it looked");
    return ipcl_error_set(
        error, "there is no launcher '%s' for %s; the nearest known one is %s (there are: %s)",
        name, role == IPCL_ROLE_ENGINES ? "engines" : "a controller", nearest.best, names);
}

int launchers_find(const struct launchers *launchers, enum ipcl_role role, const char *name,
                   struct launcher_choice *choice, struct ipcl_error *error)
{
    const char *dot = strrchr(name, '.');
    const char *bare = dot ? dot + 1 : name;
    for (const struct known_class *known = launchers->first; known; known = known->next) {
        const struct ipcl_launcher_class *class = known->choice.class;
        if (class->role == role && (has_name(class, bare) || has_alias(class->aliases, bare))) {
            *choice = known->choice;
            return 0;
        }
    }
    return set_not_found(launchers, role, bare, error);
}
