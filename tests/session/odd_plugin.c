/* A plugin with something odd in it, which test_plugins.py chooses by -D when it builds it. By
 * default its descriptor is whole, and its functions fail without a word. */
#include <signal.h>
#include <unistd.h>

#include <ipcluster/kernel.h>
#include <ipcluster/launcher.h>
#include <ipcluster/mpi.h>
#include <ipcluster/serial.h>
#include <ipcluster/store.h>

#ifndef KIND
#define KIND "launcher"
#endif
#ifndef CLASS
#define CLASS "OddEngineSetLauncher"
#endif
#ifndef ALIASES
#define ALIASES "odd"
#endif
#ifndef CLASSES
#define CLASSES classes
#endif
#ifndef CLASS_COUNT
#define CLASS_COUNT 1
#endif
#ifndef CREATE
#define CREATE nothing
#endif
#ifndef START
#define START fail
#endif
#ifndef DEFAULT
#define DEFAULT "1"
#endif
#ifndef SETTINGS
#define SETTINGS "Odd"
#endif
#ifndef SETTING
#define SETTING "times"
#endif
#ifndef OPERATIONS
#define OPERATIONS launcher
#endif

void function_that_is_nowhere(void);

static void *nothing(void)
{
#ifdef ABSENT
    function_that_is_nowhere();
#endif
    return NULL;
}

__attribute__((unused)) static void *something(void)
{
    return (void *)something;
}

#ifdef ON_LOAD
__attribute__((constructor)) static void end(void)
{
    _exit(99);
}
#endif

/* Starts a process that does not end, and is killed before it can say so. */
static const struct ipcl_launcher_services *handed;

__attribute__((unused)) static void *keep(const struct ipcl_launcher_services *services,
                                          struct ipcl_error *error)
{
    (void)error;
    handed = services;
    return &handed;
}

__attribute__((unused)) static int start_and_die(void *self, const struct ipcl_launch *launch,
                                                 struct ipcl_error *error)
{
    const struct ipcl_spawn spawn = {.argv = (const char *const[]){"sleep", "1000", NULL},
                                     .work_dir = launch->work_dir};
    (void)self;
    handed->spawn(handed->base.host, &spawn, error);
    return raise(SIGKILL);
}

__attribute__((unused)) static void *crash(void)
{
    return *(void *volatile *)8;
}

__attribute__((unused)) static int stick(void)
{
    for (;;)
        pause();
}

static int fail(void)
{
    return -1;
}
#define FAILS (void *)fail

static const struct ipcl_launcher_class classes[] = {{
    .name = CLASS,
    .aliases = ALIASES,
    .role = IPCL_ROLE_ENGINES,
    .summary = "starts nothing",
#ifndef WITHOUT_FUNCTIONS
    .create = (void *)CREATE,
    .start = (void *)START,
    .signal = FAILS,
    .stop = FAILS,
    .output = FAILS,
    .to_json = (void *)nothing,
    .from_json = FAILS,
    .destroy = FAILS,
#endif
}};
__attribute__((unused)) static const struct ipcl_launcher_operations launcher = {CLASSES,
                                                                                 CLASS_COUNT};
__attribute__((unused)) static const struct ipcl_mpi_operations mpi = {(void *)nothing, FAILS,
                                                                       FAILS, FAILS};
__attribute__((unused)) static const struct ipcl_serial_operations serial = {
    "odd", "odd", (void *)nothing, (void *)nothing, FAILS};
__attribute__((unused)) static const struct ipcl_store_operations store = {
    .create = (void *)nothing, .put = FAILS, .find = FAILS, .drop = FAILS, .destroy = FAILS};
static const char *const requests[] = {NULL};
__attribute__((unused)) static const struct ipcl_kernel_operations kernel = {
    requests, (void *)nothing, FAILS, FAILS, FAILS, FAILS, FAILS,
    FAILS,    FAILS,           FAILS, FAILS, FAILS, FAILS};
__attribute__((unused)) static const void *const empty[16] = {NULL};

static const struct ipcl_option options[] = {
    {SETTING, IPCL_INT, DEFAULT, NULL, NULL, "How often it does nothing."}};
static const struct ipcl_option_table tables[] = {{SETTINGS, options, 1}};

const struct ipcl_plugin ipcl_plugin = {
    IPCL_PLUGIN_HEAD,          .kind = KIND,          .name = NAME,
    .version = "1.0",          .summary = "a test's", .license = "BSD-2-Clause",
    .author = "nobody",        .tables = tables,      .table_count = 1,
    .operations = &OPERATIONS,
};
