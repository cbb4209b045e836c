/* The launcher "ssh": engines and controllers on other hosts, through OpenSSH. */
#include <ipcluster/launcher.h>

#include "ssh.h"
#include "ssh_set.h"

static const struct ipcl_option root_options[] = {
    {"ssh_cmd", IPCL_LIST, "ssh", NULL, NULL, "The command that connects: OpenSSH's."},
    {"ssh_args", IPCL_LIST, "", NULL, NULL, "Further arguments for ssh."},
    {"user", IPCL_STRING, "", NULL, NULL,
     "The user's name there, for hosts that are named without one."},
    {"location", IPCL_STRING, "", NULL, NULL,
     "The host, for the launchers of one: [user@]host[:port]."},
    {"hostname", IPCL_STRING, "", NULL, NULL, "The same, where location names none."},
    {"remote_profile_dir", IPCL_STRING, "", NULL, NULL,
     "The profile folder there, below the home folder where it does not begin with a /; it is made "
     "where it is not there. Where it is "
     "not set: that of here, below the home folder there where it is below the one here."},
    {"work_dir", IPCL_STRING, "", NULL, NULL,
     "The folder there in which engines are started. Where it is not set: the home folder."},
    {"environment", IPCL_MAPPING, "", NULL, NULL,
     "Variables for the environment of engines there: NAME=VALUE."},
    {"prologue", IPCL_STRING, "", NULL, NULL,
     "Lines of shell that are run there first: \". /etc/profile; module load python\". When they "
     "fail, the host is left out."},
    {"to_send", IPCL_MAPPING, "", NULL, NULL,
     "Files to send there first, HERE=THERE: small ones, such as scripts. A path there is below "
     "the home folder where it does not "
     "begin with a /."},
    {"to_fetch", IPCL_MAPPING, "", NULL, NULL,
     "Files to fetch from there once all has been started there, THERE=HERE; they are waited for a "
     "minute. Where there are several hosts, the host's name is put behind HERE. Connection files "
     "and what is printed there come by themselves."},
    {"delay", IPCL_REAL, "0", NULL, NULL,
     "Seconds between the start of one engine of a host and the next."},
    {"stop_seconds_until_kill", IPCL_REAL, "10", NULL, NULL,
     "Seconds between the polite request to end (SIGTERM) and SIGKILL. An engine takes seven at "
     "most."},
};
/* What ipyparallel has for these classes. */
static const struct ipcl_option ignored[] = {
    {"remote_python", IPCL_IGNORED, "", NULL, NULL, "an engine is ipengine, which has its Python"},
    {"scp_cmd,scp_args", IPCL_IGNORED, "", NULL, NULL,
     "files go through the connection that starts the engines"},
};
static const struct ipcl_option set_options[] = {
    {"*", IPCL_INHERITED, SSH_ROOT_CLASS, NULL, NULL, NULL},
    {"engines", IPCL_MAPPING, "", NULL, NULL,
     "Hosts and how many engines each takes: [user@]host[:port]=N. In place of N there may be what "
     "is set for the host alone, as JSON: "
     "{\"n\": 4, \"engine_cmd\": [...], \"engine_args\": [...], \"ssh_args\": [...], \"user\": "
     "..., \"environment\": {...}, "
     "\"work_dir\": ..., \"prologue\": ..., \"remote_profile_dir\": ...}."},
    {"hosts_file", IPCL_STRING, "", NULL, NULL,
     "A file with further hosts: lines of HOST, HOST N or HOST slots=N."},
};
static const struct ipcl_option one_options[] = {
    {"*", IPCL_INHERITED, SSH_ROOT_CLASS, NULL, NULL, NULL},
};
static const struct ipcl_option proxy_options[] = {
    {"stop_seconds_until_kill", IPCL_REAL, "60", NULL, NULL,
     "Seconds that the ipcluster there has to end its engines, before what is left is ended with "
     "ipcluster stop."},
    {"*", IPCL_INHERITED, SSH_ROOT_CLASS, NULL, NULL, NULL},
    {"ipcluster_cmd", IPCL_LIST, "ipcluster", NULL, NULL, "The command of ipcluster there."},
    {"ipcluster_args", IPCL_LIST, "", NULL, NULL,
     "Further arguments for ipcluster engines there, where its profile there says not enough: "
     "--elauncher=slurm."},
};
#define TABLE(class_name, options)                                                                 \
    {                                                                                              \
        class_name, options, sizeof(options) / sizeof(*options)                                    \
    }
static const struct ipcl_option_table tables[] = {
    TABLE(SSH_ROOT_CLASS, root_options),      TABLE(SSH_ROOT_CLASS, ignored),
    TABLE(SSH_SET_CLASS, set_options),        TABLE(SSH_SET_CLASS, ignored),
    TABLE(SSH_ONE_CLASS, one_options),        TABLE(SSH_ONE_CLASS, ignored),
    TABLE(SSH_PROXY_CLASS, proxy_options),    TABLE(SSH_PROXY_CLASS, ignored),
    TABLE(SSH_CONTROLLER_CLASS, one_options), TABLE(SSH_CONTROLLER_CLASS, ignored),
};

#define SET_CLASS                                                                                  \
    .start = ssh_set_start, .signal = ssh_set_signal, .stop = ssh_set_stop,                        \
    .output = ssh_set_output, .to_json = ssh_set_to_json, .from_json = ssh_set_from_json,          \
    .destroy = ssh_set_destroy, .preview = ssh_set_preview

static const struct ipcl_launcher_class classes[] = {
    {.name = SSH_SET_CLASS,
     .aliases = "ssh",
     .summary = "engines on other hosts, each host through one ssh",
     .role = IPCL_ROLE_ENGINES,
     .create = ssh_set_create,
     SET_CLASS},
    {.name = SSH_ONE_CLASS,
     .summary = "engines on one other host",
     .role = IPCL_ROLE_ENGINES,
     .create = ssh_one_create,
     SET_CLASS},
    {.name = SSH_PROXY_CLASS,
     .aliases = "sshproxy",
     .summary = "engines that the ipcluster of another host starts, with any launcher there",
     .role = IPCL_ROLE_ENGINES,
     .create = ssh_proxy_create,
     .properties = IPCL_STARTS_ONCE,
     SET_CLASS},
    {.name = SSH_CONTROLLER_CLASS,
     .aliases = "ssh",
     .role = IPCL_ROLE_CONTROLLER,
     .summary = "the controller on another host",
     .create = ssh_controller_create,
     SET_CLASS},
};
static const struct ipcl_launcher_operations operations = {
    .classes = classes, .class_count = sizeof(classes) / sizeof(*classes)};

IPCL_EXPORT const struct ipcl_plugin ipcl_plugin = {
    IPCL_PLUGIN_HEAD,
    .kind = "launcher",
    .name = "ssh",
    .version = "1.0",
    .summary = "engines and controllers on other hosts, through OpenSSH",
    .license = "BSD-2-Clause",
    .author = "the ipcluster developers",
    .tables = tables,
    .table_count = sizeof(tables) / sizeof(*tables),
    .operations = &operations,
};
