/* Connection files: ipyparallel's JSON, written whole and read with care. */
#include "wire/connection.h"

#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <jansson.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/secret.h"

#define FILE_BYTES_MAX (1024 * 1024)
#define FOR_CLIENT     (1 << CONNECTION_CLIENT)
#define FOR_ENGINE     (1 << CONNECTION_ENGINE)
#define FOR_BOTH       (FOR_CLIENT | FOR_ENGINE)

/* One row a key: the file's format is this table. */
static const struct field {
    const char *key;
    size_t offset;
    size_t text_bytes; /* 0: a port */
    int roles;
    bool optional; /* absent and null mean "" */
} fields[] = {
#define TEXT(key, roles, optional)                                                                 \
    {                                                                                              \
#key, offsetof(struct connection, key), sizeof(((struct connection *)0)->key), roles,      \
            optional                                                                               \
    }
#define PORT(key, roles)                                                                           \
    {                                                                                              \
#key, offsetof(struct connection, key), 0, roles, false                                    \
    }
    TEXT(interface, FOR_BOTH, false),
    TEXT(location, FOR_BOTH, true),
    TEXT(ssh, FOR_BOTH, true),
    TEXT(key, FOR_BOTH, false),
    TEXT(signature_scheme, FOR_BOTH, false),
    TEXT(pack, FOR_BOTH, false),
    TEXT(unpack, FOR_BOTH, false),
    TEXT(task_scheme, FOR_CLIENT, false),
    TEXT(curve_serverkey, FOR_BOTH, true),
    PORT(registration, FOR_BOTH),
    PORT(control, FOR_BOTH),
    PORT(mux, FOR_BOTH),
    PORT(task, FOR_BOTH),
    PORT(iopub, FOR_BOTH),
    PORT(notification, FOR_CLIENT),
    PORT(hb_ping, FOR_ENGINE),
    PORT(hb_pong, FOR_ENGINE),
#undef TEXT
#undef PORT
};
#define FIELD_COUNT (sizeof(fields) / sizeof(*fields))

static char *text_at(const struct connection *connection, const struct field *field)
{
    return (char *)connection + field->offset;
}

static int *port_at(const struct connection *connection, const struct field *field)
{
    return (int *)((char *)connection + field->offset);
}

static json_t *broadcast_to_json(const struct connection *connection, enum connection_role role)
{
    if (role == CONNECTION_CLIENT)
        return json_integer(connection->broadcast[0]);
    json_t *ports = json_array();
    for (int i = 0; ports && i < connection->broadcast_count; i++)
        json_array_append_new(ports, json_integer(connection->broadcast[i]));
    return ports;
}

static json_t *addresses_to_json(const struct connection *connection)
{
    json_t *addresses = json_array();
    for (int i = 0; addresses && i < connection->address_count; i++)
        json_array_append_new(addresses, json_string(connection->addresses[i]));
    return addresses;
}

static json_t *local_to_json(const struct connection *connection)
{
    return json_pack("{s:s, s:s}", "host", connection->local_host, "interface",
                     connection->local_interface);
}

static json_t *connection_to_json(const struct connection *connection, enum connection_role role)
{
    json_t *object = json_object();
    for (size_t i = 0; object && i < FIELD_COUNT; i++) {
        const struct field *field = &fields[i];
        if (!(field->roles & 1 << role))
            continue;
        const char *text = text_at(connection, field);
        json_t *value = !field->text_bytes ? json_integer(*port_at(connection, field))
                        : field->optional && !*text &&
                                field->offset == offsetof(struct connection, curve_serverkey)
                            ? json_null() /* as ipyparallel writes it */
                            : json_string(text);
        if (json_object_set_new(object, field->key, value)) {
            json_decref(object);
            return NULL;
        }
    }
    /* Only our controllers write files. */
    if (object)
        json_object_set_new(object, "sealed",
                            *connection->key ? json_integer(CONNECTION_SEALED) : json_false());
    if (object && connection->frame_bytes_max)
        json_object_set_new(object, "frame_bytes_max", json_integer(connection->frame_bytes_max));
    if (object && connection->address_count)
        json_object_set_new(object, "addresses", addresses_to_json(connection));
    if (object && *connection->local_interface)
        json_object_set_new(object, "local", local_to_json(connection));
    if (object && role == CONNECTION_CLIENT) {
        json_object_set_new(object, "reuse", json_boolean(connection->reuse));
        json_object_set_new(object, "task_aborts", json_true());
    }
    if (object && json_object_set_new(object, "broadcast", broadcast_to_json(connection, role))) {
        json_decref(object);
        return NULL;
    }
    return object;
}

