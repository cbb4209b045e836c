/* The settings of ipcontroller. */
#include "controller/options.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/log.h"
#include "base/secret.h"
#include "base/random.h"
#include "controller/addresses.h"
#include "controller/balancer/finished.h"
#include "controller/balancer/schemes.h"
#include "controller/records/store.h"
#include "controller/stats/stats.h"
#include "wire/serializer.h"
#include "plugin/offer.h"

#define KEY_DIGITS 64 /* 256 bits, as much as HMAC-SHA256 makes use of */

static const struct ipcl_option controller_options[] = {
    {"ip", IPCL_STRING, "127.0.0.1", "ip", NULL,
     "The address to listen on: an IPv4 address of this host, or 0.0.0.0 or * for all. With the "
     "default, engines and clients on other hosts "
     "can connect only through SSH tunnels."},
    {"location", IPCL_STRING, "", "location", NULL,
     "The name or address by which other hosts reach this one. Default: the host's name, and "
     "with --ip=* also each of its addresses; engines and clients use the first that answers."},
    {"regport", IPCL_INT, "0", "port", NULL, "The port where engines register. 0: a free port."},
    {"engine_ip", IPCL_STRING, "", NULL, NULL,
     "The address to listen on for engines, if it differs from the address for clients."},
    {"client_ip", IPCL_STRING, "", NULL, NULL, "The same for clients."},
    {"engines_elsewhere", IPCL_BOOL, "false", NULL, NULL,
     "Engines are on other hosts: if no address is set, listen for engines on all addresses of "
     "this host. ipcluster sets this if a batch system starts the engines."},
    {"clients_elsewhere", IPCL_BOOL, "false", NULL, NULL,
     "The same for clients; ipcluster sets this if a batch system starts the controller."},
    {"ports", IPCL_LIST, "", "ports", NULL,
     "Ports to listen on: numbers and ranges such as 10101-10120. If there are too few, or none "
     "are given, free ports are used. The controller needs 15."},
    {"engine_ports", IPCL_LIST, "", NULL, NULL,
     "Ports for engines to connect to, used before `ports`."},
    {"client_ports", IPCL_LIST, "", NULL, NULL, "The same for clients."},
    {"hb", IPCL_LIST, "", NULL, NULL, "Two ports for heartbeats, as engine_ports."},
    {"mux", IPCL_LIST, "", NULL, NULL,
     "Two ports, one for clients and one for engines, as client_ports and engine_ports."},
    {"task", IPCL_LIST, "", NULL, NULL, "The same."},
    {"control", IPCL_LIST, "", NULL, NULL, "The same."},
    {"iopub", IPCL_LIST, "", NULL, NULL, "The same."},
    {"notifier_port", IPCL_INT, "0", NULL, NULL, "A port for clients, as client_ports."},
    {"transport", IPCL_STRING, "tcp", "transport", NULL,
     "tcp, or ipc for sockets in the profile's security folder, which only this host can reach."},
    {"engine_transport", IPCL_STRING, "", NULL, NULL, "The same as transport."},
    {"client_transport", IPCL_STRING, "", NULL, NULL, "The same as transport."},
    {"enable_curve", IPCL_BOOL, "true", NULL, NULL,
     "Encrypt and authenticate TCP connections with CurveZMQ. With ipc it is used only if it is "
     "set explicitly."},
    {"local_sockets", IPCL_BOOL, "true", NULL, NULL,
     "Have programs of this host and this user connect by sockets in a private folder beside the "
     "TCP ports. There they need no encryption, and are faster. ipyparallel's connect by TCP."},
    {"shared_memory", IPCL_BOOL, "true", NULL, NULL,
     "Have programs that connect by local sockets hand each other large buffers in shared memory, "
     "instead of copying them through the sockets: from 32 MiB on, or from 1 MiB on if several "
     "engines get them."},
    {"allow_unencrypted", IPCL_BOOL, "false", NULL, NULL,
     "Listen on other addresses than loopback even if enable_curve is false. Whoever is on that "
     "network can then read and change messages, and run code."},
    {"curve_publickey", IPCL_STRING, "", NULL, NULL,
     "The controller's public key for CurveZMQ, for clients. If keys are not set, new ones are "
     "made; the key for engines is always new."},
    {"curve_secretkey", IPCL_STRING, "", NULL, NULL,
     "The secret key that belongs to the public "
     "key."},
    {"core_dumps", IPCL_BOOL, "false", NULL, NULL,
     "Let the system write a core file if the controller crashes, as ulimit -c says. The file "
     "holds data made from keys: protect it like the keys."},
    {"client_json_file", IPCL_STRING, "", NULL, NULL,
     "The name of the clients' connection file in the security folder. Default: "
     "ipcontroller[-CLUSTER_ID]-client.json."},
    {"engine_json_file", IPCL_STRING, "", NULL, NULL,
     "The name of the engines' connection file. Default: ipcontroller[-CLUSTER_ID]-engine.json."},
    {"reuse_files", IPCL_BOOL, "false", NULL, NULL,
     "Take ports and keys from the existing connection files, and leave the files when the "
     "controller ends. Then the engines and clients of the previous controller connect to this "
     "one."},
    {"restore_engines", IPCL_BOOL, "false", NULL, NULL,
     "Take over the engines of the previous controller whose hearts still beat, also engines "
     "that do not register again by themselves, such as ipyparallel's. Implies reuse_files."},
    {"ssh_server", IPCL_STRING, "", "ssh", NULL,
     "[user@]host[:port] through which clients reach the controller; it is written to their "
     "connection file."},
    {"engine_ssh_server", IPCL_STRING, "", "enginessh", NULL, "The same for engines."},
    {"db_class", IPCL_STRING, "nodb", NULL, NULL,
     "The store for records of requests and their results. nodb: no records. dictdb: the newest, "
     "in memory (see DictDB in `ipcluster plugins memory`). sqlitedb: a file, which the next "
     "controller can use (see SQLiteDB in `ipcluster plugins sqlite`). Or the name of a plugin."},
    {"records_backlog", IPCL_INT, "268435456", NULL, NULL,
     "How many bytes of requests and results may wait for a slow store. Beyond that they are not "
     "recorded; the controller counts and logs this. Tasks never wait for the store."},
    {"unread_backlog", IPCL_INT, "0", NULL, NULL,
     "How many bytes may wait, in each thread of the controller, for clients that do not read "
     "their replies, and as many for engines that do not read their requests, such as stopped "
     "engines. Beyond that, errors replace results, requests are answered with errors, and "
     "output is dropped; the controller counts and logs this. It does not affect peers for whom "
     "little waits. 0: half of this host's memory."},
    {"registration_timeout", IPCL_INT, "0", NULL, NULL,
     "Seconds until the first heartbeat of a new engine has to come, and a twentieth of a second "
     "more for each other engine that registers at the same time. 0: 30 seconds, or 10 "
     "heartbeats if that is longer."},
    {"metrics", IPCL_STRING, "", "metrics", NULL,
     "[ADDRESS:]PORT. Offer the controller's counts to Prometheus, as OpenMetrics text at "
     "http://ADDRESS:PORT/metrics. ADDRESS is an IPv4 address of this host, or * for all; "
     "without it only this host can connect. Whoever can connect can read the counts. Port 0: a "
     "free port, which the log and ipcluster stats show. Default: they are not offered."},
    {"auto_create", IPCL_BOOL, "true", NULL, NULL, "Make the profile if it does not exist."},
    {"frame_bytes_max", IPCL_INT, "0", NULL, NULL,
     "The largest part of a message (usually a buffer of data) to accept, in bytes. A request or "
     "result with a larger part is answered with an error. 0: a quarter of this host's memory, or "
     "of the memory that the controller may have if that is less; but 64 MiB on TCP without "
     "encryption, where everybody can send."},
};
static const struct ipcl_option heart_options[] = {
    {"period", IPCL_INT, "3000", "ping", NULL, "Milliseconds between heartbeats."},
    {"max_heartmonitor_misses", IPCL_INT, "10", NULL, NULL,
     "How many heartbeats an engine may miss in a row before it counts as dead. If its "
     "connection ends, it counts as dead after a second."},
};
/* Of the table in balancer/schemes.c: see options_add(). */
static char scheme_names[256], scheme_help[2048];

