/* The engine's settings: ipyparallel's names where it has them. */
#include "engine/options.h"

const struct settings_program engine_program = {
    .name = "ipengine",
    .usage = "ipengine [options]",
    .description = "Starts an engine: an interpreter in which a client's code runs. It waits for "
                   "the connection file that ipcontroller "
                   "writes, registers with that controller and serves until it is told to end.",
    .exit_status =
        "0  It ended as asked.\n1  A setting is wrong.\n3  There is no usable connection file.\n"
        "4  MPI could not be initialised.\n5  The controller did not register it.\n"
        "6  The controller was lost.\n",
    .classes = "IPEngine,BaseParallelApplication",
    .examples =
        "  ipengine                                     an engine of the default profile's "
        "controller\n"
        "  ipengine --file=ipcontroller-engine.json     of the controller that wrote this file\n"
        "  mpiexec -n 4 ipengine --mpi=mpi4py           four engines that call MPI\n",
};

static const struct ipcl_option options[] = {
    {"url_file", IPCL_STRING, "", "file", NULL,
     "The connection file; default: ipcontroller-engine.json in the profile's security folder."},
    {"wait_for_url_file", IPCL_REAL, "10", NULL, NULL,
     "How many seconds to wait for the connection file to appear."},
    {"timeout", IPCL_REAL, "30", "timeout", NULL,
     "How many seconds to try to register before giving up."},
    {"location", IPCL_STRING, "", "location", NULL,
     "The controller's host, in place of what the connection file says."},
    {"id", IPCL_INT, "-1", NULL, NULL,
     "Ask for this engine id; -1: the MPI rank where there is one, otherwise the next that is "
     "free."},
    {"mpi", IPCL_STRING, "", "mpi", "mpi4py",
     "Initialise MPI before registering: mpi4py, pytrilinos, native, or the name of a plugin of "
     "kind mpi."},
    {"mpi_singleton", IPCL_BOOL, "false", NULL, NULL,
     "Let an engine that mpiexec did not start initialise MPI, with itself as the only rank."},
    {"startup_command", IPCL_STRING, "", "c", NULL,
     "Code to run in the user's namespace before registering."},
    {"startup_script", IPCL_STRING, "", "s", NULL,
     "A file to run in the user's namespace before registering."},
    {"max_heartbeat_misses", IPCL_INT, "50", NULL, NULL,
     "End when so many of the controller's heartbeats in a row have not come; 0: never. Until then "
     "the engine waits for the controller, or for another that is started with --reuse in its "
     "place."},
    {"kernel", IPCL_STRING, "python", NULL, NULL, "What runs user code: a plugin of kind kernel."},
};

const struct ipcl_option_table engine_options = {"IPEngine", options,
                                                 sizeof(options) / sizeof(*options)};
