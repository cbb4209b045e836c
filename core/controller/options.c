/* The settings of ipcontroller. */
#include "controller/options.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/random.h"
#include "controller/finished.h"
#include "controller/store.h"
#include "wire/serializer.h"

#define KEY_DIGITS 64 /* 256 bits, as much as HMAC-SHA256 makes use of */

static const struct ipcl_option controller_options[] = {
    {"ip", IPCL_STRING, "127.0.0.1", "ip", NULL,
     "The address to listen on: an IPv4 address of this host, or 0.0.0.0 or * for all. With the "
     "default, engines and clients on other hosts "
     "can connect only through SSH tunnels."},
    {"location", IPCL_STRING, "", "location", NULL,
     "The name or address under which other hosts reach this one. Where this is not set it is the "
     "host's name."},
    {"regport", IPCL_INT, "0", "port", NULL,
     "The port for registration and queries. 0: one that is free."},
    {"ports", IPCL_LIST, "", "ports", NULL,
     "Ports to listen on, one by one: numbers and ranges such as 10101-10120. Where they run out, "
     "or this is not set, free ports are taken. "
     "The controller needs 14."},
    {"transport", IPCL_STRING, "tcp", "transport", NULL,
     "tcp, or ipc for sockets in the profile's security folder, which reach this host only."},
    {"enable_curve", IPCL_BOOL, "true", NULL, NULL,
     "Encrypt and authenticate TCP connections with CurveZMQ. Not used with ipc unless it is set "
     "explicitly."},
    {"client_json_file", IPCL_STRING, "", NULL, NULL,
     "The name of the clients' connection file in the security folder. Where this is not set it is "
     "ipcontroller[-CLUSTER_ID]-client.json."},
    {"engine_json_file", IPCL_STRING, "", NULL, NULL,
     "The name of the engines' connection file. Where this is not set it is "
     "ipcontroller[-CLUSTER_ID]-engine.json."},
    {"reuse_files", IPCL_BOOL, "false", NULL, NULL,
     "Take ports and keys from the connection files that are there, and leave the files when the "
     "controller ends: the engines and clients of the controller before connect to this one."},
    {"restore_engines", IPCL_BOOL, "false", NULL, NULL,
     "Take over the engines of the controller before, as far as their hearts still beat, also "
     "those that do not register again by themselves, as ipyparallel's do not. Implies "
     "reuse_files."},
    {"ssh_server", IPCL_STRING, "", "ssh", NULL,
     "[user@]host[:port] through which clients reach the controller; it is written to their "
     "connection file."},
    {"engine_ssh_server", IPCL_STRING, "", "enginessh", NULL, "The same for engines."},
    {"db_class", IPCL_STRING, "nodb", NULL, NULL,
     "Where records of requests and their results are kept: nodb for nowhere, dictdb for the "
     "newest "
     "in memory (see DictDB in `ipcluster plugins memory`), sqlitedb for a file that outlives the "
     "controller (see SQLiteDB in `ipcluster plugins sqlite`), or the name of a plugin."},
    {"records_backlog", IPCL_INT, "268435456", NULL, NULL,
     "How many bytes of requests and results may wait for a store that is slow. Beyond that they "
     "are "
     "not recorded, which is counted and logged; tasks never wait."},
    {"registration_timeout", IPCL_INT, "0", NULL, NULL,
     "Seconds in which the heart of an engine that registers has to begin to beat. 0: 30, or 10 "
     "heartbeats where that is longer."},
    {"frame_bytes_max", IPCL_INT, "0", NULL, NULL,
     "The largest frame to accept, in bytes; who sends a larger one is disconnected. 0: no limit."},
};
static const struct ipcl_option heart_options[] = {
    {"period", IPCL_INT, "3000", "ping", NULL, "Milliseconds between heartbeats."},
    {"max_heartmonitor_misses", IPCL_INT, "10", NULL, NULL,
     "Heartbeats that an engine may miss in a row before it counts as dead. Where its connection "
     "ends it counts as dead after a second."},
};
static const struct ipcl_option task_options[] = {
    {"hwm", IPCL_INT, "1", "hwm", NULL,
     "How many tasks an engine may have at a time. With 1, a task waits for the first engine that "
     "is free, which is best for tasks of uneven length. "
     "With 2 or more an engine has its next task at hand, which is best for many tasks of less "
     "than a millisecond. 0: no limit."},
    {"scheme_name", IPCL_STRING, "leastload", "scheme", NULL,
     "How an engine is chosen for a task. leastload: the one with the fewest tasks; lru: the one "
     "that got its last task first; plainrandom: any; twobin: of two at random, the one that got "
     "its last task first; weighted: of two at random, drawn by the inverse of their loads, the "
     "less loaded. pure: each in turn, however busy it is (hwm has no meaning then), and a task "
     "that asks for after, follow, targets, retries or timeout is refused."},
    {"finished_max", IPCL_INT, "1000000", NULL, NULL,
     "How many finished tasks are remembered, the newest, for tasks that depend on them; a task "
     "that depends on an older one is refused. Each needs 20 bytes of memory, taken as they "
     "come."},
};
static const struct ipcl_option session_options[] = {
    {"key", IPCL_STRING, "", NULL, NULL,
     "The key that signs messages. Where this is not set a random one is made."},
    {"signature_scheme", IPCL_STRING, "hmac-sha256", NULL, NULL,
     "How messages are signed: hmac- and a digest of OpenSSL's."},
    {"packer", IPCL_STRING, "json", NULL, NULL,
     "How parts of messages are packed: json or msgpack, also as Python spells it "
     "(msgpack.packb)."},
    {"unpacker", IPCL_STRING, "", NULL, NULL,
     "How they are unpacked. It follows packer; another serializer's name is an error."},
};
#define TABLE(class_name, options)                                                                 \
    {                                                                                              \
        class_name, options, sizeof(options) / sizeof(*(options))                                  \
    }
