/* The plugin registry: the search path, and plugins looked up by name or listed. */
#include "plugin/registry.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/installation.h"
#include "base/log.h"
#include "base/path.h"
#include "plugin/loader.h"

static const struct {
    const char *kind;
    const char *folder;
} kinds[] = {
    {"launcher", "launchers"}, {"mpi", "mpi"},      {"serial", "serial"},
    {"kernel", "kernels"},     {"store", "stores"},
};
#define KIND_COUNT (sizeof(kinds) / sizeof(kinds[0]))

/* A folder of the search path, with a folder a kind in it. */
struct registry_place {
    char path[PATH_BYTES];
    const char *below_kind; /* "/.libs" in a build tree, otherwise "" */
};

struct registry {
    struct registry_place *places;
    size_t place_count;
};

/* Whether an earlier place is the same folder, by whatever path. */
static bool has_place(const struct registry *registry, const struct registry_place *place)
{
    for (size_t i = 0; i < registry->place_count; i++)
        if (path_is_same(registry->places[i].path, place->path) &&
            !strcmp(registry->places[i].below_kind, place->below_kind))
            return true;
    return false;
}

static int add_place(struct registry *registry, const char *path, const char *below_kind,
                     struct ipcl_error *error)
{
    struct registry_place *places =
        realloc(registry->places, (registry->place_count + 1) * sizeof(*places));
    if (!places)
        return ipcl_error_set(error, "out of memory");
    registry->places = places;
    struct registry_place *place = &places[registry->place_count];
    place->below_kind = below_kind;
    if (path_expand(path, place->path, error))
        return -1;
    if (!has_place(registry, place))
        registry->place_count++;
    return 0;
}

static int add_environment_places(struct registry *registry, struct ipcl_error *error)
{
    const char *folders = getenv("IPCLUSTER_PLUGIN_PATH");
    char *copy = strdup(folders ? folders : ""), *rest = copy, *folder;
    if (!copy)
        return ipcl_error_set(error, "out of memory");
    int status = 0;
    while (!status && (folder = strsep(&rest, ":")))
        if (*folder)
            status = add_place(registry, folder, "", error);
    free(copy);
    return status;
}

static int add_own_place(struct registry *registry, struct ipcl_error *error)
{
    char plugins[PATH_BYTES];
    const char *tree = installation_build_tree();
    if (tree ? path_format(plugins, error, "%s/plugins", tree)
             : installation_place(PLUGIN_DIR, plugins, error))
        return -1;
    return add_place(registry, plugins, tree ? "/.libs" : "", error);
}

struct registry *registry_create(const char *profile_dir, struct ipcl_error *error)
{
    char profile_plugins[PATH_BYTES];
    struct registry *registry = calloc(1, sizeof(*registry));
    if (!registry) {
        ipcl_error_set(error, "out of memory");
        return NULL;
    }
    if (loader_start(error) || add_environment_places(registry, error))
        goto failed;
    if (profile_dir && (path_format(profile_plugins, error, "%s/plugins", profile_dir) ||
                        add_place(registry, profile_plugins, "", error)))
        goto failed;
    const char *home = getenv("HOME");
    if (home && *home && add_place(registry, "~/.local/lib/ipcluster", "", error))
        goto failed;
    if (add_own_place(registry, error))
        goto failed;
    return registry;
failed:
    registry_destroy(registry);
    return NULL;
}

void registry_destroy(struct registry *registry)
{
    if (!registry)
        return;
    free(registry->places);
    free(registry);
}

static const char *kind_folder(const char *kind)
{
    for (size_t i = 0; i < KIND_COUNT; i++)
        if (!strcmp(kinds[i].kind, kind))
            return kinds[i].folder;
    return NULL;
}

/* Writes which folders were looked in. */
static void set_not_found(const struct registry *registry, const char *kind, const char *name,
                          struct ipcl_error *error)
{
    char folders[IPCL_ERROR_BYTES] = "";
    size_t length = 0;
    for (size_t i = 0; i < registry->place_count && length < sizeof(folders); i++)
        length += (size_t)snprintf(folders + length, sizeof(folders) - length, "%s%s/%s%s",
                                   i ? ", " : "", registry->places[i].path, kind_folder(kind),
                                   registry->places[i].below_kind);
    ipcl_error_set(error,
                   "there is no %s plugin '%s' (ipcluster plugins lists all plugins); looked for "
                   "%s.so in %s",
                   kind, name, name, folders);
}

const struct ipcl_plugin *registry_load(struct registry *registry, const char *kind,
                                        const char *name, struct ipcl_error *error)
{
    struct ipcl_error refusal, first_refusal = {""};
    const char *folder = kind_folder(kind);
    if (!folder) {
        ipcl_error_set(error, "'%s' is not a kind of plugin", kind);
        return NULL;
    }
    if (!*name || *name == '.' || strchr(name, '/')) {
        ipcl_error_set(error, "'%s' is not the name of a %s plugin: give a name without a folder",
                       name, kind);
        return NULL;
    }
    for (size_t i = 0; i < registry->place_count; i++) {
        const struct registry_place *place = &registry->places[i];
        char path[PATH_BYTES];
        if (path_format(path, error, "%s/%s%s/%s.so", place->path, folder, place->below_kind, name))
            return NULL;
        if (!path_exists(path))
            continue;
        const struct ipcl_plugin *plugin = loader_load(path, kind, name, &refusal);
        if (plugin && *first_refusal.text)
            log_warn("%s; using %s", first_refusal.text, path);
        if (plugin)
            return plugin;
        if (!*first_refusal.text)
            first_refusal = refusal;
    }
    if (*first_refusal.text)
        ipcl_error_set(error, "%s", first_refusal.text);
    else
        set_not_found(registry, kind, name, error);
    return NULL;
}

