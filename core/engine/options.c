/* The engine's settings: ipyparallel's names where it has them. */
#include "engine/options.h"

#include "config/accepted.h"
#include "config/profile.h"
#include "plugin/offer.h"

static const struct settings_flag flags[] = {
    {"secure", "Session", "keyfile", "", "Accepted, and without effect: as the controller says."},
    {"no-secure", "Session", "keyfile", "",
     "Accepted, and without effect: as the controller says."},
};
static const struct settings_variable variables[] = {
    {"IPP_SESSION_KEY", "Session", "key"},
    {"IPP_CURVE_SERVERKEY", "IPEngine", "curve_serverkey"},
    {"IPP_CONNECTION_INFO", "IPEngine", "connection_info"},
    {"IPCLUSTER_MPI_SIZE", "IPEngine", "mpi_size"},
    {"IPCLUSTER_PYTHON", "IPEngine", "client_python"},
};

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
     "What the connection file would say, in place of a file. It holds the key: give it in the "
     "environment, as IPP_CONNECTION_INFO."},
    {"curve_serverkey", IPCL_STRING, "", NULL, NULL,
     "The controller's public key for CurveZMQ, where the connection file has none."},
    {"sshserver", IPCL_STRING, "", "ssh", NULL,
     "[user@]host[:port] through which OpenSSH tunnels to the controller, in place of what the "
     "connection file says."},
    {"sshkey", IPCL_STRING, "", "sshkey", NULL,
     "The private key file for that. Where no server is named: for the controller's own host."},
    {"auto_create", IPCL_BOOL, "false", NULL, NULL, "Make the profile where it is not there."},
    {"wait_for_url_file", IPCL_REAL, "30", NULL, NULL,
     "How many seconds to wait for the connection file to appear."},
    {"timeout", IPCL_REAL, "30", "timeout", NULL,
     "How many seconds to try to register before giving up. Where it is set, and wait_for_url_file "
     "is not, the wait for the connection file is a part of it."},
    {"location", IPCL_STRING, "", "location", NULL,
     "The controller's host, in place of what the connection file says."},
    {"id", IPCL_INT, "-1", NULL, NULL,
     "Ask for this engine id; -1: the MPI rank where there is one, otherwise the next that is "
     "free."},
    {"ids", IPCL_STRING, "", NULL, NULL,
     "Ask for one of these engine ids (3,5-7): that of the MPI rank where there is one, or else the "
     "first that is free. ipcluster gives them to engines that come back."},
    {"mpi", IPCL_STRING, "", "mpi", "mpi4py",
     "Initialise MPI before registering: mpi4py, pytrilinos, native, or the name of a plugin of "
     "kind mpi."},
    {"use_mpi", IPCL_BOOL, "false", NULL, NULL,
     "Initialise MPI by mpi4py where `mpi` names nothing else, also in an engine that mpiexec did "
     "not start."},
    {"init_mpi", IPCL_STRING, "", NULL, NULL,
     "Code to run in the user's namespace once MPI is initialised."},
    {"mpi_singleton", IPCL_BOOL, "false", NULL, NULL,
     "Let an engine that mpiexec did not start, or started as one of several, initialise MPI with "
     "itself as the only rank."},
    {"mpi_size", IPCL_INT, "0", NULL, NULL,
     "How many ranks were started as one MPI world, where the launcher's own environment does not "
     "say it: an engine that finds itself alone ends. ipcluster gives it."},
    {"startup_command", IPCL_STRING, "", "c", NULL,
     "Code to run in the user's namespace before registering."},
    {"startup_script", IPCL_STRING, "", "s", NULL,
     "A file to run in the user's namespace before registering."},
    {"max_heartbeat_misses", IPCL_INT, "50", NULL, NULL,
     "End when this many heartbeats of the controller in a row have not come; 0: never. Until then "
     "the engine waits for the controller, or for one that is started with --reuse in its place."},
    {"enable_nanny", IPCL_BOOL, "true", NULL, NULL,
     "Start a small process that outlives this engine: were it to die suddenly, the controller "
     "learns at once that it has, how, and what it printed last."},
    {"memory_limit", IPCL_STRING, "", NULL, NULL,
     "How much memory this engine may have (4G, 512M, or 50% of the host's): near it there is a "
     "warning in its log, and beyond it the engine ends, which clients are told. What it starts is "
     "not counted."},
    {"end_notice", IPCL_REAL, "30", NULL, NULL,
     "How many seconds before its batch job ends, where SLURM_JOB_END_TIME says when that is, this "
     "engine takes nothing new: it finishes what it has begun, gives back the tasks that wait, and "
     "ends. 0: it goes on until it is killed."},
    {"engine_set", IPCL_STRING, "", NULL, NULL,
     "The set of engines that this one belongs to: ipcluster gives it, and so knows which engines "
     "are its own."},
    {"engine_copy", IPCL_INT, "-1", NULL, NULL,
     "Which engine of its set this is, from 0: a launcher that starts engines on other hosts gives "
     "it, and so says of each how it ended."},
    {"batch_job", IPCL_STRING, "", NULL, NULL,
     "How the batch job is called that this engine is in: by which system ('Slurm'), or with "
     "variables of its environment ('Some job {SOME_JOB_ID}'). Where it is not given, the engine "
     "looks for the variables of each system that ipcluster has a launcher for."},
    {"kernel", IPCL_STRING, "python", NULL, NULL, "What runs user code: a plugin of kind kernel."},
    {"python", IPCL_STRING, "", "python", NULL,
     "The Python that the engine runs in: a path, or a name on PATH, of CPython 3.11 or later. "
     "Default: that of the client whose Cluster() starts the engine, of the environment that is "
     "activated ($VIRTUAL_ENV, $CONDA_PREFIX), or the one that ipcluster was installed for."},
    {"client_python", IPCL_STRING, "", NULL, NULL,
     "The Python of the client that starts this engine, which is taken where it is on the "
     "engine's host, too, and no other is named: ipcluster gives it."},
};

const struct ipcl_option_table engine_options = {"IPEngine", options,
                                                 sizeof(options) / sizeof(*options)};

/* What is for ipyparallel's engine alone. */
static const struct ipcl_option accepted[] = {
    {"out_stream_factory,display_hook_factory", IPCL_IGNORED, "", NULL, NULL,
     "output is captured at the file descriptors"},
    {"curve_publickey,curve_secretkey", IPCL_IGNORED, "", NULL, NULL,
     "an engine makes its own keys, anew each time"},
    {"mpi_registration_delay", IPCL_IGNORED, "", NULL, NULL,
     "the controller registers as many engines at a time as there are"},
    {"registration_url,url", IPCL_IGNORED, "", "url", NULL,
     "the connection file says where the controller is"},
    {"ip,transport,regport", IPCL_IGNORED, "", NULL, NULL,
     "the connection file says where the controller is"},
    {"paramiko", IPCL_IGNORED, "", NULL, NULL, "tunnels are those of OpenSSH"},
};
static const struct ipcl_option session[] = {
    {"key", IPCL_STRING, "", NULL, NULL,
     "The key that signs messages, where the connection file has none."},
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
