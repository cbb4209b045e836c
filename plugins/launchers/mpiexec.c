/* The launcher "mpiexec": engines as the ranks of one MPI job, or the controller through mpiexec.
 * One child: mpiexec. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <jansson.h>

#include <ipcluster/launcher.h>

#include "launch.h"
#include "mpi_places.h"

#define MPI_PATH_BYTES 4096
#define MPI_ROOT_CLASS "MPILauncher" /* the classes of this file inherit its settings */

struct mpi_job {
    const struct ipcl_launcher_services *services;
    const char *class_name;
    enum ipcl_role role;
    unsigned count;
    char *output; /* all ranks write to one file */
    char *work_dir;
    char **program;
    char **environment;
    int64_t pid;
    int64_t born;
    bool running;
    bool stopping;
};

static void job_destroy(void *self)
{
    struct mpi_job *job = self;
    if (!job)
        return;
    free(job->output);
    free(job->work_dir);
    list_free(job->program);
    list_free(job->environment);
    free(job);
}

static double stop_seconds(const struct mpi_job *job)
{
    const struct ipcl_services *base = &job->services->base;
    return base->option_real(base->host, job->class_name, "stop_seconds_until_kill");
}

static const char *const *job_list(const struct mpi_job *job, const char *name)
{
    const struct ipcl_services *base = &job->services->base;
    return base->option_list(base->host, job->class_name, name, NULL);
}

static void *job_create(const struct ipcl_launcher_services *services, const char *class_name,
                        enum ipcl_role role, struct ipcl_error *error)
{
    struct mpi_job *job = calloc(1, sizeof(*job));
    if (!job) {
        ipcl_error_set(error, "no memory for an mpiexec launcher");
        return NULL;
    }
    job->services = services;
    job->class_name = class_name;
    job->role = role;
    job->pid = -1;
    say_patience(services, stop_seconds(job));
    if (role == IPCL_ROLE_ENGINES && mpi_is_elsewhere(job_list(job, "mpi_args")))
        services->starts_elsewhere(services->base.host);
    return job;
}

#define JOB_CREATE(function, class_name, role)                                                     \
    static void *function(const struct ipcl_launcher_services *services, struct ipcl_error *error) \
    {                                                                                              \
        return job_create(services, class_name, role, error);                                      \
    }
JOB_CREATE(engines_create, "MPIEngineSetLauncher", IPCL_ROLE_ENGINES)
JOB_CREATE(exec_engines_create, "MPIExecEngineSetLauncher", IPCL_ROLE_ENGINES)
JOB_CREATE(controller_create, "MPIControllerLauncher", IPCL_ROLE_CONTROLLER)
JOB_CREATE(exec_controller_create, "MPIExecControllerLauncher", IPCL_ROLE_CONTROLLER)

/* The name of the engines' MPI initialiser, or NULL for none. */
static const char *job_initialiser(const struct mpi_job *job)
{
    const struct ipcl_services *base = &job->services->base;
    if (job->role != IPCL_ROLE_ENGINES)
        return NULL;
    const char *name = base->option_string(base->host, job->class_name, "mpi");
    return *name && strcmp(name, "none") != 0 ? name : NULL;
}

static void job_say(const struct mpi_job *job, enum ipcl_log_level level, const char *text)
{
    job->services->base.log(job->services->base.host, level, text);
}

static void job_exited(void *self, int64_t pid, int status, int signum)
{
    struct mpi_job *job = self;
    char reason[120];
    (void)pid;
    job->running = false;
    snprintf(reason, sizeof(reason), "mpiexec was ended by signal %d (%s)", signum,
             strsignal(signum));
    job->services->stopped(job->services->base.host, IPCL_ALL_COPIES,
                           signum ? 128 + signum : status, signum ? reason : NULL);
}

/* Whether mpiexec was told which processors each rank has. */
static bool bound(const struct mpi_job *job)
{
    static const char *const words[] = {"bind", "map-by", "cpu", "rankfile", "-rf"};
    const char *const *extra = job_list(job, "mpi_args");
    for (size_t i = 0; extra && extra[i]; i++)
        for (size_t w = 0; w < sizeof(words) / sizeof(*words); w++)
            if (strstr(extra[i], words[w]))
                return true;
    return false;
}

/* The environment of mpiexec and its ranks: the launch's, and how many ranks are one world. By
 * default, Open MPI binds a rank to one core or socket. That is turned off unless somebody has set
 * it, because code on an engine may have threads. Returns NULL if memory is short. */