static const struct ipcl_option task_options[] = {
    {"hwm", IPCL_INT, "-1", "hwm", NULL,
     "How many tasks an engine may have at a time. -1: as many as it does in a few milliseconds, so "
     "that it already has its next task when it ends a short one; what it has not begun goes to "
     "another engine if one takes longer. ipyparallel's engines have one then. 0: no limit."},
    {"scheme_name", IPCL_STRING, "leastload", "scheme", NULL, scheme_help},
    {"deaths_max", IPCL_INT, "3", NULL, NULL,
     "How many engines may die while they run the same task. Then the task fails and is not "
     "tried again, even if it has retries left. 0: any number."},
    {"client_grace", IPCL_INT, "60", NULL, NULL,
     "Seconds that a client may be out of reach before its waiting requests are dropped, if it "
     "asked for that (Client(keep_tasks=False)). It may take up to a quarter longer until the "
     "controller notices."},
    {"finished_max", IPCL_INT, "1000000", NULL, NULL,
     "How many of the newest finished tasks are remembered, for tasks that depend on them. A "
     "task that depends on an older one is refused. Each takes 20 bytes of memory when it "
     "finishes."},
};
static const struct ipcl_option session_options[] = {
    {"key", IPCL_STRING, RANDOM_KEY, NULL, NULL,
     "The key that signs messages of clients; " RANDOM_KEY " for a new secret one; the key for "
     "engines is always new. If it is "
     "empty, no messages are signed."},
    {"keyfile", IPCL_STRING, "", "keyfile", NULL,
     "A file that holds the key. Only you may be able to read it."},
    {"signature_scheme", IPCL_STRING, "hmac-sha256", NULL, NULL,
     "How messages are signed: hmac- and a digest of OpenSSL's."},
    {"packer", IPCL_STRING, "json", NULL, NULL,
     "How parts of messages are packed: json or msgpack, or Python's name for it (msgpack.packb)."},
    {"unpacker", IPCL_STRING, "", NULL, NULL,
     "How parts of messages are unpacked. It must name the same serializer as packer; default: "
     "that one."},
};
/* What is for ipyparallel's controller alone. */
static const struct ipcl_option accepted_options[] = {
    {"use_threads", IPCL_IGNORED, "", NULL, NULL, "the schedulers are threads of one process"},
    {"monitor_ip,monitor_transport,mon_port", IPCL_IGNORED, "", NULL, NULL,
     "what is monitored does not leave the process"},
    {"import_statements", IPCL_IGNORED, "", NULL, NULL, "the controller runs no Python"},
    {"url", IPCL_IGNORED, "", NULL, NULL, "ip, transport and regport say where to listen"},
    {"broadcast_scheduler_depth", IPCL_IGNORED, "", NULL, NULL, "one thread serves all broadcasts"},
};
static const struct ipcl_option accepted_heart_options[] = {
    {"debug", IPCL_IGNORED, "", NULL, NULL, "--log-level=DEBUG logs what can be logged"},
};
static const struct ipcl_option no_store_options[] = {
    {"*", IPCL_IGNORED, "", NULL, NULL, "IPController.db_class does not name this store"},
};
static const struct ipcl_option no_mongo_options[] = {
    {"*", IPCL_IGNORED, "", NULL, NULL, "there is no store in MongoDB"},
};
#define TABLE(class_name, options)                                                                 \
    {                                                                                              \
        class_name, options, sizeof(options) / sizeof(*(options))                                  \
    }
