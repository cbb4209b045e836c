/* The launcher "local": controller and engines as child processes on this host, each with an output
 * file. */
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include <jansson.h>

#include <ipcluster/launcher.h>

#include "launch.h"

#define LOCAL_PATH_BYTES 4096

struct copy {
    int64_t pid; /* 0: not started yet, or gone before this supervisor came */
    int64_t born;
    bool running;
};

struct local {
    const struct ipcl_launcher_services *services;
    enum ipcl_role role;
    char *stem; /* folder and label of the output files */
    char *work_dir;
    char **argv;
    char **environment;
    unsigned delay_ms; /* between one engine and the next */
    unsigned count;
    unsigned launched;
    struct copy *copies;
    bool stopping;
};

static void local_destroy(void *self)
{
    struct local *local = self;
    if (!local)
        return;
    free(local->stem);
    free(local->work_dir);
    list_free(local->argv);
    list_free(local->environment);
    free(local->copies);
    free(local);
}

static double stop_seconds(const struct local *local)
{
    const struct ipcl_services *base = &local->services->base;
    return base->option_real(base->host, "LocalProcessLauncher", "stop_seconds_until_kill");
}

static struct local *local_create(const struct ipcl_launcher_services *services,
                                  enum ipcl_role role, struct ipcl_error *error)
{
    struct local *local = calloc(1, sizeof(*local));
    if (!local) {
        ipcl_error_set(error, "no memory for a local launcher");
        return NULL;
    }
    local->services = services;
    local->role = role;
    say_patience(services, stop_seconds(local));
    return local;
}

static void *controller_create(const struct ipcl_launcher_services *services,
                               struct ipcl_error *error)
{
    return local_create(services, IPCL_ROLE_CONTROLLER, error);
}

static void *engines_create(const struct ipcl_launcher_services *services, struct ipcl_error *error)
{
    struct local *local = local_create(services, IPCL_ROLE_ENGINES, error);
    if (local)
        local->delay_ms = milliseconds(
            services->base.option_real(services->base.host, "LocalEngineSetLauncher", "delay"));
    return local;
}

/* An engine's file has the number of its process, which users also see elsewhere: its id is not
 * known yet, and another engine may get it later. */
static int output_of(const struct local *local, int64_t pid, char *path, size_t path_bytes)
{
    int length = local->role == IPCL_ROLE_CONTROLLER
                     ? snprintf(path, path_bytes, "%s.log", local->stem)
                     : snprintf(path, path_bytes, "%s-%" PRId64 ".log", local->stem, pid);
    return length > 0 && (size_t)length < path_bytes ? 0 : -1;
}

static int local_output(void *self, unsigned index, char *path, size_t path_bytes)
{
    const struct local *local = self;
    if (!local->stem || index >= local->count || !local->copies[index].pid)
        return -1;
    return output_of(local, local->copies[index].pid, path, path_bytes);
}

static void local_exited(void *self, int64_t pid, int status, int signum)
{
    struct local *local = self;
    for (unsigned i = 0; i < local->count; i++) {
        struct copy *copy = &local->copies[i];
        if (!copy->running || copy->pid != pid)
            continue;
        char reason[80];
        copy->running = false;
        snprintf(reason, sizeof(reason), "signal %d (%s) ended it", signum, strsignal(signum));
        local->services->stopped(local->services->base.host, i, signum ? 128 + signum : status,
                                 signum ? reason : NULL);
        return;
    }
}

