/* ipcontroller: reads its settings, starts a thread for each module, writes the connection files,
 * and waits for a signal or a client to end it. Main's thread owns no socket but the one on which
 * the hub asks it to stop. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/leftovers.h"
#include "base/log.h"
#include "base/random.h"
#include "base/secret.h"
#include "base/trace.h"
#include "controller/addresses.h"
#include "controller/exchange/channels.h"
#include "controller/exchange/controller.h"
#include "controller/files.h"
#include "controller/keys.h"
#include "plugin/carry.h"
#include "wire/loop.h"
#include "controller/options.h"
#include "controller/door/room.h"
#include "controller/records/store.h"
#include "controller/restart/restart.h"
#include "controller/stats/metrics.h"
#include "controller/stats/stats.h"

/* They are closed in the opposite order. The hub hands on what the others reported last, and the
 * records thread records that. */
static const struct module *const modules[] = {
    &records_module, &hub_module,  &heart_module,     &direct_module,
    &control_module, &task_module, &broadcast_module, &iopub_module,
};
#define IO_THREADS_MAX 4
#define MODULES        (sizeof(modules) / sizeof(*modules))
_Static_assert(MODULES == STATS_THREADS, "each thread has its counters");
/* Of the modules' sockets and loops, and a store's files. */
#define OWN_DESCRIPTORS 92

struct running {
    void *module;
    pthread_t thread;
    bool started;
};

struct ipcontroller {
    struct settings *settings;
    struct profile profile;
    struct registry *registry;
    struct services_host store_host;
    struct controller controller;
    struct files files;
    struct socket_folder local; /* of the local sockets */
    struct running running[MODULES];
    void *requests;          /* PAIR: the hub asks to stop */
    int signals;             /* a signalfd */
    struct metrics *metrics; /* NULL: they are not offered */
};

/* Blocks the signals that end the program, in this thread and those to come, and opens a descriptor
 * on which they arrive. */
static int take_signals(struct ipcontroller *program, struct ipcl_error *error)
{
    sigset_t set;
    struct sigaction before;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    /* The terminal has gone; nohup(1) ignores that for us. */
    if (!sigaction(SIGHUP, NULL, &before) && before.sa_handler != SIG_IGN)
        sigaddset(&set, SIGHUP);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* a store whose file may not grow says so itself */
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    program->signals = signalfd(-1, &set, SFD_CLOEXEC);
    return program->signals < 0
               ? ipcl_error_set(error, "cannot receive signals: %s", strerror(errno))
               : 0;
}

/* Returns 0, 1 where the command line asked for help, or -1 with `error` set. */
static int configure(struct ipcontroller *program, int argc, char **argv, struct ipcl_error *error)
{
    char **words = calloc((size_t)argc + 1, sizeof(*words));
    program->settings = settings_create(&options_program, error);
    if (!words || !program->settings || options_add(program->settings, error) ||
        profile_add_options(program->settings, error) ||
        profile_add_process_options(program->settings, error)) {
        free(words);
        return -1;
    }
    int count = settings_parse(program->settings, argc, argv, words, error);
    if (count > 0)
        ipcl_error_set(error, "'%s' is not an option: ipcontroller takes only options (see --help)",
                       words[0]);
    free(words);
    if (count)
        return -1;
    if (settings_answer(program->settings, stdout))
        return 1;
    int carried = carry_answer(program->settings, (const char *const[]){"store", NULL}, error);
    if (carried)
        return carried;
    bool create = settings_bool(program->settings, "IPController", "auto_create");
    if (profile_open(program->settings, "ipcontroller", create, &program->profile, error))
        return -1;
    program->registry = registry_create(program->profile.dir, error);
    if (!program->registry)
        return -1;
    if (options_apply(program->settings, &program->profile, program->registry, &program->store_host,
                      &program->controller, error))
        return -1;
    if (settings_bool(program->settings, "IPController", "core_dumps"))
        secret_allow_cores();
    return profile_shows_settings(program->settings, stdout) ? 1 : 0;
}

static int lock(struct ipcontroller *program, struct ipcl_error *error)
{
    struct settings *settings = program->settings;
    if (files_init(&program->files, &program->profile,
                   settings_string(settings, "IPController", "cluster_id"),
                   settings_string(settings, "IPController", "client_json_file"),
                   settings_string(settings, "IPController", "engine_json_file"),
                   settings_bool(settings, "IPController", "reuse_files") ||
                       program->controller.restore_engines,
                   error) ||
        files_lock(&program->files, error) ||
        keys_take(&program->files, settings, &program->controller, error) ||
        addresses_check(settings, &program->controller, error))
        return -1;
    addresses_name(settings, &program->controller);
    addresses_offer_local(&program->controller, &program->local);
    files_remove_sockets(&program->controller);
    leftovers_remove(program->profile.security);
    return 0;
}

static void *run_module(void *loop)
{
    loop_run(loop);
    return NULL;
}

/* ZeroMQ's threads encrypt and decrypt, which takes more time than all else; each connection
 * belongs to one of them. */
static int io_threads(void)
{
    long processors = sysconf(_SC_NPROCESSORS_ONLN) / 2;
    return processors < 1 ? 1 : processors > IO_THREADS_MAX ? IO_THREADS_MAX : (int)processors;
}

