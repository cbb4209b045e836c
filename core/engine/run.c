/* The engine: sets up settings, kernel and MPI in the main thread, starts the I/O thread, and
 * serves. */
#include "engine/run.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mark.h"
#include "base/secret.h"
#include "base/trace.h"
#include "config/profile.h"
#include "engine/become.h"
#include "engine/children.h"
#include "engine/host.h"
#include "engine/io.h"
#include "engine/mpi.h"
#include "engine/options.h"
#include "engine/signals.h"
#include "engine/stats.h"
#include "engine/watched.h"
#include "plugin/carry.h"
#include "plugin/registry.h"
#include "wire/serializer.h"

/* Sockets, their connections, and the pipes by which output and signals come. */
#define OWN_DESCRIPTORS 32

struct program {
    struct settings *settings;
    struct profile profile;
    struct registry *registry;
    const struct ipcl_plugin *kernel;
    const struct ipcl_plugin *mpi; /* NULL: none */
    struct engine engine;
    struct host host;
};

static int load_kernel(struct program *program, struct ipcl_error *error)
{
    program->registry = registry_create(program->profile.dir, error);
    if (program->registry)
        program->kernel =
            registry_load(program->registry, "kernel",
                          settings_string(program->settings, "IPEngine", "kernel"), error);
    return program->kernel ? services_add_tables(program->settings, program->kernel, error) : -1;
}

static int load_mpi(struct program *program, struct ipcl_error *error)
{
    const char *mpi = settings_string(program->settings, "IPEngine", "mpi");
    if (!*mpi && settings_bool(program->settings, "IPEngine", "use_mpi"))
        mpi = "mpi4py";
    if (*mpi) {
        program->mpi = registry_load(program->registry, "mpi", mpi, error);
        if (!program->mpi || services_add_tables(program->settings, program->mpi, error))
            return -1;
    }
    return settings_finish(program->settings, error);
}

/* The environment is read once, before user code may change it. */
static int read_batch_job(struct program *program, struct ipcl_error *error)
{
    const char *called = settings_string(program->settings, "IPEngine", "batch_job");
    char *job = program->engine.batch_job;
    if (job_name_check(called, error))
        return -1;
    if (!job_name_find(called, job))
        *job = '\0';
    return 0;
}

/* Reads the command line. Returns 0; -1 with `error` set; 1 if help was asked for and given. */
static int read_arguments(struct settings *settings, int argc, char **argv,
                          struct ipcl_error *error)
{
    char **words = calloc((size_t)argc + 1, sizeof(*words));
    int count = words ? settings_parse(settings, argc, argv, words, error)
                      : ipcl_error_set(error, "out of memory");
    if (count > 0)
        ipcl_error_set(error, "'%.200s' is not an option: see ipengine --help", words[0]);
    free(words);
    if (count < 0)
        return -1;
    if (settings_answer(settings, stdout))
        return 1;
    return count ? -1 : carry_answer(settings, (const char *const[]){"kernel", "mpi", NULL}, error);
}

/* Settings, profile and plugins. Returns 0; -1 with `error` set; 1 if help was asked for and given.
 * Does not return if the process becomes another program. */
static int set_up(struct program *program, int argc, char **argv, struct ipcl_error *error)
{
    program->settings = settings_create(&engine_program, error);
    if (!program->settings || engine_add_options(program->settings, error))
        return -1;
    int status = read_arguments(program->settings, argc, argv, error);
    if (status)
        return status;
    counter_set(&engine_stats.started_us, (unsigned long long)(clock_wall() * 1e6));
    bool create = settings_bool(program->settings, "IPEngine", "auto_create");
    struct engine *engine = &program->engine;
    bool inside = engine->watcher == ENGINE_INSIDE;
    if (profile_read(program->settings, create, &program->profile, error) ||
        (inside && become_take_over(engine, error)) || load_kernel(program, error) ||
        (!inside && become_interpreter(engine, program->settings, program->kernel, argv, error)) ||
        capture_open(&engine->capture, error))
        return -1;
    mark_keep_to_self();
    watched_hand_over(engine, program->profile.dir);
    if (profile_enter(program->settings, "ipengine", &program->profile, error) ||
        load_mpi(program, error) ||
        bounds_read_memory(program->settings, &engine->memory_limit_bytes, error) ||
        read_batch_job(program, error))
        return -1;
    bounds_read_end(engine, program->settings);
    if (profile_shows_settings(program->settings, stdout))
        return 1;
    trace_name("engine", TRACE_PLACE_ENGINES);
    return profile_start_trace(program->settings, "ipengine", &program->profile, error);
}

