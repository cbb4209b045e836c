/* Loading one plugin: trust, libltdl, and the check of its descriptor. */
#include "plugin/loader.h"

#include <dlfcn.h>
#include <ltdl.h>
#include <pthread.h>
#include <string.h>

#include "base/path.h"

/* libltdl keeps process-wide lists without locks of its own. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

int loader_start(struct ipcl_error *error)
{
    static bool started;
    int status = 0;
    pthread_mutex_lock(&lock);
    if (!started) {
        if (lt_dlinit())
            status = ipcl_error_set(error, "libltdl cannot start: %s", lt_dlerror());
        else
            started = true;
    }
    pthread_mutex_unlock(&lock);
    return status;
}

/* Python's extension modules look for libpython's symbols, and Open MPI's components for libmpi's,
 * among the global ones: what brings these libraries in is loaded globally, and everything else is
 * kept to itself. */
static bool is_global(const char *kind)
{
    return !strcmp(kind, "kernel") || !strcmp(kind, "mpi");
}

/* Why the dynamic linker does not take a file. libltdl asks several loaders in turn and keeps the
 * last one's reason, which is "file not found" whatever the first said. */
static void set_linker_reason(const char *path, struct ipcl_error *error)
{
    const char *reason = lt_dlerror();
    void *handle = dlopen(path, RTLD_LAZY | RTLD_LOCAL);
    if (handle)
        dlclose(handle);
    else
        reason = dlerror();
    ipcl_error_set(error, "plugin %s was refused: it cannot be loaded: %s", path, reason);
}

/* Returns a handle, or NULL with one line in `error`. */
static lt_dlhandle open_file(const char *path, const char *kind, struct ipcl_error *error)
{
    lt_dladvise advise;
    if (lt_dladvise_init(&advise)) {
        ipcl_error_set(error, "plugin %s was refused: out of memory", path);
        return NULL;
    }
    lt_dlhandle handle = NULL;
    if (!(is_global(kind) ? lt_dladvise_global(&advise) : lt_dladvise_local(&advise)))
        handle = lt_dlopenadvise(path, advise);
    if (!handle)
        set_linker_reason(path, error);
    lt_dladvise_destroy(&advise);
    return handle;
}

/* Returns 0, or -1 with the reason in `error`. The ABI is checked before anything behind it is
 * read. */
static int check_descriptor(const struct ipcl_plugin *plugin, const char *kind, const char *name,
                            struct ipcl_error *error)
{
    if (!plugin)
        return ipcl_error_set(error,
                              "it has no descriptor: a plugin exports the constant ipcl_plugin");
    if (plugin->abi_major != IPCL_ABI_MAJOR || plugin->abi_minor > IPCL_ABI_MINOR)
        return ipcl_error_set(
            error,
            "it was built for plugin ABI %u.%u and this program has %d.%d: rebuild it "
            "with the installed headers",
            plugin->abi_major, plugin->abi_minor, IPCL_ABI_MAJOR, IPCL_ABI_MINOR);
    if (plugin->size < sizeof(*plugin))
        return ipcl_error_set(
            error, "its descriptor has %u bytes of %zu: rebuild it with the installed headers",
            plugin->size, sizeof(*plugin));
    if (!plugin->kind || !plugin->name || !plugin->version || !plugin->summary ||
        !plugin->license || !plugin->author || !plugin->operations ||
        (plugin->table_count && !plugin->tables))
        return ipcl_error_set(
            error,
            "its descriptor is incomplete: kind, name, version, summary, license, author and "
            "operations are needed");
    if (strcmp(plugin->kind, kind))
        return ipcl_error_set(error, "it is a plugin of kind '%s' in a folder for kind '%s'",
                              plugin->kind, kind);
    if (strcmp(plugin->name, name))
        return ipcl_error_set(error, "it calls itself '%s': a plugin's file is named for it",
                              plugin->name);
    return 0;
}

static const struct ipcl_plugin *load(const char *path, const char *kind, const char *name,
                                      struct ipcl_error *error)
{
    struct ipcl_error reason;
    if (path_check_trust(path, &reason)) {
        ipcl_error_set(error, "plugin %s was refused: %s", path, reason.text);
        return NULL;
    }
    lt_dlhandle handle = open_file(path, kind, error);
    if (!handle)
        return NULL;
    const struct ipcl_plugin *plugin = lt_dlsym(handle, "ipcl_plugin");
    if (!check_descriptor(plugin, kind, name, &reason))
        return plugin;
    ipcl_error_set(error, "plugin %s was refused: %s", path, reason.text);
    lt_dlclose(handle);
    return NULL;
}

const struct ipcl_plugin *loader_load(const char *path, const char *kind, const char *name,
                                      struct ipcl_error *error)
{
    pthread_mutex_lock(&lock);
    const struct ipcl_plugin *plugin = load(path, kind, name, error);
    pthread_mutex_unlock(&lock);
    return plugin;
}
