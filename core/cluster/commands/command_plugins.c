/* ipcluster plugins: what was found where, what was refused and why, and what one plugin can do. */
#include <stdio.h>
#include <string.h>

#include <jansson.h>

#include "cluster/batch/batch_classes.h"
#include "cluster/settings/cluster.h"
#include "cluster/commands/columns.h"
#include "cluster/commands/commands.h"
#include "cluster/plugins/plugin_check.h"
#include "cluster/plugins/plugin_new.h"
#include "plugin/descriptor.h"

static const struct settings_program program = {
    .name = "ipcluster",
    .page = "ipcluster-plugins",
    .usage = "ipcluster plugins [options] [NAME | new KIND NAME | check FILE... [-- SETTINGS]]",
    .description = "Shows the plugins on the search path, and which were refused and why. With "
                   "a NAME: what that plugin offers, and its settings with their defaults. new "
                   "makes a folder that builds, with a test, a manual page and files for "
                   "packages. KIND is batch (a batch system's table), launcher, mpi, serial, "
                   "kernel or store. check tests the plugin in a file. It writes one sentence "
                   "for each fault, and ends with status 1 if there is one. To test a launcher "
                   "it starts and stops sleep and true, with the settings after --. To test a "
                   "batch system's table it reads samples.",
    .examples = "ipcluster plugins\n"
                "ipcluster plugins mpiexec\n"
                "ipcluster plugins new batch mine\n"
                "IPCLUSTER_PLUGIN_PATH=~/my/plugins ipcluster plugins --json",
    .words = "new,check",
    .classes = CLUSTER_CLASSES,
};

static const struct ipcl_option options[] = {
    {"json", IPCL_BOOL, "false", "json", "true", "Write JSON."},
    {"folder", IPCL_STRING, "", "folder", NULL,
     "For new: the folder to make. Default: a folder with the plugin's name."},
    {"samples", IPCL_STRING, "", "samples", NULL,
     "For check: a folder of samples. Each file holds what a command of the batch system prints; "
     "its name begins with submit, refused, query, history, unknown or unreachable. check shows "
     "what the table reads in them."},
};
static const struct ipcl_option_table table = {"IPClusterPlugins", options,
                                               sizeof(options) / sizeof(*options)};

static const char *const type_names[] = {
    [IPCL_BOOL] = "true or false", [IPCL_INT] = "integer",
    [IPCL_REAL] = "number",        [IPCL_STRING] = "text",
    [IPCL_LIST] = "list",          [IPCL_RENAMED] = "another name",
    [IPCL_PASSED] = "handed on",   [IPCL_IGNORED] = "without effect",
    [IPCL_MAPPING] = "mapping",    [IPCL_INHERITED] = "inherited",
};

struct plugins_gathering {
    const struct launchers *launchers;
    const char *name; /* NULL for all */
    json_t *found;
};

static void add_class(json_t *classes, const struct ipcl_launcher_class *class)
{
    json_array_append_new(classes,
                          json_pack("{s:s s:s s:s s:s}", "name", class->name, "aliases",
                                    class->aliases ? class->aliases : "", "role",
                                    class->role == IPCL_ROLE_ENGINES ? "engines" : "controller",
                                    "summary", class->summary));
}

static json_t *classes_json(const struct launchers *launchers, const struct ipcl_plugin *plugin)
{
    const struct batch_classes *made = NULL;
    json_t *classes = json_array();
    if (strcmp(plugin->kind, "launcher") != 0)
        return classes;
    for (size_t i = 0; i < descriptor_class_count(plugin); i++) {
        const struct ipcl_launcher_class class = descriptor_class(plugin, i);
        add_class(classes, &class);
    }
    while ((made = launchers_made(launchers, plugin, made)))
        for (size_t i = 0; i < 2; i++)
            add_class(classes, &made->classes[i]);
    return classes;
}

static void add_table(json_t *list, const struct ipcl_option_table *settings)
{
    for (size_t i = 0; i < settings->count; i++) {
        const struct ipcl_option *option = &settings->options[i];
        json_array_append_new(list,
                              json_pack("{s:s s:s s:s s:s s:s s:s}", "class", settings->class_name,
                                        "name", option->name, "type", type_names[option->type],
                                        "default", option->fallback ? option->fallback : "",
                                        "aliases", option->aliases ? option->aliases : "", "help",
                                        option->help ? option->help : ""));
    }
}