static const struct ipcl_option_table tables[] = {
    TABLE("IPController", controller_options), TABLE("HeartMonitor", heart_options),
    TABLE("TaskScheduler", task_options),      TABLE("Session", session_options),
    TABLE("IPController", accepted_options),   TABLE("HeartMonitor", accepted_heart_options),
    TABLE("DictDB", no_store_options),         TABLE("SQLiteDB", no_store_options),
    TABLE("MongoDB", no_mongo_options),
};
static const struct settings_choice choices[] = {
    {"IPController", "transport", "tcp,ipc"},
    {"IPController", "client_transport", "tcp,ipc"},
    {"IPController", "engine_transport", "tcp,ipc"},
    {"TaskScheduler", "scheme_name", scheme_names},
};
static const struct settings_variable variables[] = {
    {"IPP_SESSION_KEY", "Session", "key"},
    {"IPP_ENABLE_CURVE", "IPController", "enable_curve"},
    {"IPP_CURVE_PUBLICKEY", "IPController", "curve_publickey"},
    {"IPP_CURVE_SECRETKEY", "IPController", "curve_secretkey"},
};

static const struct settings_flag flags[] = {
    {"nodb", "IPController", "db_class", "nodb", "Keep no records of requests (the default)."},
    {"dictdb", "IPController", "db_class", "dictdb",
     "Keep records of the newest requests in memory."},
    {"sqlitedb", "IPController", "db_class", "sqlitedb",
     "Keep records in an SQLite file in the profile's folder; the next controller can use them."},
    {"mongodb", "IPController", "db_class", "mongodb", "Out of scope: use --sqlitedb."},
    {"reuse", "IPController", "reuse_files", "true", "Use the existing connection files."},
    {"restore", "IPController", "restore_engines", "true",
     "Use the existing connection files, and take over the engines of the previous controller."},
    {"usethreads", "IPController", "use_threads", "true",
     "Accepted, without effect: the schedulers are always threads."},
    {"secure", "Session", "key", RANDOM_KEY, "Sign messages with a new key (the default)."},
    {"secure", "Session", "keyfile", "", NULL},
    {"no-secure", "Session", "key", "", "Do not sign messages."},
    {"no-secure", "Session", "keyfile", "", NULL},
};