static bool is_wanted(const struct ipcontroller *program, const struct module *module)
{
    return module != &records_module || program->controller.store;
}

static int start_modules(struct ipcontroller *program, struct ipcl_error *error)
{
    const struct socket_needs needs = {
        .who = "ipcontroller",
        .io_threads = io_threads(),
        .descriptors = OWN_DESCRIPTORS + METRICS_DESCRIPTORS + ROOM_MIN,
        .threads = MODULES + 1,
    };
    trace_name("controller", TRACE_PLACE_CONTROLLER);
    if (profile_start_trace(program->settings, "ipcontroller", &program->profile, error))
        return -1;
    program->controller.started_ms = clock_ms();
    counter_set(&stats.started_us, (unsigned long long)(clock_wall() * 1e6));
    random_bytes(program->controller.life, SEAL_LIFE_BYTES);
    program->controller.context = socket_context(&needs, error);
    if (!program->controller.context)
        return -1;
    controller_bound_frames(&program->controller);
    if (store_open(program->settings, &program->profile, &program->store_host, &program->controller,
                   error))
        return -1;
    restart_attach(&program->controller);
    program->requests = channel_bind(&program->controller, CHANNEL_MAIN, error);
    if (!program->requests)
        return -1;
    for (size_t i = 0; i < MODULES; i++) {
        if (!is_wanted(program, modules[i]))
            continue;
        program->running[i].module = modules[i]->create(&program->controller, error);
        if (!program->running[i].module)
            return -1;
        stats.threads[i].name = modules[i]->name;
        loop_count_rounds(modules[i]->loop(program->running[i].module), &stats.threads[i].rounds);
    }
    const char *metrics = settings_string(program->settings, "IPController", "metrics");
    if (*metrics && !(program->metrics = metrics_open(metrics, error)))
        return -1;
    for (size_t i = 0; i < MODULES; i++) {
        struct running *running = &program->running[i];
        if (!running->module)
            continue;
        int failed =
            pthread_create(&running->thread, NULL, run_module, modules[i]->loop(running->module));
        if (failed)
            return ipcl_error_set(error, "cannot start a thread: %s", strerror(failed));
        running->started = true;
        pthread_setname_np(running->thread, modules[i]->name);
    }
    return files_write(&program->files, &program->controller, error);
}

static void announce(const struct ipcontroller *program)
{
    const struct connection *engines = &program->controller.engines;
    log_info("listening on %s, %s, registration on port %d", engines->interface,
             program->controller.encrypted ? "encrypted" : "not encrypted", engines->registration);
    room_announce();
    log_info("connection files: %s and %s", program->files.clients, program->files.engines);
    if (!strncmp(engines->interface, "tcp://127.", strlen("tcp://127.")) && !*engines->ssh)
        log_warn("listening on loopback only: engines on other hosts cannot connect; use "
                 "--ip=0.0.0.0 or an address of this host for that");
}

static void wait_for_end(struct ipcontroller *program)
{
    zmq_pollitem_t items[] = {
        {.fd = program->signals, .events = ZMQ_POLLIN},
        {.socket = program->requests, .events = ZMQ_POLLIN},
    };
    struct signalfd_siginfo info;
    while (zmq_poll(items, 2, -1) < 0 && errno == EINTR)
        ;
    if (items[0].revents && read(program->signals, &info, sizeof(info)) == sizeof(info))
        log_info("stopping: received signal %u (%s)", info.ssi_signo,
                 strsignal((int)info.ssi_signo));
    else
        log_info("stopping: a client asked for it");
}

static void stop_modules(struct ipcontroller *program)
{
    struct controller *controller = &program->controller;
    metrics_close(program->metrics);
    files_remove(&program->files);
    for (size_t i = 0; i < MODULES; i++)
        if (program->running[i].started)
            loop_stop(modules[i]->loop(program->running[i].module));
    for (size_t i = 0; i < MODULES; i++)
        if (program->running[i].started)
            pthread_join(program->running[i].thread, NULL);
    for (size_t i = MODULES; i-- > 0;)
        modules[i]->destroy(program->running[i].module);
    if (program->requests)
        zmq_close(program->requests);
    if (controller->context)
        zmq_ctx_term(controller->context);
    if (program->files.lock >= 0)
        files_remove_sockets(controller);
    socket_folder_remove(&program->local);
    files_unlock(&program->files);
    store_close(controller);
    addresses_free(controller);
    registry_destroy(program->registry);
    settings_destroy(program->settings);
    if (program->signals >= 0)
        close(program->signals);
}

int main(int argc, char **argv)
{
    static struct ipcontroller program = {.signals = -1, .files = {.lock = -1}};
    struct ipcl_error error = {""};
    secret_forbid_cores();
    secret_hide_words();
    secret_hide(&program.controller, sizeof(program.controller));
    connection_wipe_json();
    log_open("ipcontroller", NULL, NULL);
    int status = configure(&program, argc, argv, &error);
    if (!status && !room_open(&error) && !take_signals(&program, &error) &&
        !lock(&program, &error) && !start_modules(&program, &error)) {
        announce(&program);
        wait_for_end(&program);
    } else if (status <= 0) {
        log_error("%s", error.text);
        status = -1;
    }
    stop_modules(&program);
    return status < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