static json_t *options_json(const struct launchers *launchers, const struct ipcl_plugin *plugin)
{
    const struct batch_classes *made = NULL;
    json_t *list = json_array();
    for (size_t t = 0; t < plugin->table_count; t++)
        add_table(list, &plugin->tables[t]);
    while ((made = launchers_made(launchers, plugin, made)))
        for (size_t t = 0; t < 3; t++)
            add_table(list, &made->tables[t]);
    return list;
}

/* A file's name without its folder and suffix, as plugins are named. */
static bool has_stem(const char *path, const char *name)
{
    const char *slash = strrchr(path, '/');
    const char *file = slash ? slash + 1 : path;
    return strncmp(file, name, strlen(name)) == 0 && strcmp(file + strlen(name), ".so") == 0;
}

static void gather(void *context, const struct registry_entry *entry)
{
    struct plugins_gathering *gathering = context;
    const struct ipcl_plugin *plugin = entry->plugin;
    const char *refusal =
        plugin ? launchers_refusal(gathering->launchers, entry->path) : entry->refusal.text;
    bool hidden = entry->shadowed && !launchers_took(gathering->launchers, entry->path);
    if (gathering->name && !has_stem(entry->path, gathering->name))
        return;
    json_t *item =
        !refusal
            ? json_pack("{s:s s:s s:s s:s s:s s:s s:s s:b s:o s:o}", "path", entry->path, "kind",
                        entry->kind, "name", plugin->name, "version", plugin->version, "summary",
                        plugin->summary, "license", plugin->license, "author", plugin->author,
                        "shadowed", hidden, "classes", classes_json(gathering->launchers, plugin),
                        "options", options_json(gathering->launchers, plugin))
            : json_pack("{s:s s:s s:s}", "path", entry->path, "kind", entry->kind, "refused",
                        refusal);
    if (item)
        json_array_append_new(gathering->found, item);
}

static const char *text(const json_t *item, const char *key)
{
    const char *value = json_string_value(json_object_get(item, key));
    return value ? value : "";
}

static void write_folder(void *context, const char *path)
{
    (void)context;
    printf("  %s%s\n", path, path_exists(path) ? "" : " (not there)");
}

static void write_table(const struct registry *registry, const json_t *found)
{
    size_t position;
    json_t *item;
    json_t *rows = json_pack("[[ssss]]", "KIND", "NAME", "VERSION", "SUMMARY");
    json_array_foreach (found, position, item) {
        if (*text(item, "refused"))
            continue;
        json_array_append_new(rows, json_pack("[ssss+]", text(item, "kind"), text(item, "name"),
                                              text(item, "version"), text(item, "summary"),
                                              json_is_true(json_object_get(item, "shadowed"))
                                                  ? " (hidden by an earlier one of this name)"
                                                  : ""));
        json_array_append_new(rows, json_pack("[ssss]", "", "", "", text(item, "path")));
    }
    columns_write(rows, stdout);
    json_decref(rows);
    bool first = true;
    json_array_foreach (found, position, item) {
        if (!*text(item, "refused"))
            continue;
        printf("%s  %s\n", first ? "\nRefused:\n" : "", text(item, "refused"));
        first = false;
    }
    printf("\nSearched:\n");
    registry_search_path(registry, write_folder, NULL);
}