static char **job_environment(const struct mpi_job *job, const char *const *given)
{
    static const char *const unbound[] = {"OMPI_MCA_hwloc_base_binding_policy",     /* Open MPI 4 */
                                          "PRTE_MCA_hwloc_default_binding_policy"}; /* 5 */
    char texts[3][64];
    const char **all = calloc(list_length(given) + 4, sizeof(*all));
    size_t used = 0, made = 0;
    if (!all)
        return NULL;
    for (; given && given[used]; used++)
        all[used] = given[used];
    if (job_initialiser(job)) {
        snprintf(texts[made], sizeof(texts[made]), "IPCLUSTER_MPI_SIZE=%u", job->count);
        all[used++] = texts[made++];
    }
    for (size_t i = 0; i < 2 && !bound(job); i++)
        if (!getenv(unbound[i])) {
            snprintf(texts[made], sizeof(texts[made]), "%s=none", unbound[i]);
            all[used++] = texts[made++];
        }
    char **copy = list_copy(all);
    free(all);
    return copy;
}

/* Runs mpiexec [--oversubscribe] for the job. Returns 0 or -1 with `error` set. */
static int job_spawn(struct mpi_job *job, bool oversubscribe, struct ipcl_error *error)
{
    void *host = job->services->base.host;
    const char *const *command = job_list(job, "mpi_cmd");
    const char *const *extra = job_list(job, "mpi_args");
    const char *initialiser = job_initialiser(job);
    char count[16], mpi_option[256];
    size_t words = list_length(command) + list_length(extra) +
                   list_length((const char *const *)job->program) + 5;
    const char **argv = calloc(words, sizeof(*argv));
    size_t used = 0;
    if (!argv)
        return ipcl_error_set(error, "no memory for mpiexec's command line");
    snprintf(count, sizeof(count), "%u", job->count);
    for (size_t i = 0; command && command[i]; i++)
        argv[used++] = command[i];
    argv[used++] = "-n";
    argv[used++] = count;
    if (oversubscribe)
        argv[used++] = "--oversubscribe";
    for (size_t i = 0; extra && extra[i]; i++)
        argv[used++] = extra[i];
    for (size_t i = 0; job->program[i]; i++)
        argv[used++] = job->program[i];
    if (initialiser) {
        snprintf(mpi_option, sizeof(mpi_option), "--mpi=%s", initialiser);
        argv[used++] = mpi_option;
    }
    struct ipcl_spawn spawn = {
        .argv = argv,
        .environment = (const char *const *)job->environment,
        .work_dir = job->work_dir,
        .output_path = job->output,
        .exited = job_exited,
    };
    job->pid = job->services->spawn(host, &spawn, error);
    free(argv);
    if (job->pid < 0)
        return -1;
    job->born = job->services->process_born(host, job->pid);
    job->running = true;
    job->services->started(host);
    return 0;
}

/* mpiexec has said what it is. Only Open MPI refuses more ranks than cores. */
static void job_start_oversubscribed(void *self, int status, const char *output)
{
    struct mpi_job *job = self;
    struct ipcl_error error;
    bool open_mpi = status == 0 && (strstr(output, "Open MPI") || strstr(output, "OpenRTE") ||
                                    strstr(output, "PRRTE"));
    if (job->stopping) {
        job->services->stopped(job->services->base.host, IPCL_ALL_COPIES, 0, NULL);
        return;
    }
    if (open_mpi) {
        char text[160];
        snprintf(text, sizeof(text),
                 "%u engines will share %u processor core%s: mpiexec is told to --oversubscribe",
                 job->count, mpi_cores(), mpi_cores() == 1 ? "" : "s");
        job_say(job, IPCL_LOG_WARN, text);
    }
    if (job_spawn(job, open_mpi, &error) < 0)
        job->services->stopped(job->services->base.host, IPCL_ALL_COPIES, 127, error.text);
}

static int job_start(void *self, const struct ipcl_launch *launch, struct ipcl_error *error)
{
    struct mpi_job *job = self;
    char output[MPI_PATH_BYTES];
    snprintf(output, sizeof(output), "%s/%s.log", launch->log_dir, launch->label);
    job->count = launch->count;
    job->output = strdup(output);
    job->work_dir = strdup(launch->work_dir);
    job->program = list_copy(launch->argv);
    job->environment = job_environment(job, launch->environment);
    if (!job->output || !job->work_dir || !job->program || !job->environment)
        return ipcl_error_set(error, "no memory to start %u engines", launch->count);
    if (job->count <= mpi_cores() || mpi_is_placed(job_list(job, "mpi_args")))
        return job_spawn(job, false, error);

    const char *const *command = job_list(job, "mpi_cmd");
    const char **argv = calloc(list_length(command) + 2, sizeof(*argv));
    if (!argv)
        return ipcl_error_set(error, "no memory for mpiexec's command line");
    for (size_t i = 0; command && command[i]; i++)
        argv[i] = command[i];
    argv[list_length(command)] = "--version";
    int outcome =
        job->services->run(job->services->base.host, argv, NULL, job_start_oversubscribed, error);
    free(argv);
    return outcome;
}

static int job_signal(void *self, int signum, struct ipcl_error *error)
{
    struct mpi_job *job = self;
    return job->running ? job->services->kill(job->services->base.host, job->pid, signum, error)
                        : 0;
}