static int read_connection(struct program *program, struct ipcl_error *error)
{
    struct engine *engine = &program->engine;
    random_uuid(engine->uuid);
    random_hex(engine->route, sizeof(engine->route) - 1);
    engine->settings = program->settings;
    strcpy(engine->security_dir, program->profile.security);
    engine->requested_id = settings_int(program->settings, "IPEngine", "id");
    const char *ids = settings_string(program->settings, "IPEngine", "ids");
    if (numbers_add(&engine->requested_ids, ids, 0, INT_MAX))
        return ipcl_error_set(error,
                              "IPEngine.ids: '%s' is not a list of ids such as 3,5-7, with at "
                              "most %d ids",
                              ids, NUMBERS_MAX);
    engine->registry = program->registry;
    if (engine_read_connection(engine, program->profile.dir, error))
        return -1;
    engine->frontend_serial = serializer_load(program->registry, "json", "json", error);
    watched_admit(engine);
    return engine->frontend_serial ? 0 : -1;
}

/* Prints the reason, returns the exit status. */
static int failed(enum engine_exit code, const struct ipcl_error *error)
{
    log_error("%s", error->text);
    return code;
}

static int start_mpi(struct program *program, struct ipcl_error *error)
{
    if (!program->mpi)
        return 0;
    if (!mpi_was_launched() && !settings_bool(program->settings, "IPEngine", "mpi_singleton") &&
        !settings_bool(program->settings, "IPEngine", "use_mpi"))
        return ipcl_error_set(
            error,
            "--mpi=%s, but no MPI launcher started this engine. Start it with: mpiexec -n 4 ipengine "
            "--mpi=%s (or for one engine that is its own MPI world, --IPEngine.mpi_singleton=true)",
            program->mpi->name, program->mpi->name);
    return host_start_mpi(&program->host, program->mpi, error);
}

/* Runs both threads until the end. Returns the exit status. */
static int serve(struct program *program, struct ipcl_error *error)
{
    struct engine *engine = &program->engine;
    pthread_t thread;
    /* The limit of descriptors is not raised, though it could be. It also holds for user code,
     * where select() takes only numbers up to 1023, and for programs that user code starts. */
    const struct socket_needs needs = {
        .who = "ipengine", .io_threads = 1, .descriptors = OWN_DESCRIPTORS, .threads = 1};
    engine->context = socket_context(&needs, error);
    if (!engine->context)
        return failed(ENGINE_EXIT_FAILED, error);
    engine->signal_fd = signals_open(error);
    if (engine->signal_fd < 0 || link_open(&engine->link, error))
        return failed(ENGINE_EXIT_FAILED, error);
    capture_start(&engine->capture);
    children_start(&engine->connection);
    control_count_types();
    if (pthread_create(&thread, NULL, engine_io_main, engine)) {
        ipcl_error_set(error, "cannot start a thread");
        return failed(ENGINE_EXIT_FAILED, error);
    }
    pthread_setname_np(thread, "engine-io");
    host_serve(&program->host);
    host_destroy(&program->host);
    fflush(stdout);
    link_return(&engine->link);
    pthread_join(thread, NULL);
    link_close(&engine->link);
    capture_stop(&engine->capture);
    close(engine->signal_fd);
    zmq_ctx_term(engine->context); /* lingers until what was sent has left */
    tunnel_close(engine->tunnel, IO_LINGER_MS);
    return engine->exit_code;
}

static int run(struct program *program, int argc, char **argv)
{
    struct ipcl_error error;
    int status = set_up(program, argc, argv, &error);
    if (status < 0)
        return failed(ENGINE_EXIT_SETTINGS, &error);
    if (status > 0)
        return 0;
    if (read_connection(program, &error))
        return failed(ENGINE_EXIT_CONNECTION, &error);
    if (host_create_kernel(&program->host, &program->engine, program->kernel, &error))
        return failed(ENGINE_EXIT_SETTINGS, &error);
    if (start_mpi(program, &error))
        return failed(ENGINE_EXIT_MPI, &error);
    if (host_run_startup(&program->host, program->profile.dir, &error))
        return failed(ENGINE_EXIT_SETTINGS, &error);
    return serve(program, &error);
}

int engine_run(int argc, char **argv, int watcher)
{
    static struct program program = {.engine = {.id = -1, .rank = -1}};
    program.engine.watcher = watcher;
    prctl(PR_SET_NAME, "ipengine"); /* an interpreter is called otherwise */
    secret_hide_words();
    secret_hide(&program.engine.connection, sizeof(program.engine.connection));
    secret_hide(&program.engine.stated, sizeof(program.engine.stated));
    connection_wipe_json();
    log_open("ipengine", NULL, NULL);
    int status = run(&program, argc, argv);
    host_destroy(&program.host);
    registry_destroy(program.registry);
    settings_destroy(program.settings);
    return status;
}
