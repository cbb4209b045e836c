/* The engine's settings: ipyparallel's names where it has them. */
#include "engine/options.h"

#include "config/accepted.h"
#include "config/profile.h"
#include "engine/stats.h"
#include "plugin/offer.h"

static const struct settings_flag flags[] = {
    {"secure", "Session", "keyfile", "",
     "Accepted, without effect: the connection file says which key."},
    {"no-secure", "Session", "keyfile", "",
     "Accepted, without effect: the connection file says which key."},
};
static const struct settings_variable variables[] = {
    {"IPP_SESSION_KEY", "Session", "key"},
    {"IPP_CURVE_SERVERKEY", "IPEngine", "curve_serverkey"},
    {"IPP_CONNECTION_INFO", "IPEngine", "connection_info"},
    {"IPCLUSTER_MPI_SIZE", "IPEngine", "mpi_size"},
    {"IPCLUSTER_PYTHON", "IPEngine", "client_python"},
};

static void write_metrics(settings_item *item, FILE *stream)
{
    metric_list(&engine_stats_table, item, stream);
}

const struct settings_program engine_program = {
    .name = "ipengine",
    .usage = "ipengine [options]",
    .description =
        "Starts an engine: an interpreter in which a client's code runs. It waits for "
        "the connection file that ipcontroller "
        "writes, registers with that controller and serves until it is told to end. "
        "SIGTERM and SIGHUP end it; SIGINT (Ctrl-C) interrupts what a client runs in it.",
    .exit_status =
        "0  It ended as asked.\n1  A setting is wrong.\n3  There is no usable connection file.\n"
        "4  MPI could not be initialised.\n5  The controller did not register it.\n"
        "6  The controller was lost.\n"
        "7  The engine failed: a part of ipcluster cannot be loaded, or a limit of the system is "
        "too low.\n"
        "8  It reached a limit: of memory, of time, or the end of its batch job.\n",
    .more = "METRICS",
    .more_items = write_metrics,
    .flags = flags,
    .flag_count = sizeof(flags) / sizeof(*flags),
    .variables = variables,
    .variable_count = sizeof(variables) / sizeof(*variables),
    .classes = "IPEngine,IPEngineApp,EngineFactory,RegistrationFactory,BaseParallelApplication,"
               "BaseIPythonApplication,Application",
    .examples =
        "  ipengine                                     an engine of the default profile's "
        "controller\n"
        "  ipengine --file=ipcontroller-engine.json     of the controller that wrote this file\n"
        "  mpiexec -n 4 ipengine --mpi=mpi4py           four engines that call MPI\n",
};

static const struct ipcl_option options[] = {
    {"url_file", IPCL_STRING, "", "file", NULL,
     "The connection file; default: ipcontroller-engine.json in the profile's security folder."},
    {"url_file_name", IPCL_STRING, "", NULL, NULL,
     "The connection file's name in the profile's security folder."},
    {"connection_info", IPCL_STRING, "", NULL, NULL,
     "The content of a connection file, instead of a file. It holds the key: give it in the "
     "environment, as IPP_CONNECTION_INFO."},
    {"curve_serverkey", IPCL_STRING, "", NULL, NULL,
     "The controller's public key for CurveZMQ, if the connection file has none."},
    {"sshserver", IPCL_STRING, "", "ssh", NULL,
     "[user@]host[:port] through which OpenSSH tunnels to the controller, instead of the one in "
     "the connection file."},
    {"sshkey", IPCL_STRING, "", "sshkey", NULL,
     "The private key file for sshserver. If there is no sshserver: for the controller's own "
     "host."},
    {"auto_create", IPCL_BOOL, "false", NULL, NULL, "Make the profile if it does not exist."},
    {"wait_for_url_file", IPCL_REAL, "30", NULL, NULL,
     "How many seconds to wait for the connection file to appear."},
    {"timeout", IPCL_REAL, "30", "timeout", NULL,
     "How many seconds to try to register before giving up. If this is set and wait_for_url_file "
     "is not, the wait for the connection file counts, too."},
    {"location", IPCL_STRING, "", "location", NULL,
     "The controller's host, instead of the one in the connection file."},
    {"id", IPCL_INT, "-1", NULL, NULL,
     "Ask for this engine id. -1: the MPI rank if there is one, otherwise the next free id."},
    {"ids", IPCL_STRING, "", NULL, NULL,
     "Ask for one of these engine ids (3,5-7): the one for the MPI rank if there is one, "
     "otherwise the first free one. ipcluster sets this for engines that come back."},
    {"mpi", IPCL_STRING, "", "mpi", "mpi4py",
     "Initialise MPI before registering: mpi4py, pytrilinos, native, or the name of a plugin of "
     "kind mpi."},
    {"use_mpi", IPCL_BOOL, "false", NULL, NULL,
     "Initialise MPI by mpi4py if `mpi` is not set, even in an engine that mpiexec did not start."},
    {"init_mpi", IPCL_STRING, "", NULL, NULL,
     "Code to run in the user's namespace after MPI is initialised."},
    {"mpi_singleton", IPCL_BOOL, "false", NULL, NULL,
     "Let an engine initialise MPI with itself as the only rank, even if mpiexec did not start "
     "it, or started it as one of several."},
    {"mpi_size", IPCL_INT, "0", NULL, NULL,
     "How many ranks were started as one MPI world, if the launcher's own environment does not "
     "say it. An engine that then finds itself alone ends. ipcluster sets this."},
    {"startup_command", IPCL_STRING, "", "c", NULL,
     "Code to run in the user's namespace before registering."},
    {"startup_script", IPCL_STRING, "", "s", NULL,
     "A file to run in the user's namespace before registering."},
    {"max_heartbeat_misses", IPCL_INT, "50", NULL, NULL,
     "End when this many heartbeats of the controller in a row have not come. 0: never. Until "
     "then the engine waits for the controller, or for a new one that is started with --reuse."},
    {"enable_nanny", IPCL_BOOL, "true", NULL, NULL,
     "Start a watcher, a small process that outlives this engine. If the engine dies, the watcher "
     "tells the controller at once how it died and what it printed last."},
    {"memory_limit", IPCL_STRING, "", NULL, NULL,
     "How much memory this engine may use (4G, 512M, or 50% of the host's). Near this limit there "
     "is a warning in its log. Above it the engine ends, and clients are told. Processes that it "
     "starts are not counted."},
    {"end_notice", IPCL_REAL, "30", NULL, NULL,
     "How many seconds before its batch job ends this engine accepts nothing new: it finishes "
     "what it has begun, gives back the tasks that wait, and ends. SLURM_JOB_END_TIME says when "
     "the job ends. 0: the engine goes on until it is killed."},
    {"engine_set", IPCL_STRING, "", NULL, NULL,
     "The engine set that this engine belongs to. ipcluster sets this, to know its own engines."},
    {"engine_copy", IPCL_INT, "-1", NULL, NULL,
     "Which copy of its engine set this engine is, from 0. A launcher that starts engines on "
     "other hosts sets this, to say how each engine ended."},
    {"batch_job", IPCL_STRING, "", NULL, NULL,
     "The batch job that this engine runs in: the name of its batch system ('Slurm'), or a text "
     "with variables of the environment ('Some job {SOME_JOB_ID}'). If not set, the engine looks "
     "for the variables of each batch system that ipcluster has a launcher for."},
    {"kernel", IPCL_STRING, "python", NULL, NULL, "What runs user code: a plugin of kind kernel."},
    {"python", IPCL_STRING, "", "python", NULL,
     "The Python that the engine runs in, CPython 3.11 or later: a path, or a name on PATH. "
     "Default: the Python of the client whose Cluster() starts the engine; or that of the "
     "activated environment ($VIRTUAL_ENV, $CONDA_PREFIX); or the one that ipcluster was "
     "installed for."},
    {"client_python", IPCL_STRING, "", NULL, NULL,
     "The Python of the client that starts this engine. It is used if `python` is not set and it "
     "exists on the engine's host, too. ipcluster sets this."},
};

