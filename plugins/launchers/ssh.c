/* The launcher "ssh": engines and controllers on other hosts, through OpenSSH. */
#include <ipcluster/launcher.h>

#include "ssh.h"
#include "ssh_set.h"

static const struct ipcl_option root_options[] = {
    {"ssh_cmd", IPCL_LIST, "ssh", NULL, NULL, "The command that connects: OpenSSH's ssh."},
    {"ssh_args", IPCL_LIST, "", NULL, NULL, "Further arguments for ssh."},
    {"user", IPCL_STRING, "", NULL, NULL,
     "The user name on the other host, for hosts that are given without one."},
    {"location", IPCL_STRING, "", NULL, NULL,
     "The other host, for launchers that use only one: [user@]host[:port]."},
    {"hostname", IPCL_STRING, "", NULL, NULL, "The same, if location is not set."},
    {"remote_profile_dir", IPCL_STRING, "", NULL, NULL,
     "The profile folder on the other host. Without a leading / it is below the home folder. It "
     "is made if it does not exist. If not set: the path of the profile folder here; if that is "
     "below the home folder here, it is below the home folder there."},
    {"work_dir", IPCL_STRING, "", NULL, NULL,
     "The folder on the other host in which engines are started. If not set: the home folder."},
    {"environment", IPCL_MAPPING, "", NULL, NULL,
     "Environment variables for engines on the other host: NAME=VALUE."},
    {"prologue", IPCL_STRING, "", NULL, NULL,
     "Lines of shell that are run first on the other host: \". /etc/profile; module load "
     "python\". If they fail, the host is left out."},
    {"to_send", IPCL_MAPPING, "", NULL, NULL,
     "Files to send first to the other host, HERE=THERE: small ones, such as scripts. THERE is "
     "below the home folder if it does not begin with a /."},
    {"to_fetch", IPCL_MAPPING, "", NULL, NULL,
     "Files to fetch from the other host after all has been started there, THERE=HERE. ipcluster "
     "waits a minute for them. If there are several hosts, the host's name is added to HERE. "
     "Connection files and output are fetched without this."},
    {"delay", IPCL_REAL, "0", NULL, NULL,
     "Seconds between the start of one engine of a host and the next."},
    {"stop_seconds_until_kill", IPCL_REAL, "10", NULL, NULL,
     "Seconds between SIGTERM, which asks a process to end, and SIGKILL. An engine needs seven at "
     "most."},
};
/* ipyparallel's settings of these classes. */
static const struct ipcl_option ignored[] = {
    {"remote_python", IPCL_IGNORED, "", NULL, NULL, "ipengine finds its Python itself"},
    {"scp_cmd,scp_args", IPCL_IGNORED, "", NULL, NULL,
     "files go through the connection that starts the engines"},
};
static const struct ipcl_option set_options[] = {
    {"*", IPCL_INHERITED, SSH_ROOT_CLASS, NULL, NULL, NULL},
    {"engines", IPCL_MAPPING, "", NULL, NULL,
     "Hosts, and how many engines each takes: [user@]host[:port]=N. Instead of N, settings for "
     "this host alone, as JSON: {\"n\": 4, \"engine_cmd\": [...], \"engine_args\": [...], "
     "\"ssh_args\": [...], \"user\": ..., \"environment\": {...}, \"work_dir\": ..., "
     "\"prologue\": ..., \"remote_profile_dir\": ...}."},
    {"hosts_file", IPCL_STRING, "", NULL, NULL,
     "A file with further hosts, one in each line: HOST, HOST N or HOST slots=N."},
};
static const struct ipcl_option one_options[] = {
    {"*", IPCL_INHERITED, SSH_ROOT_CLASS, NULL, NULL, NULL},
};
static const struct ipcl_option proxy_options[] = {
    {"stop_seconds_until_kill", IPCL_REAL, "60", NULL, NULL,
     "Seconds that the ipcluster on the other host has to end its engines. Then ipcluster stop "
     "ends those that are left."},
    {"*", IPCL_INHERITED, SSH_ROOT_CLASS, NULL, NULL, NULL},
    {"ipcluster_cmd", IPCL_LIST, "ipcluster", NULL, NULL,
     "The command of ipcluster on the other host."},
    {"ipcluster_args", IPCL_LIST, "", NULL, NULL,
     "Further arguments for ipcluster engines on the other host, if its profile there does not "
     "have them: --elauncher=slurm."},
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