int connection_write(const char *path, enum connection_role role,
                     const struct connection *connection, struct ipcl_error *error)
{
    json_t *object = connection_to_json(connection, role);
    char *text = object ? json_dumps(object, JSON_INDENT(2)) : NULL;
    json_decref(object);
    if (!text)
        return ipcl_error_set(
            error, "cannot write %s: a text in it is not UTF-8, or memory is short", path);
    int status = path_renew_secret(path, text, strlen(text), error);
    secret_free(text);
    return status;
}

static bool read_port(const json_t *value, int *port)
{
    json_int_t number = json_integer_value(value);
    *port = number < 1 || number > 65535 ? 0 : (int)number;
    return *port != 0;
}

static int read_field(const char *path, const json_t *object, const struct field *field,
                      struct connection *connection, struct ipcl_error *error)
{
    const json_t *value = json_object_get(object, field->key);
    if (!value || json_is_null(value)) {
        if (field->optional)
            return 0;
        return ipcl_error_set(error,
                              "the connection file %s has no '%s': it is not a file of ipcluster "
                              "or ipyparallel, or its version is too old",
                              path, field->key);
    }
    if (field->text_bytes) {
        const char *text = json_string_value(value);
        if (!text)
            return ipcl_error_set(error, "the connection file %s: '%s' should be text", path,
                                  field->key);
        if (strlen(text) >= field->text_bytes)
            return ipcl_error_set(error, "the connection file %s: '%s' is longer than %zu bytes",
                                  path, field->key, field->text_bytes - 1);
        strcpy(text_at(connection, field), text);
        return 0;
    }
    if (!read_port(value, port_at(connection, field)))
        return ipcl_error_set(error,
                              "the connection file %s: '%s' should be a port, from 1 to 65535",
                              path, field->key);
    return 0;
}

static int read_broadcast(const char *path, const json_t *object, struct connection *connection,
                          struct ipcl_error *error)
{
    const json_t *value = json_object_get(object, "broadcast");
    size_t count = json_is_array(value) ? json_array_size(value) : json_is_integer(value) ? 1 : 0;
    if (count > CONNECTION_LEAVES_MAX)
        return ipcl_error_set(error, "the connection file %s: 'broadcast' has more than %d ports",
                              path, CONNECTION_LEAVES_MAX);
    for (size_t i = 0; i < count; i++) {
        const json_t *port = json_is_array(value) ? json_array_get(value, i) : value;
        if (!read_port(port, &connection->broadcast[i]))
            return ipcl_error_set(
                error, "the connection file %s: 'broadcast' should be ports, from 1 to 65535",
                path);
    }
    connection->broadcast_count = (int)count;
    return 0;
}

static int read_addresses(const char *path, const json_t *object, struct connection *connection,
                          struct ipcl_error *error)
{
    const json_t *list = json_object_get(object, "addresses"), *value;
    size_t index;
    json_array_foreach (list, index, value) {
        const char *text = json_string_value(value);
        if (index == CONNECTION_ADDRESSES_MAX || !text || !*text ||
            strlen(text) >= CONNECTION_ADDRESS_BYTES)
            return ipcl_error_set(error,
                                  "the connection file %s: 'addresses' should be up to %d texts of "
                                  "less than %d bytes",
                                  path, CONNECTION_ADDRESSES_MAX, CONNECTION_ADDRESS_BYTES);
        strcpy(connection->addresses[index], text);
    }
    connection->address_count = (int)json_array_size(list);
    return 0;
}

static int read_local(const char *path, const json_t *object, struct connection *connection,
                      struct ipcl_error *error)
{
    const json_t *local = json_object_get(object, "local");
    const char *host = json_string_value(json_object_get(local, "host")),
               *interface = json_string_value(json_object_get(local, "interface"));
    if (!local || json_is_null(local))
        return 0;
    if (!host || !interface || strlen(host) >= sizeof(connection->local_host) ||
        strlen(interface) >= sizeof(connection->local_interface))
        return ipcl_error_set(error,
                              "the connection file %s: 'local' should have 'host' and 'interface', "
                              "texts of less than %zu and %zu bytes",
                              path, sizeof(connection->local_host),
                              sizeof(connection->local_interface));
    strcpy(connection->local_host, host);
    strcpy(connection->local_interface, interface);
    return 0;
}

