/* Files that programs write for themselves. First byte: the hub's table of engines, a cluster's
 * state, or what a launcher keeps there of itself. */
#include <stdlib.h>
#include <string.h>

#include <ipcluster/launcher.h>

/* Reading the state is private to the file. */
#include "cluster/state/state.c"
#include "controller/hub/engine_table.h"
#include "fuzz.h"

extern const struct ipcl_plugin local_plugin, mpiexec_plugin;

static int64_t spawn(void *host, const struct ipcl_spawn *what, struct ipcl_error *error)
{
    (void)host;
    (void)what;
    return ipcl_error_set(error, "nothing is started here");
}

/* Half of the processes are there. */
static int adopt(void *host, int64_t pid, int64_t born,
                 void (*exited)(void *self, int64_t pid, int status, int signum),
                 struct ipcl_error *error)
{
    (void)host;
    (void)born;
    (void)exited;
    return pid & 1 ? 0 : ipcl_error_set(error, "it has ended");
}

static int64_t born_at(void *host, int64_t pid)
{
    (void)host;
    return pid;
}

static int send_signal(void *host, int64_t pid, int number, struct ipcl_error *error)
{
    (void)host;
    (void)pid;
    (void)number;
    (void)error;
    return 0;
}

static int run(void *host, const char *const *argv, const char *input,
               void (*done)(void *self, int status, const char *output), struct ipcl_error *error)
{
    (void)host;
    (void)argv;
    (void)input;
    (void)done;
    (void)error;
    return 0;
}

static int timer(void *host, unsigned delay_ms, void (*fire)(void *self), struct ipcl_error *error)
{
    (void)host;
    (void)delay_ms;
    (void)fire;
    (void)error;
    return 0;
}

static void started(void *host)
{
    (void)host;
}

static void stopped(void *host, unsigned index, int status, const char *reason)
{
    (void)host;
    (void)index;
    (void)status;
    (void)reason;
}

static void starts_elsewhere(void *host)
{
    (void)host;
}

static void stop_takes(void *host, unsigned stop_ms)
{
    (void)host;
    (void)stop_ms;
}

static void read_table(struct fuzz_bytes bytes)
{
    struct engine_table table = {.path = fuzz_file(bytes)};
    struct engines engines = {0};
    struct ipcl_error error;
    int count = engine_table_load(&table, &engines, 0, &error);
    FUZZ_ASSERT(count >= 0 || !engines.by_id);
    engines_release(&engines);
}

static void read_state(const char *text)
{
    struct state state = {0};
    state_parse(text, &state);
    state_clear(&state);
}

static void read_launcher(const struct ipcl_launcher_class *class, const char *text)
{
    const struct ipcl_launcher_services services = {
        .base = fuzz_services,
        .spawn = spawn,
        .adopt = adopt,
        .process_born = born_at,
        .kill = send_signal,
        .run = run,
        .timer = timer,
        .started = started,
        .stopped = stopped,
        .stop_takes = stop_takes,
        .starts_elsewhere = starts_elsewhere,
    };
    struct ipcl_error error;
    void *self = class->create(&services, &error);
    FUZZ_ASSERT(self);
    if (!class->from_json(self, text, &error))
        free(class->to_json(self));
    class->destroy(self);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!size)
        return 0;
    const struct ipcl_launcher_operations *launchers =
        (data[0] & 1 ? &mpiexec_plugin : &local_plugin)->operations;
    char *text = strndup((const char *)data + 1, size - 1);
    switch (data[0] >> 1 & 3) {
    case 0:
        read_table((struct fuzz_bytes){data + 1, data + size});
        break;
    case 1:
        read_state(text);
        break;
    default:
        read_launcher(&launchers->classes[data[0] >> 1 & 1], text);
    }
    free(text);
    return 0;
}