static void write_metrics(settings_item *item, FILE *stream)
{
    metric_list(&stats_table, item, stream);
}

const struct settings_program options_program = {
    .name = "ipcontroller",
    .usage = "ipcontroller [options]",
    .description =
        "Starts the controller of a cluster. As soon as it listens, it writes a connection file "
        "for engines and one for clients into the profile's security folder. It removes them "
        "when it ends. SIGINT, SIGTERM and SIGHUP end it.",
    .examples = "  ipcontroller                                on this host only\n"
                "  ipcontroller --ip=0.0.0.0                   for engines on other hosts\n"
                "  ipcontroller --profile=mpi --cluster-id=b   a second cluster of a profile\n",
    .more = "METRICS",
    .more_items = write_metrics,
    .flags = flags,
    .flag_count = sizeof(flags) / sizeof(*flags),
    .variables = variables,
    .variable_count = sizeof(variables) / sizeof(*variables),
    .choices = choices,
    .choice_count = sizeof(choices) / sizeof(*choices),
    .classes = "IPController,IPControllerApp,HubFactory,RegistrationFactory,"
               "BaseParallelApplication,BaseIPythonApplication,Application",
};

/* Adds to a text as much as has room. */
static void append(char *text, size_t bytes, const char *first, const char *second)
{
    size_t length = strlen(text);
    snprintf(text + length, bytes - length, "%s%s", first, second);
}

static void name_schemes(void)
{
    const struct balancer_scheme *scheme;
    *scheme_names = *scheme_help = '\0';
    append(scheme_help, sizeof(scheme_help), "How the controller chooses an engine for a task.",
           "");
    for (size_t i = 0; (scheme = balancer_scheme_at(i)); i++) {
        append(scheme_names, sizeof(scheme_names), i ? "," : "", scheme->name);
        append(scheme_help, sizeof(scheme_help), i ? "; " : " ", scheme->name);
        append(scheme_help, sizeof(scheme_help), ": ", scheme->help);
    }
    append(scheme_help, sizeof(scheme_help), ".", "");
}

/* Beside the plugins there are words of ipyparallel's for them. */
static void offer_stores(const struct settings *settings, const void *context, FILE *stream)
{
    (void)context;
    settings_offer(settings, stream, "nodb", "Keep no records.");
    settings_offer(settings, stream, "dictdb", "Keep the newest in memory.");
    settings_offer(settings, stream, "sqlitedb", "Keep them in a file.");
    offer_plugins(settings, "store", stream);
}

static void offer_serials(const struct settings *settings, const void *context, FILE *stream)
{
    (void)context;
    offer_plugins(settings, "serial", stream);
}

static const struct settings_offer offers[] = {
    {"IPController", "db_class", offer_stores},
    {"Session", "packer", offer_serials},
    {"Session", "unpacker", offer_serials},
};

int options_add(struct settings *settings, struct ipcl_error *error)
{
    name_schemes();
    if (settings_add_offers(settings, offers, sizeof(offers) / sizeof(*offers), NULL, error))
        return -1;
    for (size_t i = 0; i < sizeof(tables) / sizeof(*tables); i++)
        if (settings_add(settings, &tables[i], error))
            return -1;
    return 0;
}