int connection_parse(const char *name, const char *text, size_t size, enum connection_role role,
                     struct connection *connection, struct ipcl_error *error)
{
    json_error_t where;
    memset(connection, 0, sizeof(*connection));
    json_t *object = json_loadb(text, size, JSON_REJECT_DUPLICATES, &where);
    if (!json_is_object(object)) {
        json_decref(object);
        return ipcl_error_set(error, "the connection file %s is not a JSON object: %s (line %d)",
                              name, object ? "it is another value" : where.text,
                              object ? 1 : where.line);
    }
    int status = read_broadcast(name, object, connection, error) ||
                         read_addresses(name, object, connection, error) ||
                         read_local(name, object, connection, error)
                     ? -1
                     : 0;
    connection->reuse = !json_is_false(json_object_get(object, "reuse"));
    connection->frame_bytes_max = json_integer_value(json_object_get(object, "frame_bytes_max"));
    connection->sealed = json_integer_value(json_object_get(object, "sealed")) == CONNECTION_SEALED;
    connection->task_aborts = json_is_true(json_object_get(object, "task_aborts"));
    for (size_t i = 0; !status && i < FIELD_COUNT; i++)
        if (fields[i].roles & 1 << role)
            status = read_field(name, object, &fields[i], connection, error);
    json_decref(object);
    return status;
}

int connection_read(const char *path, enum connection_role role, struct connection *connection,
                    struct ipcl_error *error)
{
    size_t size;
    memset(connection, 0, sizeof(*connection));
    char *text = path_read_secret(path, FILE_BYTES_MAX, &size, error);
    if (!text && errno == ENOENT)
        ipcl_error_set(error,
                       "the connection file %s does not exist: is a controller running? "
                       "(ipcluster list shows running clusters; ipcluster start, or ipcontroller, "
                       "starts one)",
                       path);
    if (!text)
        return -1;
    int status = connection_parse(path, text, size, role, connection, error);
    secret_free(text);
    return status;
}

void connection_wipe_json(void)
{
    json_set_alloc_funcs(malloc, secret_free);
}

int connection_path(const char *profile_dir, const char *cluster_id, enum connection_role role,
                    char path[PATH_BYTES], struct ipcl_error *error)
{
    bool named = cluster_id && *cluster_id;
    return path_format(path, error, "%s/security/ipcontroller%s%s-%s.json", profile_dir,
                       named ? "-" : "", named ? cluster_id : "",
                       role == CONNECTION_CLIENT ? "client" : "engine");
}

static bool same_address(const struct sockaddr *a, const struct sockaddr *b)
{
    if (a->sa_family != b->sa_family)
        return false;
    if (a->sa_family == AF_INET)
        return ((const struct sockaddr_in *)a)->sin_addr.s_addr ==
               ((const struct sockaddr_in *)b)->sin_addr.s_addr;
    return a->sa_family == AF_INET6 && !memcmp(&((const struct sockaddr_in6 *)a)->sin6_addr,
                                               &((const struct sockaddr_in6 *)b)->sin6_addr, 16);
}

static bool has_local_address(const struct addrinfo *found, bool loopback_counts)
{
    struct ifaddrs *interfaces;
    bool local = false;
    if (getifaddrs(&interfaces))
        return false;
    for (; found && !local; found = found->ai_next)
        for (struct ifaddrs *i = interfaces; i && !local; i = i->ifa_next)
            local = i->ifa_addr && (loopback_counts || !(i->ifa_flags & IFF_LOOPBACK)) &&
                    same_address(i->ifa_addr, found->ai_addr);
    freeifaddrs(interfaces);
    return local;
}

static bool is_loopback(const char *host)
{
    return !strncmp(host, "127.", 4) || !strcmp(host, "localhost") || !strcmp(host, "[::1]");
}

/* Whether `host` is this machine: by its name, or by an address that one of our interfaces has.
 * That is not `certain` of a name which leads to the loopback here: it may do so on every
 * machine. */
static bool is_this_machine(const char *host, bool certain)
{
    char name[256];
    struct addrinfo *found;
    if (!*host || (!gethostname(name, sizeof(name)) && !strcmp(name, host)))
        return true;
    if (getaddrinfo(host, NULL, NULL, &found))
        return false;
    bool local = has_local_address(found, !certain || is_loopback(host));
    freeaddrinfo(found);
    return local;
}