static const struct ipcl_option_table tables[] = {
    TABLE("IPController", controller_options),
    TABLE("HeartMonitor", heart_options),
    TABLE("TaskScheduler", task_options),
    TABLE("Session", session_options),
};

static const struct settings_flag flags[] = {
    {"nodb", "IPController", "db_class", "nodb", "Keep no records of requests (the default)."},
    {"dictdb", "IPController", "db_class", "dictdb",
     "Keep records of the newest requests in memory."},
    {"sqlitedb", "IPController", "db_class", "sqlitedb",
     "Keep records in an SQLite file in the profile's folder, also from one controller to the "
     "next."},
    {"mongodb", "IPController", "db_class", "mongodb", "Out of scope: use --sqlitedb."},
    {"reuse", "IPController", "reuse_files", "true", "Use the connection files that are there."},
    {"restore", "IPController", "restore_engines", "true",
     "Use the connection files and take over the engines that the controller before had."},
};

const struct settings_program options_program = {
    .name = "ipcontroller",
    .usage = "ipcontroller [options]",
    .description =
        "Starts the controller of a cluster. It writes a connection file for engines and one for "
        "clients into the profile's security folder "
        "as soon as it listens, and removes them when it ends. SIGINT and SIGTERM end it.",
    .examples = "  ipcontroller                                on this host only\n"
                "  ipcontroller --ip=0.0.0.0                   for engines on other hosts\n"
                "  ipcontroller --profile=mpi --cluster-id=b   a second cluster of a profile\n",
    .flags = flags,
    .flag_count = sizeof(flags) / sizeof(*flags),
    .classes = "IPController,BaseParallelApplication",
};

int options_add(struct settings *settings, struct ipcl_error *error)
{
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
    int timeout_s = 0, finished_max = 0;
    const char *scheme = settings_string(settings, "TaskScheduler", "scheme_name");
    if (read_int(settings, "HeartMonitor", "period", 10, 3600000, &controller->heart_period_ms,
                 error) ||
        read_int(settings, "HeartMonitor", "max_heartmonitor_misses", 1, 100000,
                 &controller->heart_misses, error) ||
        read_int(settings, "TaskScheduler", "hwm", 0, INT_MAX, &controller->high_water, error) ||
        read_int(settings, "TaskScheduler", "finished_max", 0, FINISHED_MAX, &finished_max,
                 error) ||
        read_int(settings, "IPController", "registration_timeout", 0, 86400, &timeout_s, error) ||
        read_int(settings, "IPController", "regport", 0, 65535, &controller->engines.registration,
                 error))
        return -1;
    controller->finished_max = (size_t)finished_max;
    int64_t backlog = settings_int(settings, "IPController", "records_backlog");
    if (backlog < 1)
        return ipcl_error_set(error,
                              "IPController.records_backlog is a number of bytes, 1 or more");
    controller->backlog_bytes = (size_t)backlog;
    controller->restore_engines = settings_bool(settings, "IPController", "restore_engines");
    controller->registration_timeout_ms = timeout_s * 1000;
    if (!timeout_s)
        controller->registration_timeout_ms =
            controller->heart_period_ms > 3000 ? 10 * controller->heart_period_ms : 30000;
    controller->frame_bytes_max = settings_int(settings, "IPController", "frame_bytes_max");
    if (controller->frame_bytes_max < 0)
        return ipcl_error_set(
            error, "IPController.frame_bytes_max is a number of bytes, or 0 for no limit");
    if (balancer_scheme_of(scheme, &controller->scheme))
        return ipcl_error_set(error,
                              "the scheme '%s' is not known: use leastload, lru, plainrandom, "
                              "twobin, weighted or pure",
                              scheme);
    snprintf(controller->clients.task_scheme, sizeof(controller->clients.task_scheme), "%s",
             scheme);
    return 0;
}