/* Reads an integer within limits. Returns 0 or -1 with `error` set. */
static int read_int(const struct settings *settings, const char *class_name, const char *name,
                    int64_t least, int64_t most, int *value, struct ipcl_error *error)
{
    int64_t given = settings_int(settings, class_name, name);
    if (given < least || given > most)
        return ipcl_error_set(error, "%s.%s is between %lld and %lld, not %lld", class_name, name,
                              (long long)least, (long long)most, (long long)given);
    *value = (int)given;
    return 0;
}

static int read_limits(const struct settings *settings, struct controller *controller,
                       struct ipcl_error *error)
{
    int timeout_s = 0, finished_max = 0, grace_s = 0;
    const char *scheme = settings_string(settings, "TaskScheduler", "scheme_name");
    if (read_int(settings, "HeartMonitor", "period", 10, 3600000, &controller->heart_period_ms,
                 error) ||
        read_int(settings, "HeartMonitor", "max_heartmonitor_misses", 1, 100000,
                 &controller->heart_misses, error) ||
        read_int(settings, "TaskScheduler", "hwm", -1, INT_MAX, &controller->window, error) ||
        read_int(settings, "TaskScheduler", "deaths_max", 0, INT_MAX, &controller->deaths_max,
                 error) ||
        read_int(settings, "TaskScheduler", "client_grace", 0, 86400, &grace_s, error) ||
        read_int(settings, "TaskScheduler", "finished_max", 0, FINISHED_MAX, &finished_max,
                 error) ||
        read_int(settings, "IPController", "registration_timeout", 0, 86400, &timeout_s, error) ||
        read_int(settings, "IPController", "regport", 0, 65535, &controller->engines.registration,
                 error))
        return -1;
    controller->finished_max = (size_t)finished_max;
    controller->client_grace_ms = grace_s * 1000;
    int64_t backlog = settings_int(settings, "IPController", "records_backlog");
    if (backlog < 1)
        return ipcl_error_set(error,
                              "IPController.records_backlog is a number of bytes, 1 or more");
    controller->backlog_bytes = (size_t)backlog;
    int64_t unread = settings_int(settings, "IPController", "unread_backlog");
    if (unread < 0)
        return ipcl_error_set(error, "IPController.unread_backlog is a number of bytes, or 0 for "
                                     "half of this host's memory");
    controller->unread_bytes = unread ? (size_t)unread : limits_memory() / 2;
    controller->restore_engines = settings_bool(settings, "IPController", "restore_engines");
    controller->registration_timeout_ms = timeout_s * 1000;
    if (!timeout_s)
        controller->registration_timeout_ms =
            controller->heart_period_ms > 3000 ? 10 * controller->heart_period_ms : 30000;
    controller->frame_bytes_max = settings_int(settings, "IPController", "frame_bytes_max");
    if (controller->frame_bytes_max < 0)
        return ipcl_error_set(
            error,
            "IPController.frame_bytes_max is a number of bytes, or 0 for a limit by this host's "
            "memory");
    controller->scheme = balancer_scheme_of(scheme);
    if (!controller->scheme)
        return ipcl_error_set(error,
                              "there is no scheme '%s' (ipcontroller --help-all lists "
                              "them)",
                              scheme);
    snprintf(controller->clients.task_scheme, sizeof(controller->clients.task_scheme), "%s",
             scheme);
    return 0;
}

/* Copies a text setting. Returns 0, or -1 with `error` set where it is too long. */
static int read_text(const struct settings *settings, const char *class_name, const char *name,
                     char *text, size_t bytes, struct ipcl_error *error)
{
    const char *given = settings_string(settings, class_name, name);
    if (strlen(given) >= bytes)
        return ipcl_error_set(error, "%s.%s is longer than %zu bytes", class_name, name, bytes - 1);
    memcpy(text, given, strlen(given) + 1);
    return 0;
}

static int read_keyfile(const char *file, char *key, size_t bytes, struct ipcl_error *error)
{
    char path[PATH_BYTES];
    size_t size;
    if (path_expand(file, path, error))
        return -1;
    char *text = path_read_secret(path, bytes - 1, &size, error);
    if (!text)
        return -1;
    size_t first = strspn(text, " \t\r\n");
    while (size > first && strchr(" \t\r\n", text[size - 1]))
        size--;
    int status =
        size > first && strlen(text) >= size
            ? 0
            : ipcl_error_set(error, "%s does not hold a key: it should be one line of text", path);
    if (!status) {
        memcpy(key, text + first, size - first);
        key[size - first] = '\0';
    }
    secret_free(text);
    return status;
}