static int launch_copy(struct local *local, struct ipcl_error *error)
{
    void *host = local->services->base.host;
    struct copy *copy = &local->copies[local->launched];
    char path[LOCAL_PATH_BYTES], final[LOCAL_PATH_BYTES];
    if (output_of(local, 0, path, sizeof(path)) < 0 ||
        output_of(local, INT_MAX, final, sizeof(final)) < 0)
        return ipcl_error_set(error, "the path %s.log is too long", local->stem);
    struct ipcl_spawn spawn = {
        .argv = (const char *const *)local->argv,
        .environment = (const char *const *)local->environment,
        .work_dir = local->work_dir,
        .output_path = path,
        .exited = local_exited,
    };
    int64_t pid = local->services->spawn(host, &spawn, error);
    if (pid < 0)
        return -1;
    copy->pid = pid;
    output_of(local, pid, final, sizeof(final));
    rename(path, final);
    copy->born = local->services->process_born(host, copy->pid);
    copy->running = true;
    local->launched++;
    return 0;
}

static void launch_next(void *self);

/* Whether the next copy has its time later. */
static bool launch_later(struct local *local)
{
    struct ipcl_error error;
    return local->delay_ms > 0 && local->launched < local->count &&
           local->services->timer(local->services->base.host, local->delay_ms, launch_next,
                                  &error) == 0;
}

/* Starts all copies, or only the next one if there is a delay between them. Copies that cannot be
 * started are reported as stopped. */
static void launch_next(void *self)
{
    struct local *local = self;
    void *host = local->services->base.host;
    struct ipcl_error error;
    while (local->launched < local->count && !local->stopping) {
        if (launch_copy(local, &error) < 0)
            break;
        if (launch_later(local))
            return;
    }
    unsigned missing = local->launched;
    if (missing == local->count)
        local->services->started(host);
    for (; missing < local->count; missing++)
        local->services->stopped(host, missing, local->stopping ? 0 : 127,
                                 local->stopping ? NULL : error.text);
}

static int local_start(void *self, const struct ipcl_launch *launch, struct ipcl_error *error)
{
    struct local *local = self;
    char stem[LOCAL_PATH_BYTES];
    snprintf(stem, sizeof(stem), "%s/%s", launch->log_dir, launch->label);
    local->stem = strdup(stem);
    local->work_dir = strdup(launch->work_dir);
    local->argv = list_copy(launch->argv);
    local->environment = list_copy(launch->environment);
    local->count = launch->count;
    local->copies = calloc(launch->count ? launch->count : 1, sizeof(*local->copies));
    if (!local->stem || !local->work_dir || !local->argv || !local->environment || !local->copies)
        return ipcl_error_set(error, "no memory to start %u processes", launch->count);
    if (local->count > 0 && launch_copy(local, error) < 0)
        return -1;
    if (!launch_later(local))
        launch_next(local);
    return 0;
}

static int local_signal(void *self, int signum, struct ipcl_error *error)
{
    struct local *local = self;
    int outcome = 0;
    for (unsigned i = 0; i < local->count; i++) {
        if (local->copies[i].running &&
            local->services->kill(local->services->base.host, local->copies[i].pid, signum, error) <
                0)
            outcome = -1;
    }
    return outcome;
}

static void local_kill(void *self)
{
    struct ipcl_error error;
    local_signal(self, SIGKILL, &error);
}

static int local_stop(void *self, struct ipcl_error *error)
{
    struct local *local = self;
    local->stopping = true;
    /* A process that cannot be signalled has gone, and is reported so; the timer handles the
     * others. */
    local_signal(local, SIGTERM, error);
    return local->services->timer(local->services->base.host, milliseconds(stop_seconds(local)),
                                  local_kill, error);
}

static char *local_to_json(void *self)
{
    const struct local *local = self;
    json_t *copies = json_array();
    for (unsigned i = 0; i < local->launched; i++) {
        const struct copy *copy = &local->copies[i];
        if (copy->running)
            json_array_append_new(copies,
                                  json_pack("{s:i s:I s:I}", "index", (int)i, "pid",
                                            (json_int_t)copy->pid, "born", (json_int_t)copy->born));
    }
    json_t *whole = json_pack("{s:i s:s s:o}", "count", (int)local->count, "stem",
                              local->stem ? local->stem : "", "copies", copies);
    char *text = whole ? json_dumps(whole, JSON_COMPACT) : NULL;
    json_decref(whole);
    return text;
}