static int add_port(struct port_pool *pool, long port)
{
    int *grown = realloc(pool->ports, (pool->count + 1) * sizeof(*grown));
    if (!grown)
        return -1;
    pool->ports = grown;
    pool->ports[pool->count++] = (int)port;
    return 0;
}

/* "10101" or "10101-10120", or several with commas between. */
static int add_ports(struct port_pool *pool, const char *text, struct ipcl_error *error)
{
    const char *at = text;
    while (*at) {
        char *end;
        long first = strtol(at, &end, 10), last = first;
        if (end != at && *end == '-') {
            at = end + 1;
            last = strtol(at, &end, 10);
        }
        if (end == at || (*end && *end != ',') || first < 1 || last > 65535 || first > last)
            return ipcl_error_set(
                error, "IPController.ports: '%s' is no port and no range such as 10101-10120",
                text);
        for (long port = first; port <= last; port++)
            if (add_port(pool, port))
                return ipcl_error_set(error, "out of memory");
        at = *end ? end + 1 : end;
    }
    return 0;
}

static int read_ports(const struct settings *settings, struct controller *controller,
                      struct ipcl_error *error)
{
    size_t count;
    const char *const *ports = settings_list(settings, "IPController", "ports", &count);
    for (size_t i = 0; i < count; i++)
        if (add_ports(&controller->pool, ports[i], error))
            return -1;
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

static int read_interface(const struct settings *settings, const struct profile *profile,
                          struct controller *controller, struct ipcl_error *error)
{
    const char *transport = settings_string(settings, "IPController", "transport");
    const char *ip = settings_string(settings, "IPController", "ip");
    const char *cluster_id = settings_string(settings, "IPController", "cluster_id");
    char *interface = controller->engines.interface;
    int length;
    if (!strcmp(transport, "tcp")) {
        length = snprintf(interface, CONNECTION_TEXT_BYTES, "tcp://%s",
                          strcmp(ip, "*") ? ip : "0.0.0.0");
        controller->encrypted = settings_bool(settings, "IPController", "enable_curve");
    } else if (!strcmp(transport, "ipc")) {
        length = snprintf(interface, CONNECTION_TEXT_BYTES, "ipc://%s/ipcontroller%s%s",
                          profile->security, *cluster_id ? "-" : "", cluster_id);
        controller->encrypted = settings_given(settings, "IPController", "enable_curve") &&
                                settings_bool(settings, "IPController", "enable_curve");
    } else {
        return ipcl_error_set(error, "the transport '%s' is not known: use tcp or ipc", transport);
    }
    /* sockaddr_un has room for 107 bytes; a colon and three digits come behind. */
    if (length >= CONNECTION_TEXT_BYTES || (!strcmp(transport, "ipc") && length > 6 + 107 - 4))
        return ipcl_error_set(
            error, "%s is too long for an address: use a profile folder with a shorter path",
            interface);
    memcpy(controller->clients.interface, interface, CONNECTION_TEXT_BYTES);
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
    if (read_text(settings, "Session", "key", file->key, sizeof(file->key), error) ||
        read_text(settings, "Session", "signature_scheme", file->signature_scheme,
                  sizeof(file->signature_scheme), error))
        return -1;
    if (!*file->key)
        random_hex(file->key, KEY_DIGITS);
    return 0;
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
    memcpy(engines->key, clients->key, sizeof(engines->key));
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
                   read_ports(settings, controller, error) ||
                   read_interface(settings, profile, controller, error) ||
                   read_session(settings, registry, controller, error) ||
                   read_addresses(settings, controller, error)
               ? -1
               : 0;
}
