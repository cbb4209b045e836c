/* An example of a launcher plugin: starts engines through a command of the site's choice, such as
 * `nice -n 10` or `numactl --localalloc`.
 *
 *     ipcluster start --n=2 --elauncher=wrap --WrapEngineSetLauncher.command="nice -n 5"
 *
 * It stands for what a site needs to write: a table of settings, one launcher class, and the
 * descriptor at the end. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <ipcluster/launcher.h>

#define CLASS_NAME  "WrapEngineSetLauncher"
#define ENGINES_MAX 4096

struct wrap {
    const struct ipcl_launcher_services *services;
    char stem[4096];
    unsigned count;
    struct {
        long long pid, born; /* pid 0: not running */
    } engines[ENGINES_MAX];
};

static void *wrap_create(const struct ipcl_launcher_services *services, struct ipcl_error *error)
{
    struct wrap *wrap = calloc(1, sizeof(*wrap));
    if (wrap)
        wrap->services = services;
    else
        ipcl_error_set(error, "no memory for a launcher");
    return wrap;
}

static int wrap_output(void *self, unsigned index, char *path, size_t path_bytes)
{
    struct wrap *wrap = self;
    int length = snprintf(path, path_bytes, "%s-%u.log", wrap->stem, index);
    return length > 0 && (size_t)length < path_bytes ? 0 : -1;
}

static void wrap_exited(void *self, int64_t pid, int status, int signum)
{
    struct wrap *wrap = self;
    for (unsigned i = 0; i < wrap->count; i++) {
        if (wrap->engines[i].pid != pid)
            continue;
        wrap->engines[i].pid = 0;
        wrap->services->stopped(wrap->services->base.host, i, signum ? 128 + signum : status, NULL);
    }
}

/* One engine: the wrapper's words, then the engine's. */
static int start_engine(struct wrap *wrap, const struct ipcl_launch *launch, unsigned index,
                        struct ipcl_error *error)
{
    const struct ipcl_launcher_services *services = wrap->services;
    void *host = services->base.host;
    size_t wrapper_words, words = 0;
    const char *const *wrapper =
        services->base.option_list(host, CLASS_NAME, "command", &wrapper_words);
    char path[4200];
    while (launch->argv[words])
        words++;
    const char **argv = calloc(wrapper_words + words + 1, sizeof(*argv));
    if (!argv)
        return ipcl_error_set(error, "no memory for a command line");
    for (size_t i = 0; i < wrapper_words; i++)
        argv[i] = wrapper[i];
    for (size_t i = 0; i < words; i++)
        argv[wrapper_words + i] = launch->argv[i];
    wrap_output(wrap, index, path, sizeof(path));
    struct ipcl_spawn spawn = {
        .argv = argv,
        .environment = launch->environment,
        .work_dir = launch->work_dir,
        .output_path = path,
        .exited = wrap_exited,
    };
    int64_t pid = services->spawn(host, &spawn, error);
    free(argv);
    if (pid < 0)
        return -1;
    wrap->engines[index].pid = pid;
    wrap->engines[index].born = services->process_born(host, pid);
    return 0;
}

static int wrap_start(void *self, const struct ipcl_launch *launch, struct ipcl_error *error)
{
    struct wrap *wrap = self;
    if (launch->count > ENGINES_MAX)
        return ipcl_error_set(error, CLASS_NAME " starts at most %d engines", ENGINES_MAX);
    snprintf(wrap->stem, sizeof(wrap->stem), "%s/%s", launch->log_dir, launch->label);
    for (wrap->count = 0; wrap->count < launch->count; wrap->count++) {
        if (start_engine(wrap, launch, wrap->count, error) == 0)
            continue;
        if (wrap->count == 0)
            return -1;
        /* Those that run are looked after; the others are reported. */
        for (unsigned i = wrap->count; i < launch->count; i++)
            wrap->services->stopped(wrap->services->base.host, i, 127, error->text);
        return 0;
    }
    wrap->services->started(wrap->services->base.host);
    return 0;
}