/* The stem of a plugin's file name, or false where it is not one. */
static bool plugin_name(const char *file, char name[NAME_MAX + 1])
{
    size_t length = strlen(file);
    if (length < 4 || length > NAME_MAX || *file == '.' || strcmp(file + length - 3, ".so"))
        return false;
    memcpy(name, file, length - 3);
    name[length - 3] = '\0';
    return true;
}

/* A file that registry_scan() has come to. */
struct seen {
    const char *kind;
    bool loaded;
    char name[NAME_MAX + 1];
    char path[PATH_BYTES];
};

/* A call of registry_scan(). */
struct registry_scan_of {
    void (*found)(void *context, const struct registry_entry *entry);
    void *context;
    struct seen *seen;
    size_t seen_count;
    struct registry_entry entry;
};

/* Whether this file was there already, reached through another folder; where it was not, notes in
 * the entry whether another plugin of its name goes before it. */
static bool was_seen(struct registry_scan_of *scan, const char *name)
{
    scan->entry.shadowed = false;
    for (size_t i = 0; i < scan->seen_count; i++) {
        const struct seen *seen = &scan->seen[i];
        if (strcmp(seen->kind, scan->entry.kind) || strcmp(seen->name, name))
            continue;
        if (path_is_same(seen->path, scan->entry.path))
            return true;
        scan->entry.shadowed |= seen->loaded;
    }
    return false;
}

static int note_seen(struct registry_scan_of *scan, const char *name, struct ipcl_error *error)
{
    struct seen *all = realloc(scan->seen, (scan->seen_count + 1) * sizeof(*all));
    if (!all)
        return ipcl_error_set(error, "out of memory");
    scan->seen = all;
    struct seen *seen = &all[scan->seen_count++];
    seen->kind = scan->entry.kind;
    seen->loaded = scan->entry.plugin != NULL;
    strcpy(seen->name, name);
    strcpy(seen->path, scan->entry.path);
    return 0;
}

static int scan_file(struct registry_scan_of *scan, const char *folder, const char *file,
                     struct ipcl_error *error)
{
    char name[NAME_MAX + 1];
    struct registry_entry *entry = &scan->entry;
    if (!plugin_name(file, name))
        return 0;
    if (path_format(entry->path, error, "%s/%s", folder, file))
        return -1;
    if (was_seen(scan, name))
        return 0;
    entry->refusal.text[0] = '\0';
    entry->plugin = loader_load(entry->path, entry->kind, name, &entry->refusal);
    entry->shadowed &= entry->plugin != NULL;
    if (note_seen(scan, name, error))
        return -1;
    scan->found(scan->context, entry);
    return 0;
}

static int scan_folder(struct registry_scan_of *scan, const struct registry_place *place,
                       const char *kind, struct ipcl_error *error)
{
    char folder[PATH_BYTES];
    struct dirent **files;
    int status = 0;
    if (path_format(folder, error, "%s/%s%s", place->path, kind_folder(kind), place->below_kind))
        return -1;
    int count = scandir(folder, &files, NULL, alphasort);
    if (count < 0 && (errno == ENOENT || errno == ENOTDIR))
        return 0;
    if (count < 0) {
        /* One folder that cannot be read does not hide the others. */
        log_warn("the plugin folder %s cannot be read: %s", folder, strerror(errno));
        return 0;
    }
    scan->entry.kind = kind;
    for (int i = 0; i < count; i++) {
        if (!status)
            status = scan_file(scan, folder, files[i]->d_name, error);
        free(files[i]);
    }
    free(files);
    return status;
}

int registry_scan(struct registry *registry, const char *kind,
                  void (*found)(void *context, const struct registry_entry *entry), void *context,
                  struct ipcl_error *error)
{
    struct registry_scan_of scan = {.found = found, .context = context};
    int status = 0;
    if (kind && !kind_folder(kind))
        return ipcl_error_set(
            error, "'%s' is not a kind of plugin: use launcher, mpi, serial, kernel or store",
            kind);
    for (size_t k = 0; k < KIND_COUNT && !status; k++)
        for (size_t i = 0; i < registry->place_count && !status; i++)
            if (!kind || !strcmp(kind, kinds[k].kind))
                status = scan_folder(&scan, &registry->places[i], kinds[k].kind, error);
    free(scan.seen);
    return status;
}

void registry_search_path(const struct registry *registry,
                          void (*folder)(void *context, const char *path), void *context)
{
    for (size_t i = 0; i < registry->place_count; i++)
        folder(context, registry->places[i].path);
}