/* Adopts each copy that still runs. Returns how many. */
static unsigned adopt_copies(struct local *local, const json_t *copies)
{
    unsigned adopted = 0;
    size_t position;
    json_t *value;
    json_array_foreach (copies, position, value) {
        json_int_t pid, born;
        struct ipcl_error error;
        int index;
        if (json_unpack(value, "{s:i s:I s:I}", "index", &index, "pid", &pid, "born", &born) < 0 ||
            index < 0 || (unsigned)index >= local->count)
            continue;
        if (local->services->adopt(local->services->base.host, pid, born, local_exited, &error) < 0)
            continue;
        local->copies[index] = (struct copy){.pid = pid, .born = born, .running = true};
        adopted++;
    }
    return adopted;
}

static int local_from_json(void *self, const char *json, struct ipcl_error *error)
{
    struct local *local = self;
    const char *stem;
    int count, outcome = -1;
    json_t *copies;
    json_t *whole = json_loads(json, 0, NULL);
    if (!whole ||
        json_unpack(whole, "{s:i s:s s:o}", "count", &count, "stem", &stem, "copies", &copies) <
            0 ||
        count < 0 || count > 1000000) {
        ipcl_error_set(error, "the saved state of a local launcher is damaged");
        goto done;
    }
    local->stem = strdup(stem);
    local->copies = calloc((size_t)count + 1, sizeof(*local->copies));
    if (!local->stem || !local->copies) {
        ipcl_error_set(error, "no memory for %d processes", count);
        goto done;
    }
    local->count = local->launched = (unsigned)count;
    if (adopt_copies(local, copies) == 0) {
        ipcl_error_set(error, "none of its processes runs any more");
        goto done;
    }
    for (unsigned i = 0; i < local->count; i++) {
        if (!local->copies[i].running)
            local->services->stopped(local->services->base.host, i, 0, NULL);
    }
    outcome = 0;
done:
    json_decref(whole);
    return outcome;
}

static const struct ipcl_option process_options[] = {
    {"stop_seconds_until_kill", IPCL_REAL, "10", NULL, NULL,
     "Seconds between SIGTERM, which asks a process to end, and SIGKILL. An engine needs seven at "
     "most."},
};
static const struct ipcl_option set_options[] = {
    {"delay", IPCL_REAL, "0", NULL, NULL, "Seconds between the start of one engine and the next."},
};
static const struct ipcl_option_table tables[] = {
    {"LocalProcessLauncher", process_options, 1},
    {"LocalEngineSetLauncher", set_options, 1},
};

#define LOCAL_CLASS                                                                                \
    .start = local_start, .signal = local_signal, .stop = local_stop, .output = local_output,      \
    .to_json = local_to_json, .from_json = local_from_json, .destroy = local_destroy

static const struct ipcl_launcher_class classes[] = {
    {.name = "LocalControllerLauncher",
     .aliases = "local",
     .role = IPCL_ROLE_CONTROLLER,
     .summary = "the controller, a process on this machine",
     .create = controller_create,
     LOCAL_CLASS},
    {.name = "LocalEngineSetLauncher",
     .aliases = "local",
     .role = IPCL_ROLE_ENGINES,
     .summary = "engines, each a process on this machine",
     .create = engines_create,
     LOCAL_CLASS},
};
static const struct ipcl_launcher_operations operations = {.classes = classes, .class_count = 2};

IPCL_EXPORT const struct ipcl_plugin ipcl_plugin = {
    IPCL_PLUGIN_HEAD,
    .kind = "launcher",
    .name = "local",
    .version = "1.0",
    .summary = "processes on this machine",
    .license = "BSD-2-Clause",
    .author = "the ipcluster developers",
    .tables = tables,
    .table_count = 2,
    .operations = &operations,
};