static int wrap_signal(void *self, int signum, struct ipcl_error *error)
{
    struct wrap *wrap = self;
    int outcome = 0;
    for (unsigned i = 0; i < wrap->count; i++) {
        if (wrap->engines[i].pid && wrap->services->kill(wrap->services->base.host,
                                                         wrap->engines[i].pid, signum, error) < 0)
            outcome = -1;
    }
    return outcome;
}

static void wrap_kill(void *self)
{
    struct ipcl_error error;
    wrap_signal(self, SIGKILL, &error);
}

static int wrap_stop(void *self, struct ipcl_error *error)
{
    struct wrap *wrap = self;
    wrap_signal(self, SIGTERM, error);
    return wrap->services->timer(wrap->services->base.host, 5000, wrap_kill, error);
}

/* {"stem":"...","engines":[[pid,born],...]}: what wrap_from_json() reads again. A path with a quote
 * in it is not for this example. */
static char *wrap_to_json(void *self)
{
    struct wrap *wrap = self;
    size_t size = sizeof(wrap->stem) + 64 + wrap->count * 48, used;
    char *text = malloc(size);
    if (!text)
        return NULL;
    used = (size_t)snprintf(text, size, "{\"stem\":\"%s\",\"engines\":[", wrap->stem);
    for (unsigned i = 0; i < wrap->count; i++)
        used += (size_t)snprintf(text + used, size - used, "%s[%lld,%lld]", i ? "," : "",
                                 wrap->engines[i].pid, wrap->engines[i].born);
    snprintf(text + used, size - used, "]}");
    return text;
}

static int wrap_from_json(void *self, const char *json, struct ipcl_error *error)
{
    struct wrap *wrap = self;
    const char *place = strstr(json, "\"stem\":\""), *list = strstr(json, "[[");
    unsigned running = 0;
    if (!place || !list || sscanf(place, "\"stem\":\"%4095[^\"]", wrap->stem) != 1)
        return ipcl_error_set(error, "the saved state of a " CLASS_NAME " is damaged");
    for (const char *item = list + 1; item && *item == '[' && wrap->count < ENGINES_MAX;) {
        long long pid, born;
        if (sscanf(item, "[%lld,%lld]", &pid, &born) != 2)
            break;
        if (pid &&
            wrap->services->adopt(wrap->services->base.host, pid, born, wrap_exited, error) == 0) {
            wrap->engines[wrap->count].pid = pid;
            wrap->engines[wrap->count].born = born;
            running++;
        }
        wrap->count++;
        item = strstr(item, ",[");
        item = item ? item + 1 : NULL;
    }
    if (running == 0)
        return ipcl_error_set(error, "none of its engines runs any more");
    for (unsigned i = 0; i < wrap->count; i++) {
        if (!wrap->engines[i].pid)
            wrap->services->stopped(wrap->services->base.host, i, 0, NULL);
    }
    return 0;
}

static void wrap_destroy(void *self)
{
    free(self);
}

static const struct ipcl_option options[] = {
    {"command", IPCL_LIST, "nice -n 10", "wrap-command", NULL,
     "The command that engines are started through."},
};
static const struct ipcl_option_table tables[] = {{CLASS_NAME, options, 1}};

static const struct ipcl_launcher_class classes[] = {{
    .name = CLASS_NAME,
    .aliases = "wrap",
    .role = IPCL_ROLE_ENGINES,
    .summary = "engines on this machine, through a command such as nice",
    .create = wrap_create,
    .start = wrap_start,
    .signal = wrap_signal,
    .stop = wrap_stop,
    .output = wrap_output,
    .to_json = wrap_to_json,
    .from_json = wrap_from_json,
    .destroy = wrap_destroy,
}};
static const struct ipcl_launcher_operations operations = {.classes = classes, .class_count = 1};

IPCL_EXPORT const struct ipcl_plugin ipcl_plugin = {
    IPCL_PLUGIN_HEAD,
    .kind = "launcher",
    .name = "wrap",
    .version = "1.0",
    .summary = "an example: engines through a command of your choice",
    .license = "BSD-2-Clause",
    .author = "you",
    .tables = tables,
    .table_count = 1,
    .operations = &operations,
};