static void job_kill(void *self)
{
    struct ipcl_error error;
    job_signal(self, SIGKILL, &error);
}

static int job_stop(void *self, struct ipcl_error *error)
{
    struct mpi_job *job = self;
    job->stopping = true;
    /* A job that cannot be signalled has gone, and is reported as such. */
    job_signal(job, SIGTERM, error);
    return job->services->timer(job->services->base.host, milliseconds(stop_seconds(job)), job_kill,
                                error);
}

static int job_output(void *self, unsigned index, char *path, size_t path_bytes)
{
    const struct mpi_job *job = self;
    (void)index;
    return job->output && snprintf(path, path_bytes, "%s", job->output) < (int)path_bytes ? 0 : -1;
}

static char *job_to_json(void *self)
{
    const struct mpi_job *job = self;
    json_t *whole = json_pack("{s:i s:s s:I s:I}", "count", (int)job->count, "output",
                              job->output ? job->output : "", "pid", (json_int_t)job->pid, "born",
                              (json_int_t)job->born);
    char *text = whole ? json_dumps(whole, JSON_COMPACT) : NULL;
    json_decref(whole);
    return text;
}

static int job_from_json(void *self, const char *json, struct ipcl_error *error)
{
    struct mpi_job *job = self;
    const char *output;
    json_int_t pid, born;
    int count, outcome = -1;
    json_t *whole = json_loads(json, 0, NULL);
    if (!whole || json_unpack(whole, "{s:i s:s s:I s:I}", "count", &count, "output", &output, "pid",
                              &pid, "born", &born) < 0) {
        ipcl_error_set(error, "the saved state of an mpiexec launcher is damaged");
        goto done;
    }
    job->count = count > 0 ? (unsigned)count : 1;
    job->output = strdup(output);
    if (job->services->adopt(job->services->base.host, pid, born, job_exited, error) < 0)
        goto done;
    job->pid = pid;
    job->born = born;
    job->running = true;
    outcome = 0;
done:
    json_decref(whole);
    return outcome;
}

static const struct ipcl_option root_options[] = {
    {"mpi_cmd", IPCL_LIST, "mpiexec", NULL, NULL, "The command that starts MPI processes."},
    {"mpi_args", IPCL_LIST, "", NULL, NULL, "Arguments for mpiexec, before the program."},
    {"mpi", IPCL_STRING, "mpi4py", "mpi", NULL,
     "What initialises MPI in the engines: mpi4py, pytrilinos, native, or none."},
    {"stop_seconds_until_kill", IPCL_REAL, "10", NULL, NULL,
     "Seconds between SIGTERM, which asks a process to end, and SIGKILL. An engine needs seven at "
     "most; mpiexec itself may give it less."},
};
static const struct ipcl_option inherited[] = {
    {"*", IPCL_INHERITED, MPI_ROOT_CLASS, NULL, NULL, NULL},
};
static const struct ipcl_option_table tables[] = {
    {MPI_ROOT_CLASS, root_options, 4},           {"MPIEngineSetLauncher", inherited, 1},
    {"MPIExecEngineSetLauncher", inherited, 1},  {"MPIControllerLauncher", inherited, 1},
    {"MPIExecControllerLauncher", inherited, 1},
};

#define JOB_CLASS                                                                                  \
    .start = job_start, .signal = job_signal, .stop = job_stop, .output = job_output,              \
    .to_json = job_to_json, .from_json = job_from_json, .destroy = job_destroy

static const struct ipcl_launcher_class classes[] = {
    {.name = "MPIEngineSetLauncher",
     .aliases = "mpi,mpiexec",
     .role = IPCL_ROLE_ENGINES,
     .summary = "engines, the ranks of one MPI job",
     .create = engines_create,
     JOB_CLASS},
    {.name = "MPIExecEngineSetLauncher",
     .aliases = "",
     .role = IPCL_ROLE_ENGINES,
     .summary = "the same, by its older name",
     .create = exec_engines_create,
     JOB_CLASS},
    {.name = "MPIControllerLauncher",
     .aliases = "mpi,mpiexec",
     .role = IPCL_ROLE_CONTROLLER,
     .summary = "the controller, through mpiexec -n 1",
     .create = controller_create,
     JOB_CLASS},
    {.name = "MPIExecControllerLauncher",
     .aliases = "",
     .role = IPCL_ROLE_CONTROLLER,
     .summary = "the same, by its older name",
     .create = exec_controller_create,
     JOB_CLASS},
};
static const struct ipcl_launcher_operations operations = {.classes = classes, .class_count = 4};

IPCL_EXPORT const struct ipcl_plugin ipcl_plugin = {
    IPCL_PLUGIN_HEAD,
    .kind = "launcher",
    .name = "mpiexec",
    .version = "1.0",
    .summary = "MPI jobs, through mpiexec",
    .license = "BSD-2-Clause",
    .author = "the ipcluster developers",
    .tables = tables,
    .table_count = 5,
    .operations = &operations,
};
