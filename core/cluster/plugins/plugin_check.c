/* ipcluster plugins check: all faults of one plugin's file. A separate process loads and runs the
 * plugin; the calling process only waits for it. */
#include "cluster/plugins/plugin_check.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cluster/plugins/plugin_check_private.h"
#include "cluster/plugins/plugin_new.h"
#include "plugin/loader.h"

/* In memory that both processes have. */
struct check_shared {
    char stage[CHECK_STAGE_BYTES];
    bool found; /* a fault */
};

/* For the process that checks. */
struct telling {
    const char *path;
    struct check_shared *shared;
};

static void write_fault(void *context, const char *fault)
{
    struct telling *telling = context;
    telling->shared->found = true;
    printf("%s: %s\n", telling->path, fault);
    fflush(stdout);
}

static void check_choice(void *context, const struct launcher_choice *choice)
{
    const struct plugin_check *check = context;
    if (choice->system)
        check_table(check, choice);
    else
        check_class(check, choice);
}

/* To check whether its classes have names of other plugins' classes. */
struct names {
    const struct plugin_check *check;
    const struct launchers *others;
};

static void check_names(void *context, const struct launcher_choice *choice)
{
    const struct names *names = context;
    struct ipcl_error error;
    if (launchers_check_class(names->others, choice, &error) < 0)
        check_fault(names->check, "%s", error.text);
}

static void check_all_names(const struct plugin_check *check)
{
    static const struct settings_program nobody = {.name = "ipcluster", .usage = ""};
    struct ipcl_error error;
    struct registry *registry = registry_create(NULL, &error);
    struct settings *settings = settings_create(&nobody, &error);
    struct launchers *others =
        registry && settings ? launchers_create(registry, settings, &error) : NULL;
    struct names names = {check, others};
    check_stage(check, "when the other plugins were loaded beside it");
    if (!others || launchers_load(others, &error) < 0)
        check_fault(check, "the others cannot be loaded: %s", error.text);
    else
        launchers_each(check->launchers, check_names, &names);
    launchers_destroy(others);
    settings_destroy(settings);
    registry_destroy(registry);
}

/* The settings that the plugin was given. Returns 0 or -1 with `error` set. */
static int take_extra(const struct plugin_check *check, struct ipcl_error *error)
{
    int count = 0;
    while (check->extra[count])
        count++;
    char **argv = calloc((size_t)count + 2, sizeof(*argv)),
         **words = calloc((size_t)count + 1, sizeof(*words));
    if (!argv || !words) {
        free(argv);
        free(words);
        return ipcl_error_set(error, "no memory for its settings");
    }
    for (int i = 0; i < count; i++)
        argv[i + 1] = check->extra[i];
    int left = settings_parse(check->settings, count + 1, argv, words, error);
    if (left > 0)
        ipcl_error_set(error, "'%s' is not a setting of it", words[0]);
    free(argv);
    free(words);
    return left ? -1 : settings_finish(check->settings, error);
}

static void check_launchers(struct plugin_check *check, const char *path,
                            const struct ipcl_plugin *plugin)
{
    static const struct settings_program nobody = {.name = "ipcluster", .usage = ""};
    struct ipcl_error error;
    const char *temporary = getenv("TMPDIR");
    snprintf(check->folder, sizeof(check->folder), "%.40s/ipcluster-XXXXXX",
             temporary && *temporary == '/' ? temporary : "/tmp");
    if (!mkdtemp(check->folder)) {
        check_fault(check, "a folder for its jobs cannot be made: %s: %s", check->folder,
                    strerror(errno));
        return;
    }
    check->settings = settings_create(&nobody, &error);
    check->launchers = check->settings ? launchers_create(NULL, check->settings, &error) : NULL;
    if (!check->launchers || launchers_take(check->launchers, path, plugin, &error) < 0 ||
        take_extra(check, &error) < 0)
        check_fault(check, "%s", error.text);
    else {
        check_all_names(check);
        launchers_each(check->launchers, check_choice, check);
    }
    launchers_destroy(check->launchers);
    settings_destroy(check->settings);
    plugin_remove_folder(check->folder);
}

/* The process that checks. */
static void run(const char *path, const char *samples, char *const *extra,
                struct check_shared *shared)
{
    struct telling telling = {path, shared};
    struct plugin_check check = {.faults = {write_fault, &telling},
                                 .samples = samples,
                                 .extra = extra,
                                 .stage = shared->stage};
    struct ipcl_error error;
    check_stage(&check, "when it was loaded");
    const struct ipcl_plugin *plugin = NULL;
    if (loader_start(&error) < 0)
        check_fault(&check, "%s", error.text);
    else
        plugin = loader_check(path, &check.faults);
    if (plugin && strcmp(plugin->kind, "launcher") == 0)
        check_launchers(&check, path, plugin);
    if (plugin && !shared->found)
        printf("%s: nothing is wrong with the %s %s %s (ABI %u.%u)\n", path, plugin->kind,
               plugin->name, plugin->version, plugin->abi_major, plugin->abi_minor);
    fflush(stdout);
}

bool plugin_check(const char *path, const char *samples, char *const *extra)
{
    int status;
    struct check_shared *shared =
        mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED) {
        printf("%s: it cannot be checked: %s\n", path, strerror(errno));
        return false;
    }
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        run(path, samples, extra, shared);
        _exit(0);
    }
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        continue;
    bool good = pid > 0 && status == 0 && !shared->found;
    if (pid < 0)
        printf("%s: it cannot be checked: %s\n", path, strerror(errno));
    else if (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM)
        printf("%s: it did not return in %d seconds %s\n", path, CHECK_STAGE_S, shared->stage);
    else if (WIFSIGNALED(status))
        printf("%s: it crashed %s: %s\n", path, shared->stage, strsignal(WTERMSIG(status)));
    else if (status)
        printf("%s: it ended the process %s\n", path, shared->stage);
    munmap(shared, sizeof(*shared));
    return good;
}
