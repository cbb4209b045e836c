/* Loads one plugin: checks its file, loads it with libltdl, and checks its descriptor. */
#include "plugin/loader.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <ltdl.h>
#include <pthread.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/trust.h"
#include "plugin/elf.h"

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

/* The modules of an embedded interpreter look for symbols of its library among the global ones, and
 * so do Open MPI's components for those of libmpi. So plugins that bring in these libraries are
 * loaded globally, and all others are not. */
static bool is_global(const char *kind)
{
    return kind && (!strcmp(kind, "kernel") || !strcmp(kind, "mpi"));
}

/* Returns 0 if the file at `path` may be mapped: it is complete, and nobody else can change it or
 * put another in its place. Writes its path without links to `real`. The linker opens it by this
 * path: from a descriptor's name it could not find $ORIGIN. */
static int check_file(const char *path, char real[PATH_BYTES], struct ipcl_error *error)
{
    struct stat info;
    int fd = trust_open(path, O_RDONLY | O_NONBLOCK, 0, real, error); /* no FIFO is waited for */
    if (fd < 0)
        return -1;
    int status = fstat(fd, &info) || !S_ISREG(info.st_mode)
                     ? ipcl_error_set(error, "it is not a regular file")
                     : elf_check(fd, error);
    close(fd);
    return status;
}

/* Returns a handle, or NULL with `error` set. libltdl binds a function when it is first called, and
 * of several reasons for a failure it tells the last. So the dynamic linker opens the file first,
 * and binds all functions. */
static lt_dlhandle open_file(const char *path, const char *kind, struct ipcl_error *error)
{
    lt_dladvise advise;
    lt_dlhandle handle = NULL;
    void *bound = dlopen(path, RTLD_NOW | (is_global(kind) ? RTLD_GLOBAL : RTLD_LOCAL));
    if (!bound) {
        const char *reason = dlerror();
        size_t size = strlen(path);
        bool named = !strncmp(reason, path, size) && !strncmp(reason + size, ": ", 2);
        ipcl_error_set(error, "it cannot be loaded: %s", named ? reason + size + 2 : reason);
        return NULL;
    }
    if (!lt_dladvise_init(&advise)) {
        if (!(is_global(kind) ? lt_dladvise_global(&advise) : lt_dladvise_local(&advise)))
            handle = lt_dlopenadvise(path, advise);
        lt_dladvise_destroy(&advise);
    }
    if (!handle)
        ipcl_error_set(error, "it cannot be loaded: %s", lt_dlerror());
    dlclose(bound);
    return handle;
}

static const struct ipcl_plugin *load(const char *path, const char *kind, const char *name,
                                      struct ipcl_error *error)
{
    char real[PATH_BYTES];
    struct ipcl_error reason;
    lt_dlhandle handle = NULL;
    if (!check_file(path, real, &reason) && (handle = open_file(real, kind, &reason))) {
        const struct ipcl_plugin *plugin = lt_dlsym(handle, "ipcl_plugin");
        if (!descriptor_check(plugin, kind, name, &reason))
            return plugin;
    }
    ipcl_error_set(error, "plugin %s was refused: %s", path, reason.text);
    if (handle)
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

/* Passes faults on, and counts them. */
struct counting {
    const struct descriptor_faults *faults;
    unsigned count;
};

static void count_fault(void *context, const char *fault)
{
    struct counting *counting = context;
    counting->count++;
    counting->faults->found(counting->faults->context, fault);
}

static const struct ipcl_plugin *check(const char *path, struct counting *counting)
{
    const struct descriptor_faults faults = {count_fault, counting};
    char real[PATH_BYTES], name[NAME_MAX + 1];
    struct ipcl_error reason;
    lt_dlhandle handle;
    const char *slash = strrchr(path, '/'), *file = slash ? slash + 1 : path;
    snprintf(name, sizeof(name), "%s", file);
    char *dot = strrchr(name, '.');
    if (!dot || strcmp(dot, ".so"))
        count_fault(counting, "its file name must end in .so");
    else
        *dot = '\0';
    if (check_file(path, real, &reason) || !(handle = open_file(real, NULL, &reason))) {
        count_fault(counting, reason.text);
        return NULL;
    }
    const struct ipcl_plugin *plugin = lt_dlsym(handle, "ipcl_plugin");
    descriptor_find_faults(plugin, NULL, name, &faults);
    return counting->count ? NULL : plugin;
}

const struct ipcl_plugin *loader_check(const char *path, const struct descriptor_faults *faults)
{
    struct counting counting = {.faults = faults};
    pthread_mutex_lock(&lock);
    const struct ipcl_plugin *plugin = check(path, &counting);
    pthread_mutex_unlock(&lock);
    return plugin;
}