bool connection_is_own_address(const char *address)
{
    return is_loopback(address) || is_this_machine(address, false);
}

static const char tcp[] = "tcp://";

/* What follows tcp:// in the interface; NULL where it has no such beginning. */
static const char *tcp_host(const struct connection *connection)
{
    return strncmp(connection->interface, tcp, strlen(tcp)) ? NULL
                                                            : connection->interface + strlen(tcp);
}

static bool is_everywhere(const char *host)
{
    return !strcmp(host, "*") || !strcmp(host, "0.0.0.0") || !strcmp(host, "[::]");
}

int connection_url(const struct connection *connection, int port,
                   char url[CONNECTION_TEXT_BYTES + 16], struct ipcl_error *error)
{
    const char *host = tcp_host(connection), *location = connection->location;
    bool everywhere = host && is_everywhere(host), loopback = host && is_loopback(host);
    if (connection->local) {
        snprintf(url, CONNECTION_TEXT_BYTES + 16, "%s:%d", connection->local_interface, port);
        return 0;
    }
    bool here = (everywhere || loopback) && is_this_machine(location, false);
    if (loopback && !here)
        return ipcl_error_set(
            error,
            "the controller listens only on loopback of %s, which is another host: start it with "
            "--ip=ADDRESS (or --ip=0.0.0.0), run this program on that host, or connect through "
            "SSH (ipengine --ssh=%s, or sshserver of a client)",
            location, location);
    if (everywhere)
        snprintf(url, CONNECTION_TEXT_BYTES + 16, "%s%s:%d", tcp, here ? "127.0.0.1" : location,
                 port);
    else
        snprintf(url, CONNECTION_TEXT_BYTES + 16, "%s:%d", connection->interface, port);
    return 0;
}

bool connection_is_encrypted(const struct connection *connection)
{
    return *connection->curve_serverkey && !connection->local;
}

size_t connection_hosts(const struct connection *connection,
                        const char *hosts[CONNECTION_ADDRESSES_MAX + 1])
{
    const char *host = tcp_host(connection), *location = connection->location;
    size_t count = 0;
    if (connection->local || !host || is_loopback(host) ||
        (is_everywhere(host) && is_this_machine(location, true)))
        return 0;
    hosts[count++] = is_everywhere(host) ? location : host;
    for (int i = 0; is_everywhere(host) && i < connection->address_count; i++)
        hosts[count++] = connection->addresses[i];
    return count;
}

int connection_check_name(const struct connection *connection, struct ipcl_error *error)
{
    const char *host = tcp_host(connection);
    struct addrinfo *found;
    if (host && is_everywhere(host))
        host = connection->location;
    if (connection->local || !host || !*host || *host == '[')
        return 0;
    int code = getaddrinfo(host, NULL, NULL, &found);
    if (!code)
        freeaddrinfo(found);
    return !code ? 0
                 : ipcl_error_set(
                       error,
                       "the controller says that it is on %s, but this host does not know that "
                       "name (%s): start the controller with --location=ADDRESS, an address that "
                       "this host can reach",
                       host, gai_strerror(code));
}

bool connection_is_everywhere(const struct connection *connection)
{
    const char *host = tcp_host(connection);
    return host && is_everywhere(host);
}

bool connection_stays_here(const struct connection *connection)
{
    const char *host = tcp_host(connection);
    return !host || is_loopback(host);
}

bool connection_is_local(const struct connection *connection)
{
    const char *host = tcp_host(connection);
    return *connection->location && (!host || is_everywhere(host) || is_loopback(host)) &&
           is_this_machine(connection->location, false);
}

int connection_ssh(const struct connection *connection, char server[CONNECTION_TEXT_BYTES],
                   char host[CONNECTION_TEXT_BYTES], struct ipcl_error *error)
{
    static const char own[] = "127.0.0.1";
    const char *given = tcp_host(connection), *ssh = connection->ssh;
    const char *machine = *connection->location ? connection->location : own;
    if (!given)
        return ipcl_error_set(error, "ssh tunnels to tcp ports only, not to %s",
                              connection->interface);
    strcpy(server, *ssh ? ssh : is_everywhere(given) || is_loopback(given) ? machine : given);
    strcpy(host, !is_everywhere(given) ? given : *ssh ? machine : own);
    return 0;
}