const struct ipcl_option_table engine_options = {"IPEngine", options,
                                                 sizeof(options) / sizeof(*options)};

/* What is for ipyparallel's engine alone. */
static const struct ipcl_option accepted[] = {
    {"out_stream_factory,display_hook_factory", IPCL_IGNORED, "", NULL, NULL,
     "output is captured at the file descriptors"},
    {"curve_publickey,curve_secretkey", IPCL_IGNORED, "", NULL, NULL,
     "an engine makes new keys each time"},
    {"mpi_registration_delay", IPCL_IGNORED, "", NULL, NULL,
     "the controller can register all engines at the same time"},
    {"registration_url,url", IPCL_IGNORED, "", "url", NULL,
     "the connection file says where the controller is"},
    {"ip,transport,regport", IPCL_IGNORED, "", NULL, NULL,
     "the connection file says where the controller is"},
    {"paramiko", IPCL_IGNORED, "", NULL, NULL, "tunnels always use OpenSSH"},
};
static const struct ipcl_option session[] = {
    {"key", IPCL_STRING, "", NULL, NULL,
     "The key that signs messages, if the connection file has none."},
    {"keyfile", IPCL_IGNORED, "", "keyfile", NULL, "the connection file says which key"},
    {"packer,unpacker,signature_scheme", IPCL_IGNORED, "", NULL, NULL,
     "the connection file says how messages are packed and signed"},
};

static void offer_mpi(const struct settings *settings, const void *context, FILE *stream)
{
    (void)context;
    offer_plugins(settings, "mpi", stream);
}

static void offer_kernels(const struct settings *settings, const void *context, FILE *stream)
{
    (void)context;
    offer_plugins(settings, "kernel", stream);
}

static const struct settings_offer offers[] = {
    {"IPEngine", "mpi", offer_mpi},
    {"IPEngine", "kernel", offer_kernels},
};

int engine_add_options(struct settings *settings, struct ipcl_error *error)
{
    static const struct ipcl_option_table tables[] = {
        {"IPEngine", accepted, sizeof(accepted) / sizeof(*accepted)},
        {"Session", session, sizeof(session) / sizeof(*session)},
    };
    return settings_add(settings, &engine_options, error) ||
                   settings_add_offers(settings, offers, sizeof(offers) / sizeof(*offers), NULL,
                                       error) ||
                   settings_add(settings, &tables[0], error) ||
                   settings_add(settings, &tables[1], error) ||
                   profile_add_options(settings, error) ||
                   profile_add_process_options(settings, error) ||
                   accepted_add_python(settings, error)
               ? -1
               : 0;
}
