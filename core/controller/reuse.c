/* The connection files of the previous controller. Reconnecting clients and engines know its ports
 * and keys: they stay as they are, and a setting that says otherwise is an error. All else is as it
 * is asked for now, and as the files say where nothing is asked. */
#include "controller/reuse.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/secret.h"
#include "controller/options.h"

/* How many ports each role's file has. */
#define CLIENT_PORTS 7
#define ENGINE_PORTS 8

/* One role's file. */
struct old {
    const char *path;
    struct connection connection;
    struct connection *ours; /* as the settings have it; what it is to become */
    const struct port_pool *pool;
    const struct curve *curve;
    const char *ip, *elsewhere, *transport, *ssh; /* the settings that are this role's alone, */
    const char *ports;                            /* for a sentence */
};

static bool given(const struct settings *settings, const char *name)
{
    return settings_given(settings, "IPController", name);
}

static int conflict(const struct old *old, const char *what, const char *setting,
                    struct ipcl_error *error)
{
    return ipcl_error_set(
        error,
        "%s is to be reused, but it has %s, which contradicts %s: leave out that setting, or "
        "remove both connection files; then engines and clients have to connect again",
        old->path, what, setting);
}

static int check_key(const struct old *old, enum connection_role role,
                     const struct settings *settings, struct ipcl_error *error)
{
    const char *key = old->connection.key, *asked = settings_string(settings, "Session", "key");
    bool from_file = *settings_string(settings, "Session", "keyfile") != '\0';
    const char *what = *key ? "another key" : "no key, so that messages are not signed";
    if (!from_file && !settings_given(settings, "Session", "key"))
        return 0;
    /* One that is given is the clients'; engines have any, or none. */
    bool any = role == CONNECTION_ENGINE || (!from_file && !strcmp(asked, RANDOM_KEY));
    if (any ? !*key == !*old->ours->key : !strcmp(key, old->ours->key))
        return 0;
    return conflict(old, what, from_file ? "Session.keyfile" : "Session.key", error);
}

static int check_encryption(const struct old *old, const struct settings *settings,
                            struct ipcl_error *error)
{
    const char *public = old->connection.curve_serverkey;
    if (given(settings, "enable_curve") &&
        settings_bool(settings, "IPController", "enable_curve") != (*public != '\0'))
        return conflict(old, *public ? "an encryption key" : "no encryption key",
                        "IPController.enable_curve", error);
    if (!*old->curve->public_key || !strcmp(old->curve->public_key, public))
        return 0;
    return conflict(old, *public ? "another encryption key" : "no encryption key",
                    "IPController.curve_secretkey", error);
}

static int check_session(const struct old *old, enum connection_role role,
                         const struct settings *settings, struct ipcl_error *error)
{
    if (strcmp(old->connection.pack, old->ours->pack))
        return conflict(old, "another serializer", "Session.packer", error);
    if (settings_given(settings, "Session", "signature_scheme") &&
        strcmp(old->connection.signature_scheme, old->ours->signature_scheme))
        return conflict(old, "another way to sign", "Session.signature_scheme", error);
    return check_key(old, role, settings, error);
}

static bool has_port(const struct connection *connection, int port)
{
    const int ports[] = {connection->registration, connection->control, connection->mux,
                         connection->task,         connection->iopub,   connection->notification,
                         connection->hb_ping,      connection->hb_pong, connection->broadcast[0]};
    for (size_t i = 0; i < sizeof(ports) / sizeof(*ports); i++)
        if (ports[i] == port)
            return true;
    return false;
}

/* Whether the files use all ports of a pool: where these run out others are taken. */
static bool is_used_up(const struct port_pool *pool, const struct old olds[CONNECTION_ROLES])
{
    for (size_t i = 0; i < pool->ports.count; i++)
        if (!has_port(&olds[CONNECTION_CLIENT].connection, pool->ports.list[i]) &&
            !has_port(&olds[CONNECTION_ENGINE].connection, pool->ports.list[i]))
            return false;
    return true;
}

/* How many of the file's ports a pool has. */
static int found_in(const struct port_pool *pool, const struct connection *connection)
{
    int count = 0;
    for (size_t i = 0; i < pool->ports.count; i++)
        count += has_port(connection, pool->ports.list[i]);
    return count;
}

static int check_ports(const struct old olds[CONNECTION_ROLES], enum connection_role role,
                       const struct port_pool *common, struct ipcl_error *error)
{
    const struct old *old = &olds[role];
    int asked = old->ours->registration;
    if (asked && asked != old->connection.registration)
        return conflict(old, "another port for registration", "IPController.regport", error);
    if (found_in(old->pool, &old->connection) + found_in(common, &old->connection) + !!asked >=
        (role == CONNECTION_CLIENT ? CLIENT_PORTS : ENGINE_PORTS))
        return 0;
    if (!is_used_up(old->pool, olds))
        return conflict(old, "other ports", old->ports, error);
    return is_used_up(common, olds) ? 0 : conflict(old, "other ports", "IPController.ports", error);
}

/* An address that is asked for now: a reconnecting client or engine has to reach it. */
static int take_interface(const struct old *old, const struct settings *settings,
                          struct ipcl_error *error)
{
    bool ip = given(settings, "ip") || given(settings, old->ip) || given(settings, old->elsewhere);
    bool transport = given(settings, "transport") || given(settings, old->transport);
    const char *asked = old->ours->interface, *there = old->connection.interface;
    bool local = !strncmp(asked, "ipc:", 4);
    if ((ip || transport) && local != !strncmp(there, "ipc:", 4))
        return conflict(old, local ? "TCP ports" : "local sockets",
                        transport ? "IPController.transport" : "IPController.ip", error);
    if (!ip && !(transport && local))
        memcpy(old->ours->interface, there, sizeof(old->ours->interface));
    return 0;
}