static void write_plugin(const json_t *item)
{
    size_t position;
    json_t *part;
    if (*text(item, "refused")) {
        printf("Refused: %s\n", text(item, "refused"));
        return;
    }
    printf("%s %s: %s\n  kind     %s\n  file     %s%s\n  licence  %s\n  author   %s\n",
           text(item, "name"), text(item, "version"), text(item, "summary"), text(item, "kind"),
           text(item, "path"),
           json_is_true(json_object_get(item, "shadowed"))
               ? " (hidden by an earlier one of this name)"
               : "",
           text(item, "license"), text(item, "author"));
    if (json_array_size(json_object_get(item, "classes")) > 0)
        printf("\nLaunchers:\n");
    json_array_foreach (json_object_get(item, "classes"), position, part)
        printf("  %-26s %s%s%s\n", text(part, "name"), text(part, "summary"),
               *text(part, "aliases") ? "; short: " : "", text(part, "aliases"));
    if (json_array_size(json_object_get(item, "options")) > 0)
        printf("\nSettings:\n");
    json_array_foreach (json_object_get(item, "options"), position, part) {
        const char *aliases = text(part, "aliases");
        if (strcmp(text(part, "type"), type_names[IPCL_INHERITED]) == 0) {
            printf("  %s.%s: by default as for %s\n", text(part, "class"), text(part, "name"),
                   text(part, "default"));
            continue;
        }
        if (strcmp(text(part, "type"), type_names[IPCL_IGNORED]) == 0)
            continue;
        printf("  %s.%s (%s, default '%s')%s%s\n      %s\n", text(part, "class"),
               text(part, "name"), text(part, "type"), text(part, "default"),
               *aliases ? ", also --" : "", aliases, text(part, "help"));
    }
}

static int show(const struct cluster *cluster, const char *name, bool as_json,
                struct ipcl_error *error)
{
    struct plugins_gathering gathering = {
        .launchers = cluster->launchers, .name = name, .found = json_array()};
    int outcome = launchers_load(cluster->launchers, error);
    if (outcome == 0)
        outcome = registry_scan(cluster->registry, NULL, gather, &gathering, error);
    size_t position;
    json_t *item;
    if (outcome == 0 && name && json_array_size(gathering.found) == 0)
        outcome =
            ipcl_error_set(error, "there is no plugin '%s' (ipcluster plugins lists them)", name);
    if (outcome == 0 && as_json) {
        json_dumpf(gathering.found, stdout, JSON_INDENT(2));
        putchar('\n');
    } else if (outcome == 0 && name) {
        json_array_foreach (gathering.found, position, item)
            write_plugin(item);
    } else if (outcome == 0) {
        write_table(cluster->registry, gathering.found);
    }
    json_decref(gathering.found);
    return outcome;
}

/* Returns 0; 1 if anything is wrong with a file; or -1 with `error` set. */
static int check(const struct cluster *cluster, struct ipcl_error *error)
{
    const char *samples = settings_string(cluster->settings, "IPClusterPlugins", "samples");
    bool good = true;
    if (cluster->word_count < 2)
        return ipcl_error_set(error, "name the plugin's file: ipcluster plugins check FILE");
    for (int i = 1; i < cluster->word_count; i++)
        good = plugin_check(cluster->words[i], *samples ? samples : NULL, cluster->extra) && good;
    return good ? 0 : 1;
}

static int make(const struct cluster *cluster, struct ipcl_error *error)
{
    const char *folder = settings_string(cluster->settings, "IPClusterPlugins", "folder");
    if (cluster->word_count != 3)
        return ipcl_error_set(error, "name a kind and a plugin: ipcluster plugins new KIND "
                                     "NAME, where KIND is batch, launcher, mpi, serial, kernel "
                                     "or store");
    const char *name = cluster->words[2], *place = *folder ? folder : name;
    if (plugin_new(cluster->words[1], name, place, error) < 0)
        return -1;
    printf("%s/%s.c is the plugin. In %s, make builds it, make check tests it, and make install "
           "puts it where ipcluster finds it.\n",
           place, name, place);
    return 0;
}

static int act(const struct cluster *cluster, struct ipcl_error *error)
{
    const char *word = cluster->word_count ? cluster->words[0] : NULL;
    if (word && strcmp(word, "check") == 0)
        return check(cluster, error);
    if (word && strcmp(word, "new") == 0)
        return make(cluster, error);
    if (cluster->word_count > 1)
        return ipcl_error_set(error, "give the NAME of one plugin");
    return show(cluster, word, settings_bool(cluster->settings, "IPClusterPlugins", "json"), error);
}

static int run(struct cluster *cluster, struct ipcl_error *error)
{
    return act(cluster, error) == 0 ? EXIT_FINE : EXIT_WRONG;
}

const struct cluster_command command_plugins = {
    .name = "plugins",
    .summary = "show the plugins that were found or refused, or one of them",
    .program = &program,
    .table = &table,
    .need = NEED_ANY_PROFILE,
    .run = run,
};