static int read_key(const struct settings *settings, struct controller *controller,
                    struct ipcl_error *error)
{
    struct connection *file = &controller->clients;
    const char *keyfile = settings_string(settings, "Session", "keyfile");
    settings_hide(settings, "Session", "key");
    if (*keyfile)
        return read_keyfile(keyfile, file->key, sizeof(file->key), error);
    if (read_text(settings, "Session", "key", file->key, sizeof(file->key), error))
        return -1;
    if (!strcmp(file->key, RANDOM_KEY))
        random_hex(file->key, KEY_DIGITS);
    if (!*file->key)
        log_warn("messages are not signed%s",
                 controller->encrypted ? "" : ", nor encrypted: whoever can connect can run code");
    return 0;
}

static int read_curve(const struct settings *settings, struct controller *controller,
                      struct ipcl_error *error)
{
    const char *public = settings_string(settings, "IPController", "curve_publickey");
    const char *secret = settings_string(settings, "IPController", "curve_secretkey");
    struct curve *curve = &controller->curves[CONNECTION_CLIENT];
    settings_hide(settings, "IPController", "curve_secretkey");
    if (!*public && !*secret)
        return 0;
    if (strlen(secret) != CURVE_KEY_BYTES - 1 || zmq_curve_public(curve->public_key, secret))
        return ipcl_error_set(error,
                              "IPController.curve_secretkey is not a key: a key has %d "
                              "characters, as zmq_curve_keypair() makes them",
                              CURVE_KEY_BYTES - 1);
    memcpy(curve->secret_key, secret, CURVE_KEY_BYTES);
    if (*public && strcmp(public, curve->public_key))
        return ipcl_error_set(
            error, "IPController.curve_publickey does not belong to IPController.curve_secretkey");
    return 0;
}

static int read_session(const struct settings *settings, struct registry *registry,
                        struct controller *controller, struct ipcl_error *error)
{
    struct connection *file = &controller->clients;
    controller->serial = serializer_load(registry, settings_string(settings, "Session", "packer"),
                                         settings_string(settings, "Session", "unpacker"), error);
    if (!controller->serial)
        return -1;
    snprintf(file->pack, sizeof(file->pack), "%s", controller->serial->traits_name);
    snprintf(file->unpack, sizeof(file->unpack), "%s", controller->serial->unpack_name);
    if (read_text(settings, "Session", "signature_scheme", file->signature_scheme,
                  sizeof(file->signature_scheme), error))
        return -1;
    return read_key(settings, controller, error) || read_curve(settings, controller, error) ? -1
                                                                                            : 0;
}

static int read_addresses(const struct settings *settings, struct controller *controller,
                          struct ipcl_error *error)
{
    struct connection *clients = &controller->clients, *engines = &controller->engines;
    if (read_text(settings, "IPController", "location", clients->location,
                  sizeof(clients->location), error) ||
        read_text(settings, "IPController", "ssh_server", clients->ssh, sizeof(clients->ssh),
                  error) ||
        read_text(settings, "IPController", "engine_ssh_server", engines->ssh, sizeof(engines->ssh),
                  error))
        return -1;
    if (!*clients->location && gethostname(clients->location, sizeof(clients->location) - 1))
        return ipcl_error_set(error, "this host has no name: set --location");
    memcpy(engines->location, clients->location, sizeof(engines->location));
    /* Whoever knows the key of one side is nobody at the other. */
    if (*clients->key)
        random_hex(engines->key, KEY_DIGITS);
    memcpy(engines->signature_scheme, clients->signature_scheme, sizeof(engines->signature_scheme));
    memcpy(engines->pack, clients->pack, sizeof(engines->pack));
    memcpy(engines->unpack, clients->unpack, sizeof(engines->unpack));
    return 0;
}

int options_apply(struct settings *settings, const struct profile *profile,
                  struct registry *registry, struct services_host *store_host,
                  struct controller *controller, struct ipcl_error *error)
{
    return store_choose(settings, registry, store_host, controller, error) ||
                   read_limits(settings, controller, error) ||
                   addresses_read(settings, profile, controller, error) ||
                   read_session(settings, registry, controller, error) ||
                   read_addresses(settings, controller, error)
               ? -1
               : 0;
}