static void take_text(const struct settings *settings, const char *name, char *ours,
                      const char *there)
{
    if (!given(settings, name))
        memcpy(ours, there, CONNECTION_TEXT_BYTES);
}

/* What the file says, except what is decided already. */
static void reuse_take_side(const struct old *old)
{
    struct connection decided = *old->ours;
    *old->ours = old->connection;
    memcpy(old->ours->interface, decided.interface, sizeof(decided.interface));
    memcpy(old->ours->location, decided.location, sizeof(decided.location));
    memcpy(old->ours->ssh, decided.ssh, sizeof(decided.ssh));
    memcpy(old->ours->task_scheme, decided.task_scheme, sizeof(decided.task_scheme));
    explicit_bzero(&decided, sizeof(decided));
}

/* Where nothing is asked, there are local sockets if there were. */
static int check_local(const struct old *old, const struct settings *settings,
                       struct ipcl_error *error)
{
    return *old->connection.local_interface && given(settings, "local_sockets") &&
                   !settings_bool(settings, "IPController", "local_sockets")
               ? conflict(old, "local sockets", "IPController.local_sockets", error)
               : 0;
}

static int reuse_check(const struct old olds[CONNECTION_ROLES], enum connection_role role,
                       const struct settings *settings, const struct port_pool *common,
                       struct ipcl_error *error)
{
    const struct old *old = &olds[role];
    if (check_session(old, role, settings, error) || check_encryption(old, settings, error) ||
        check_local(old, settings, error) || check_ports(olds, role, common, error) ||
        take_interface(old, settings, error))
        return -1;
    take_text(settings, "location", old->ours->location, old->connection.location);
    take_text(settings, old->ssh, old->ours->ssh, old->connection.ssh);
    return 0;
}

/* The secret keys that belong to the files, in the order of the roles, a line each. */
static int read_secrets(const struct files *files, const struct old olds[CONNECTION_ROLES],
                        struct controller *controller, struct ipcl_error *error)
{
    size_t size;
    char *text = path_read_secret(files->secret, CONNECTION_ROLES * CURVE_KEY_BYTES, &size, error);
    if (!text && errno != ENOENT)
        return -1;
    bool valid = text && size == CONNECTION_ROLES * CURVE_KEY_BYTES;
    for (size_t role = 0; valid && role < CONNECTION_ROLES; role++) {
        struct curve *curve = &controller->curves[role];
        memcpy(curve->secret_key, text + role * CURVE_KEY_BYTES, CURVE_KEY_BYTES - 1);
        curve->secret_key[CURVE_KEY_BYTES - 1] = '\0';
        valid = !zmq_curve_public(curve->public_key, curve->secret_key) &&
                !strcmp(curve->public_key, olds[role].connection.curve_serverkey);
    }
    secret_free(text);
    return valid ? 0
                 : ipcl_error_set(error,
                                  "%s and %s cannot be reused: their secret keys in %s are "
                                  "missing, damaged, or belong to others; remove both connection "
                                  "files",
                                  files->clients, files->engines, files->secret);
}

int reuse_take(const struct files *files, const struct settings *settings,
               struct controller *controller, struct ipcl_error *error)
{
    static struct old olds[CONNECTION_ROLES];
    olds[CONNECTION_CLIENT] = (struct old){.path = files->clients,
                                           .ours = &controller->clients,
                                           .pool = &controller->client_pool,
                                           .ip = "client_ip",
                                           .elsewhere = "clients_elsewhere",
                                           .transport = "client_transport",
                                           .ssh = "ssh_server",
                                           .ports = "IPController.client_ports"};
    olds[CONNECTION_ENGINE] = (struct old){.path = files->engines,
                                           .ours = &controller->engines,
                                           .pool = &controller->engine_pool,
                                           .ip = "engine_ip",
                                           .elsewhere = "engines_elsewhere",
                                           .transport = "engine_transport",
                                           .ssh = "engine_ssh_server",
                                           .ports = "IPController.engine_ports"};
    struct connection *clients = &olds[CONNECTION_CLIENT].connection,
                      *engines = &olds[CONNECTION_ENGINE].connection;
    for (int role = 0; role < CONNECTION_ROLES; role++) {
        olds[role].curve = &controller->curves[role];
        if (connection_read(olds[role].path, role, &olds[role].connection, error))
            return -1;
    }
    if (!*clients->key != !*engines->key || strcmp(clients->pack, engines->pack) ||
        !*clients->curve_serverkey != !*engines->curve_serverkey)
        return ipcl_error_set(error, "%s and %s do not belong together: remove both",
                              files->clients, files->engines);
    if (clients->registration == engines->registration)
        return ipcl_error_set(
            error,
            "%s and %s are from an earlier version, in which engines and clients had the same "
            "key: remove both",
            files->clients, files->engines);
    for (int role = 0; role < CONNECTION_ROLES; role++)
        if (reuse_check(olds, role, settings, &controller->pool, error))
            return -1;
    for (int role = 0; role < CONNECTION_ROLES; role++)
        reuse_take_side(&olds[role]);
    controller->encrypted = *clients->curve_serverkey != '\0';
    if (!given(settings, "local_sockets"))
        controller->local_sockets = *clients->local_interface;
    controller->restarted = true;
    controller->clients.reuse = true;
    int status = controller->encrypted ? read_secrets(files, olds, controller, error) : 0;
    explicit_bzero(olds, sizeof(olds));
    return status;
}
