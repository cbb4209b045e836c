/* The launcher "@NAME@": how a set of engines is started, found again and stopped. This one starts
 * them on this machine; <ipcluster/launcher.h> says what else there is. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <ipcluster/launcher.h>

/* All engines are children of one shell, which ends when the last of them has. */
struct set {
    const struct ipcl_launcher_services *services;
    long long pid, born;
    char output[4096];
};

static void *create(const struct ipcl_launcher_services *services, struct ipcl_error *error)
{
    struct set *set = calloc(1, sizeof(*set));
    if (set)
        set->services = services;
    else
        ipcl_error_set(error, "out of memory");
    return set;
}

static void exited(void *self, int64_t pid, int status, int signum)
{
    const struct ipcl_launcher_services *services = ((struct set *)self)->services;
    (void)pid;
    services->stopped(services->base.host, IPCL_ALL_COPIES, signum ? 128 + signum : status, NULL);
}

static int start(void *self, const struct ipcl_launch *launch, struct ipcl_error *error)
{
    struct set *set = self;
    const struct ipcl_launcher_services *services = set->services;
    char script[120];
    const char *argv[64] = {"sh", "-c", script, "sh"};
    /* If SIGTERM ends the shell, ipcluster ends what is left of its session. */
    snprintf(script, sizeof(script), "trap : INT; for i in $(seq %u); do \"$@\" & done; wait; wait",
             launch->count);
    for (int i = 0; launch->argv[i]; i++) {
        if (i == 59)
            return ipcl_error_set(error, "@CLASS@EngineSetLauncher takes no more than 59 words");
        argv[i + 4] = launch->argv[i];
    }
    snprintf(set->output, sizeof(set->output), "%s/%s.log", launch->log_dir, launch->label);
    struct ipcl_spawn spawn = {.argv = argv,
                               .environment = launch->environment,
                               .work_dir = launch->work_dir,
                               .output_path = set->output,
                               .exited = exited};
    set->pid = services->spawn(services->base.host, &spawn, error);
    if (set->pid < 0)
        return -1;
    set->born = services->process_born(services->base.host, set->pid);
    services->started(services->base.host);
    return 0;
}

static int send_signal(void *self, int signum, struct ipcl_error *error)
{
    struct set *set = self;
    return set->services->kill(set->services->base.host, set->pid, signum, error);
}

static int stop(void *self, struct ipcl_error *error)
{
    return send_signal(self, SIGTERM, error);
}

static int output(void *self, unsigned index, char *path, size_t path_bytes)
{
    (void)index;
    return (size_t)snprintf(path, path_bytes, "%s", ((struct set *)self)->output) < path_bytes ? 0
                                                                                               : -1;
}

static char *to_json(void *self)
{
    struct set *set = self;
    char *json = malloc(100);
    if (json)
        snprintf(json, 100, "{\"pid\":%lld,\"born\":%lld}", set->pid, set->born);
    return json;
}

static int from_json(void *self, const char *json, struct ipcl_error *error)
{
    struct set *set = self;
    if (sscanf(json, "{\"pid\":%lld,\"born\":%lld}", &set->pid, &set->born) != 2)
        return ipcl_error_set(error, "the state of a @CLASS@EngineSetLauncher is damaged: %.80s",
                              json);
    return set->services->adopt(set->services->base.host, set->pid, set->born, exited, error);
}

static const struct ipcl_launcher_class classes[] = {
    {.name = "@CLASS@EngineSetLauncher",
     .aliases = "@NAME@",
     .role = IPCL_ROLE_ENGINES,
     .summary = "engines that a shell starts",
     .create = create,
     .start = start,
     .signal = send_signal,
     .stop = stop,
     .output = output,
     .to_json = to_json,
     .from_json = from_json,
     .destroy = free},
};
static const struct ipcl_launcher_operations operations = {.classes = classes, .class_count = 1};

extern const struct ipcl_plugin ipcl_plugin;
IPCL_EXPORT const struct ipcl_plugin ipcl_plugin = {
    IPCL_PLUGIN_HEAD,
    .kind = "launcher",
    .name = "@NAME@",
    .version = "0.1",
    .summary = "engines that a shell starts",
    .license = "BSD-2-Clause",
    .author = "@AUTHOR@",
    .operations = &operations,
};
