/* Becoming the interpreter that a kernel lives in. */
#include "engine/become.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/installation.h"
#include "base/mark.h"
#include "engine/watch_private.h"
#include "plugin/descriptor.h"
#include "plugin/services.h"

#define LEAD_WORDS 5 /* of the dynamic linker's, at most */

/* Lets it be kept, and says which it is. */
static int keep_watcher(const struct engine *engine, struct ipcl_error *error)
{
    char text[16];
    snprintf(text, sizeof(text), "%d", engine->watcher);
    if (engine->watcher >= 0 && fcntl(engine->watcher, F_SETFD, 0))
        return ipcl_error_set(error, "a descriptor cannot be kept: %s", strerror(errno));
    return setenv(BECOME_VARIABLE, text, 1) ? ipcl_error_set(error, "out of memory") : 0;
}

int become_take_over(struct engine *engine, struct ipcl_error *error)
{
    const char *text = getenv(BECOME_VARIABLE);
    if (!text || sscanf(text, "%d", &engine->watcher) != 1 ||
        (engine->watcher >= 0 && fcntl(engine->watcher, F_SETFD, FD_CLOEXEC)))
        return ipcl_error_set(error, "start an engine with ipengine, or with python -m "
                                     "ipcluster.engine");
    unsetenv(BECOME_VARIABLE);
    return 0;
}

static size_t count(char *const *words)
{
    size_t number = 0;
    while (words[number])
        number++;
    return number;
}

#ifdef __SANITIZE_ADDRESS__
void __asan_init(void);

/* AddressSanitizer's runtime must be a program's first library. The dynamic linker, run as a
 * program, loads it for this program and, unlike LD_PRELOAD, for none that this program starts. */
static size_t lead(char **words, char *program)
{
    static char preload[] = "--preload", argv0[] = "--argv0";
    Dl_info linker, runtime;
    if (!dladdr((void *)getauxval(AT_BASE), &linker) || !dladdr((void *)__asan_init, &runtime))
        return 0;
    char *const leading[LEAD_WORDS] = {(char *)linker.dli_fname, preload, (char *)runtime.dli_fname,
                                       argv0, program};
    memcpy(words, leading, sizeof(leading));
    return LEAD_WORDS;
}
#else
static size_t lead(char **words, char *program)
{
    (void)words;
    (void)program;
    return 0;
}
#endif

/* Executes `command` followed by `arguments`. Returns only if that fails. */
static int execute(char *const *command, char *const *arguments, struct ipcl_error *error)
{
    size_t leading = count(command), following = count(arguments);
    char **words = calloc(LEAD_WORDS + leading + following + 1, sizeof(*words));
    if (!words)
        return ipcl_error_set(error, "out of memory");
    size_t used = lead(words, command[0]);
    memcpy(words + used, command, leading * sizeof(*words));
    memcpy(words + used + leading, arguments, following * sizeof(*words));
    execv(words[0], words);
    ipcl_error_set(error,
                   "this engine cannot run in %s: %s. Name another Python with --python=PATH",
                   command[0], strerror(errno));
    free(words);
    return -1;
}

int become_interpreter(struct engine *engine, const struct settings *settings,
                       const struct ipcl_plugin *kernel, char **argv, struct ipcl_error *error)
{
    struct services_host host = {.plugin_name = kernel->name, .settings = settings};
    struct ipcl_services services;
    char folder[PATH_BYTES];
    const char *tree = installation_build_tree();
    char **(*command)(const struct ipcl_services *, const char *, struct ipcl_error *) =
        descriptor_command(kernel);
    if (!command)
        return 0;
    if (tree ? path_format(folder, error, "%s", tree)
             : installation_place(PLUGIN_DIR, folder, error))
        return -1;
    services_init(&services, &host);
    services_expect(error, "the kernel does not say in which program it runs");
    char **words = command(&services, folder, error);
    if (!words)
        return -1;
    if (!keep_watcher(engine, error)) {
        if (engine->watcher >= 0)
            send(engine->watcher, words[0], strlen(words[0]), MSG_NOSIGNAL);
        mark_keep_to_process();
        execute(words, argv + 1, error);
        if (engine->watcher >= 0)
            send(engine->watcher, WATCH_RUNS, strlen(WATCH_RUNS), MSG_NOSIGNAL);
    }
    for (char **word = words; *word; word++)
        free(*word);
    free(words);
    return -1;
}
